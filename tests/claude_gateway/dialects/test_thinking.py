"""How much Claude thinks, by whichever parameters a client says it, and which of them counts."""

from typing import Any

import pytest

from tests.claude_gateway.dialects.adapters import DIALECTS
from tests.claude_gateway.dialects.face import Dialect, Json, Parsed

CHAT, MESSAGES, RESPONSES, GEMINI = DIALECTS
ENABLED = {"type": "enabled", "budget_tokens": 2_000}
OFF = {"type": "disabled"}


def parsed(dialect: Dialect, **parameters: Any) -> Parsed:
    return dialect.parse({**dialect.request(), "model": "claude-sonnet-4-5", **parameters})


def on_a_new_model(**parameters: Any) -> Parsed:
    return parsed(CHAT, **{"model": "claude-opus-4-6", **parameters})


def nested(thinking: Json) -> Json:
    return {"anthropic_options": {"thinking": thinking}}


def beside(thinking: Json) -> Json:
    return {"thinking": thinking}


@pytest.mark.parametrize("form", [nested, beside])
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
def test_a_chat_thinks_by_claude_s_own_parameter_in_either_place(
    form: Any, thinking: Json, budget: Any, display: str | None
) -> None:
    request = parsed(CHAT, **form(thinking))

    assert (request.job.tuning.thinking, request.job.tuning.display) == (budget, display)
    assert request.warnings == ()


@pytest.mark.parametrize("word", [True, "enabled", "adaptive"])
def test_a_bare_word_for_thinking_switches_it_on(word: Any) -> None:
    assert on_a_new_model(thinking=word).job.tuning.thinking == "adaptive"
    assert on_a_new_model(thinking=False).job.tuning.thinking == "off"
    assert on_a_new_model(thinking="disabled").job.tuning.thinking == "off"


@pytest.mark.parametrize("dialect", [CHAT, MESSAGES], ids=lambda dialect: dialect.name)
def test_a_type_of_thinking_nobody_knows_is_named_and_becomes_adaptive(dialect: Dialect) -> None:
    request = parsed(dialect, model="claude-opus-4-6", thinking={"type": "auto", "display": "odd", "depth": 3})

    assert request.job.tuning.thinking == "adaptive"
    assert request.warnings == (
        "thinking.depth: unknown parameter",
        "thinking: the type 'auto' is not known here, adaptive takes its place",
        "thinking.display: 'odd' is not known here",
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
def test_a_chat_thinks_by_the_reasoning_of_openrouter(
    reasoning: Any, thinking: str, effort: str, display: str | None
) -> None:
    request = on_a_new_model(reasoning=reasoning)

    tuning = request.job.tuning
    assert (tuning.thinking, tuning.effort, tuning.display) == (thinking, effort, display)
    assert request.warnings == ()


def test_a_budget_of_openrouter_s_reasoning_is_a_budget() -> None:
    both = parsed(CHAT, reasoning={"max_tokens": 3_000, "effort": "low", "depth": 1})

    assert parsed(CHAT, reasoning={"max_tokens": 3_000}).job.tuning.thinking == 3_000
    assert both.job.tuning.thinking == 3_000
    assert both.warnings == (
        "reasoning.depth: unknown parameter",
        "reasoning.effort: left out, `reasoning.max_tokens` counts",
    )


@pytest.mark.parametrize(
    ("parameters", "thinking", "warning"),
    [
        ({**nested(ENABLED), "thinking": OFF}, 2_000, "thinking: left out, `anthropic_options.thinking` counts"),
        (
            {"thinking": ENABLED, "reasoning_effort": "high"},
            2_000,
            "reasoning_effort: left out, `thinking` counts",
        ),
        ({"thinking": OFF, "reasoning_effort": "high"}, "off", "reasoning_effort: left out, `thinking` counts"),
        ({"thinking": ENABLED, "reasoning": {"effort": "low"}}, 2_000, "reasoning: left out, `thinking` counts"),
        (
            {"reasoning": {"max_tokens": 4_000}, "reasoning_effort": "low"},
            4_000,
            "reasoning_effort: left out, `reasoning` counts",
        ),
        (
            {**nested(ENABLED), "reasoning_effort": "none"},
            2_000,
            "reasoning_effort: left out, `anthropic_options.thinking` counts",
        ),
    ],
    ids=str,
)
def test_of_parameters_that_ask_for_different_thinking_a_warning_says_which_one_counts(
    parameters: Json, thinking: Any, warning: str
) -> None:
    request = parsed(CHAT, **parameters)

    assert request.job.tuning.thinking == thinking
    assert request.warnings == (warning,)


@pytest.mark.parametrize(
    "parameters",
    [
        {**nested(ENABLED), "thinking": ENABLED},
        {"thinking": OFF, "reasoning_effort": "none", "reasoning": {"enabled": False}},
        {"reasoning": {"effort": "low"}, "reasoning_effort": "low"},
        {"thinking": OFF, "reasoning_effort": ""},
    ],
    ids=str,
)
def test_parameters_that_ask_for_the_same_thinking_are_not_warned_of(parameters: Json) -> None:
    assert parsed(CHAT, **parameters).warnings == ()


def test_an_effort_goes_with_thinking_that_names_neither_a_budget_nor_an_effort() -> None:
    request = on_a_new_model(thinking={"type": "adaptive"}, reasoning_effort="low", reasoning={"exclude": True})
    enabled = on_a_new_model(thinking={"type": "adaptive"}, reasoning={"enabled": True, "exclude": True})

    tuning = request.job.tuning
    assert (tuning.thinking, tuning.effort, tuning.display) == ("adaptive", "low", "omitted")
    assert enabled.job.tuning.display == "omitted"
    assert (request.warnings, enabled.warnings) == ((), ())


def test_two_efforts_of_a_response_that_differ_are_warned_of() -> None:
    request = parsed(RESPONSES, model="claude-opus-4-6", reasoning={"effort": "low"}, reasoning_effort="high")

    assert request.job.tuning.effort == "low"
    assert request.warnings == ("reasoning_effort: left out, `reasoning` counts",)


def test_a_level_beside_a_budget_of_google_s_is_warned_of() -> None:
    config = {"thinkingConfig": {"thinkingBudget": 2_000, "thinkingLevel": "HIGH"}}

    request = parsed(GEMINI, generationConfig=config)

    assert request.job.tuning.thinking == 2_000
    assert request.warnings[-1] == "generationConfig.thinkingConfig.thinkingLevel: left out, `thinkingBudget` counts"
