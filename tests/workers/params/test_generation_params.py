"""Parameters that exclude each other are changed or dropped, so that the API accepts the request."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.devtools.fake_anthropic.thinking_signature import compute_thinking_signature
from claude_gateway.devtools.fake_anthropic.validation import first_problem, rejects_sampling
from claude_gateway.devtools.fake_anthropic.validation import supports_schemas as upstream_supports_schemas
from tests.workers.schemas import json_schemas
from workers.core.job import (
    Document,
    GenerationParams,
    OutputSchema,
    RedactedThinkingBlock,
    Text,
    ThinkingBlock,
    ToolResult,
    ToolUse,
    Turn,
)
from workers.core.message_blocks import encode_block
from workers.params.generation_params import (
    can_disable_thinking,
    can_enforce_output_schema,
    fit_to_model,
    get_thinking_budget,
    has_adaptive_thinking,
    params_to_env,
)
from workers.params.output_limit import get_max_output_tokens

OLD, MIDDLE, ADAPTIVE, NEW = (
    "claude-opus-4-20250514",
    "claude-sonnet-4-5-20250929",
    "claude-opus-4-6",
    "claude-opus-5-5",
)
MODELS = (
    *(OLD, "claude-opus-4-1-20250805", MIDDLE, "claude-opus-4-5-20250929"),
    *(ADAPTIVE, "claude-opus-4-7", NEW, "claude-fable-5-2"),
)

params_strategy = st.builds(
    GenerationParams,
    max_tokens=st.none() | st.integers(1, 300_000),
    temperature=st.none() | st.floats(0, 1),
    top_p=st.none() | st.floats(0, 1),
    top_k=st.none() | st.integers(1, 100),
    stop=st.lists(st.sampled_from(["END", "STOP"]), max_size=2).map(tuple),
    thinking=st.sampled_from(["off", "adaptive"]) | st.integers(1, 100_000),
    thinking_display=st.none() | st.sampled_from(["summarized", "omitted", "updates"]),
    effort=st.none() | st.sampled_from(["low", "medium", "high", "xhigh", "max"]),
    output_schema=st.none() | st.builds(OutputSchema, st.none() | json_schemas, st.just("field")),
)
PROMPT = Turn("user", (Text("hi"),))
CITED_DOCUMENT = {"source": {"type": "text", "media_type": "text/plain", "data": "x"}, "citations": {"enabled": True}}
CITED_PROMPT = Turn("user", (Document(CITED_DOCUMENT), Text("hi")))
CALL = ToolUse("call_1", "f", {})
TOOL_RESULT = Turn("user", (ToolResult("call_1", (Text("done"),)),))
WITHOUT_THINKING = (PROMPT, Turn("assistant", (Text("Let me see."), CALL)), TOOL_RESULT)
histories = st.sampled_from(
    [
        (PROMPT,),
        (PROMPT, Turn("assistant", (Text("hello"),)), PROMPT),
        WITHOUT_THINKING,
        (PROMPT, Turn("assistant", (ThinkingBlock("hm", compute_thinking_signature("hm")), CALL)), TOOL_RESULT),
        (PROMPT, Turn("assistant", (RedactedThinkingBlock("c2ln"), CALL)), TOOL_RESULT),
        (CITED_PROMPT,),
    ]
)


def upstream_body(params: GenerationParams, model: str, turns: tuple[Turn, ...] = (PROMPT,)) -> dict[str, Any]:
    """Build the request that the CLI sends with these parameters, as tests/e2e/dialects/test_parameters.py shows it."""
    variables = params_to_env(params)
    budget = get_thinking_budget(params)
    limit = min(int(variables["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] or 32_000), get_max_output_tokens(model))
    messages = [{"role": turn.role, "content": [encode_block(block) for block in turn.blocks]} for turn in turns]
    body: dict[str, Any] = {"model": model, "max_tokens": limit, "messages": messages}
    if budget == 0 and can_disable_thinking(model):
        body |= {"thinking": {"type": "disabled"}} | ({} if rejects_sampling(model) else {"temperature": 1})
    else:
        kind = (
            {"type": "adaptive"}
            if has_adaptive_thinking(model)
            else {"type": "enabled", "budget_tokens": budget or 31_999}
        )
        body |= {"thinking": kind, "context_management": {"edits": [{"type": "clear_thinking_20251015"}]}}
    extra_body: dict[str, Any] = orjson.loads(variables["CLAUDE_CODE_EXTRA_BODY"])
    return body | extra_body


@pytest.mark.promise("parameters.never-a-400")
@given(params_strategy, st.sampled_from(MODELS), histories)
def test_upstream_never_rejects_fitted_parameters(
    params: GenerationParams, model: str, turns: tuple[Turn, ...]
) -> None:
    fitted, _ = fit_to_model(params, model, turns)

    assert first_problem(upstream_body(fitted, model, turns)) is None


@given(params_strategy, st.sampled_from(MODELS), histories)
def test_fitting_twice_changes_nothing(params: GenerationParams, model: str, turns: tuple[Turn, ...]) -> None:
    fitted, _ = fit_to_model(params, model, turns)

    assert fit_to_model(fitted, model, turns) == (fitted, [])


@given(params_strategy, st.sampled_from(MODELS), histories)
def test_reports_every_dropped_sampling_parameter(
    params: GenerationParams, model: str, turns: tuple[Turn, ...]
) -> None:
    fitted, notes = fit_to_model(params, model, turns)

    for name in ("temperature", "top_p", "top_k"):
        requested = getattr(params, name)
        is_dropped = requested is not None and getattr(fitted, name) is None
        assert not is_dropped or requested == 1 or any(note.startswith(f"{name}:") for note in notes)


def test_keeps_the_sampling_parameter_that_differs_from_its_default() -> None:
    assert fit_to_model(GenerationParams(temperature=0.2, top_p=0.5), MIDDLE, ())[0] == GenerationParams(
        temperature=0.2
    )
    assert fit_to_model(GenerationParams(temperature=1, top_p=0.5), MIDDLE, ())[0] == GenerationParams(top_p=0.5)
    assert fit_to_model(GenerationParams(temperature=0.2, top_p=0.5), OLD, ())[0] == GenerationParams(
        temperature=0.2, top_p=0.5
    )


def test_keeps_the_thinking_budget_below_max_tokens() -> None:
    fitted, notes = fit_to_model(GenerationParams(max_tokens=3_000, thinking=5_000), MIDDLE, ())
    assert fitted.thinking == 2_999
    assert notes
    assert fit_to_model(GenerationParams(max_tokens=500, thinking=5_000), MIDDLE, ())[0].thinking == "off"


@pytest.mark.parametrize(
    ("model", "requested", "expected"),
    [
        (MIDDLE, 64_000, 64_000),
        (MIDDLE, 64_001, 64_000),
        (OLD, 200_000, 32_000),
        (NEW, 2**63 - 1, 128_000),
        ("claude-of-tomorrow", 200_000, 128_000),
    ],
)
def test_lowers_max_tokens_to_the_maximum_of_the_model_and_reports_it(
    model: str, requested: int, expected: int
) -> None:
    fitted, notes = fit_to_model(GenerationParams(max_tokens=requested), model, (), max_tokens_name="maxOutputTokens")

    assert fitted.max_tokens == expected
    expected_notes = [f"maxOutputTokens: changed from {requested} to {expected} (the maximum of this model)"]
    assert notes == (expected_notes if requested != expected else [])


def test_keeps_the_thinking_budget_below_a_lowered_max_tokens() -> None:
    fitted, notes = fit_to_model(GenerationParams(max_tokens=200_000, thinking=100_000), MIDDLE, ())

    assert (fitted.max_tokens, fitted.thinking) == (64_000, 63_999)
    assert [note.partition(":")[0] for note in notes] == ["max_tokens", "thinking"]


def test_converts_effort_to_a_thinking_budget_for_models_without_effort() -> None:
    low, _ = fit_to_model(GenerationParams(thinking="adaptive", effort="low"), MIDDLE, ())
    high, _ = fit_to_model(GenerationParams(thinking="adaptive", effort="high"), MIDDLE, ())
    assert isinstance(low.thinking, int)
    assert isinstance(high.thinking, int)
    assert low.thinking < high.thinking
    assert low.effort is high.effort is None
    assert fit_to_model(GenerationParams(thinking="adaptive", effort="low"), NEW, ())[0].effort == "low"


def test_uses_adaptive_thinking_for_a_model_that_always_thinks() -> None:
    assert fit_to_model(GenerationParams(), NEW, ())[0].thinking == "adaptive"
    assert fit_to_model(GenerationParams(), ADAPTIVE, ())[0].thinking == "off"


def test_turns_thinking_off_after_tool_calls_without_thinking_blocks() -> None:
    fitted, notes = fit_to_model(
        GenerationParams(thinking=2_000, thinking_display="summarized"), MIDDLE, WITHOUT_THINKING
    )
    assert fitted == GenerationParams()
    assert notes
    assert fit_to_model(GenerationParams(thinking="adaptive"), ADAPTIVE, WITHOUT_THINKING)[0].thinking == "adaptive"


@pytest.mark.parametrize(
    ("model", "requested", "expected"),
    [
        (MIDDLE, "high", None),
        ("claude-opus-4-5-20250929", "max", "high"),
        (ADAPTIVE, "max", "max"),
        (ADAPTIVE, "xhigh", "high"),
        ("claude-opus-4-7", "xhigh", "xhigh"),
        (ADAPTIVE, None, "high"),
        (NEW, None, "high"),
        (MIDDLE, None, None),
    ],
)
def test_sets_an_effort_that_the_model_knows(model: str, requested: Any, expected: str | None) -> None:
    fitted, notes = fit_to_model(GenerationParams(effort=requested), model, ())
    assert fitted.effort == expected
    assert bool(notes) is (requested is not None and requested != expected)


def test_sends_the_thinking_display_of_the_client_or_none() -> None:
    with_display, without_display = (
        fit_to_model(GenerationParams(thinking="adaptive", thinking_display="summarized"), NEW, ())[0],
        fit_to_model(GenerationParams(), NEW, ())[0],
    )
    assert upstream_body(with_display, NEW)["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert upstream_body(without_display, NEW)["thinking"] == {"type": "adaptive"}


@pytest.mark.parametrize("model", [*MODELS, "claude-3-5-sonnet-20241022", "claude-haiku-4-5-20251001", "another"])
def test_sets_a_native_schema_if_the_api_can_enforce_it(model: str) -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    fitted, notes = fit_to_model(GenerationParams(output_schema=OutputSchema(schema, "field")), model, ())

    assert fitted.output_schema is not None
    assert (
        (fitted.output_schema.native_schema is not None)
        is can_enforce_output_schema(model)
        is upstream_supports_schemas(model)
    )
    assert not any("output" in note for note in notes)


def test_sends_effort_and_schema_in_one_output_config() -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False, "required": []}
    fitted, _ = fit_to_model(
        GenerationParams(effort="low", thinking="adaptive", output_schema=OutputSchema(schema, "field")), NEW, ()
    )

    assert orjson.loads(params_to_env(fitted)["CLAUDE_CODE_EXTRA_BODY"])["output_config"] == {
        "effort": "low",
        "format": {"type": "json_schema", "schema": schema},
    }
