"""Parameters that control thinking in all dialects, and their precedence."""

from typing import Any

import pytest

from tests.claude_gateway.dialects.adapters.all_dialects import DIALECTS
from tests.claude_gateway.dialects.adapters.dialect_adapter import DialectAdapter, Json, ParsedRequest

CHAT, MESSAGES, RESPONSES, GEMINI = DIALECTS
ENABLED = {"type": "enabled", "budget_tokens": 2_000}
OFF = {"type": "disabled"}


def parse_request(dialect: DialectAdapter, **parameters: Any) -> ParsedRequest:
    return dialect.parse({**dialect.minimal_request(), "model": "claude-sonnet-4-5", **parameters})


def parse_for_new_model(**parameters: Any) -> ParsedRequest:
    return parse_request(CHAT, **{"model": "claude-opus-4-6", **parameters})


def in_anthropic_options(thinking: Json) -> Json:
    return {"anthropic_options": {"thinking": thinking}}


def at_top_level(thinking: Json) -> Json:
    return {"thinking": thinking}


@pytest.mark.parametrize("form", [in_anthropic_options, at_top_level])
@pytest.mark.parametrize(
    ("thinking", "budget", "display"),
    [
        (ENABLED, 2_000, "summarized"),
        ({**ENABLED, "display": "omitted"}, 2_000, "omitted"),
        ({"type": "enabled"}, 16_384, "summarized"),
        ({"type": "enabled", "budget_tokens": -1}, 16_384, "summarized"),
        ({"type": "adaptive"}, 16_384, "summarized"),
        (OFF, "off", None),
        ({**OFF, "budget_tokens": 0}, "off", None),
    ],
    ids=str,
)
def test_chat_accepts_claude_thinking_parameter_in_both_positions(
    form: Any, thinking: Json, budget: Any, display: str | None
) -> None:
    request = parse_request(CHAT, **form(thinking))

    assert (request.job.params.thinking, request.job.params.thinking_display) == (budget, display)
    assert request.warnings == ()


@pytest.mark.parametrize("value", [True, "enabled", "adaptive"])
def test_string_or_boolean_sets_thinking(value: Any) -> None:
    assert parse_for_new_model(thinking=value).job.params.thinking == "adaptive"
    assert parse_for_new_model(thinking=False).job.params.thinking == "off"
    assert parse_for_new_model(thinking="disabled").job.params.thinking == "off"


@pytest.mark.parametrize("dialect", [CHAT, MESSAGES], ids=lambda dialect: dialect.name)
def test_unknown_thinking_type_becomes_adaptive_with_a_warning(dialect: DialectAdapter) -> None:
    request = parse_request(dialect, model="claude-opus-4-6", thinking={"type": "auto", "display": "odd", "depth": 3})

    assert request.job.params.thinking == "adaptive"
    assert request.warnings == (
        "thinking.depth: ignored (unknown parameter)",
        "thinking: changed the type to adaptive ('auto' is unknown)",
        "thinking.display: ignored ('odd' is unknown)",
    )


@pytest.mark.parametrize(
    ("reasoning", "thinking", "effort", "display"),
    [
        ({"effort": "low"}, "adaptive", "low", "summarized"),
        ({"effort": "minimal"}, "adaptive", "low", "summarized"),
        ("high", "adaptive", "high", "summarized"),
        ({"effort": "none"}, "off", "high", None),
        ({"enabled": True}, "adaptive", "high", "summarized"),
        (True, "adaptive", "high", "summarized"),
        ({"enabled": False, "effort": "max"}, "off", "high", None),
        (False, "off", "high", None),
        ({"effort": "low", "exclude": True}, "adaptive", "low", "omitted"),
        ({"summary": "auto"}, "adaptive", "high", "summarized"),
        ({"effort": "", "max_tokens": 0, "exclude": False}, "off", "high", None),
        ({"exclude": True}, "off", "high", None),
        ({}, "off", "high", None),
        (None, "off", "high", None),
    ],
    ids=str,
)
def test_chat_accepts_openrouter_reasoning_parameter(
    reasoning: Any, thinking: str, effort: str, display: str | None
) -> None:
    request = parse_for_new_model(reasoning=reasoning)

    params = request.job.params
    assert (params.thinking, params.effort, params.thinking_display) == (thinking, effort, display)
    assert request.warnings == ()


def test_openrouter_reasoning_budget_becomes_thinking_budget() -> None:
    both = parse_request(CHAT, reasoning={"max_tokens": 3_000, "effort": "low", "depth": 1})

    assert parse_request(CHAT, reasoning={"max_tokens": 3_000}).job.params.thinking == 3_000
    assert both.job.params.thinking == 3_000
    assert both.warnings == (
        "reasoning.depth: ignored (unknown parameter)",
        "reasoning.effort: ignored (`reasoning.max_tokens` takes precedence)",
    )


@pytest.mark.parametrize(
    ("parameters", "thinking", "warning"),
    [
        (
            {**in_anthropic_options(ENABLED), "thinking": OFF},
            2_000,
            "thinking: ignored (`anthropic_options.thinking` takes precedence)",
        ),
        (
            {"thinking": ENABLED, "reasoning_effort": "high"},
            2_000,
            "reasoning_effort: ignored (`thinking` takes precedence)",
        ),
        (
            {"thinking": OFF, "reasoning_effort": "high"},
            "off",
            "reasoning_effort: ignored (`thinking` takes precedence)",
        ),
        (
            {"thinking": ENABLED, "reasoning": {"effort": "low"}},
            2_000,
            "reasoning: ignored (`thinking` takes precedence)",
        ),
        (
            {"reasoning": {"max_tokens": 4_000}, "reasoning_effort": "low"},
            4_000,
            "reasoning_effort: ignored (`reasoning` takes precedence)",
        ),
        (
            {**in_anthropic_options(ENABLED), "reasoning_effort": "none"},
            2_000,
            "reasoning_effort: ignored (`anthropic_options.thinking` takes precedence)",
        ),
    ],
    ids=str,
)
def test_conflicting_thinking_parameters_give_a_warning_that_names_the_effective_one(
    parameters: Json, thinking: Any, warning: str
) -> None:
    request = parse_request(CHAT, **parameters)

    assert request.job.params.thinking == thinking
    assert request.warnings == (warning,)


@pytest.mark.parametrize(
    "parameters",
    [
        {**in_anthropic_options(ENABLED), "thinking": ENABLED},
        {"thinking": OFF, "reasoning_effort": "none", "reasoning": {"enabled": False}},
        {"reasoning": {"effort": "low"}, "reasoning_effort": "low"},
        {"thinking": OFF, "reasoning_effort": ""},
    ],
    ids=str,
)
def test_equivalent_thinking_parameters_give_no_warning(parameters: Json) -> None:
    assert parse_request(CHAT, **parameters).warnings == ()


def test_effort_combines_with_thinking_that_has_no_budget_or_effort() -> None:
    request = parse_for_new_model(thinking={"type": "adaptive"}, reasoning_effort="low", reasoning={"exclude": True})
    enabled = parse_for_new_model(thinking={"type": "adaptive"}, reasoning={"enabled": True, "exclude": True})

    params = request.job.params
    assert (params.thinking, params.effort, params.thinking_display) == ("adaptive", "low", "omitted")
    assert enabled.job.params.thinking_display == "omitted"
    assert (request.warnings, enabled.warnings) == ((), ())


def test_warns_about_two_different_efforts_in_a_responses_request() -> None:
    request = parse_request(RESPONSES, model="claude-opus-4-6", reasoning={"effort": "low"}, reasoning_effort="high")

    assert request.job.params.effort == "low"
    assert request.warnings == ("reasoning_effort: ignored (`reasoning` takes precedence)",)


def test_warns_about_gemini_thinking_level_together_with_a_budget() -> None:
    config = {"thinkingConfig": {"thinkingBudget": 2_000, "thinkingLevel": "HIGH"}}

    request = parse_request(GEMINI, generationConfig=config)

    assert request.job.params.thinking == 2_000
    assert (
        request.warnings[-1]
        == "generationConfig.thinkingConfig.thinkingLevel: ignored (`thinkingBudget` takes precedence)"
    )
