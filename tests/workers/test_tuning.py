"""What gives way when parameters exclude each other; held against the refusals of the real API."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.demo.refusals import refusal, takes_no_sampling
from claude_gateway.demo.refusals import takes_schemas as upstream_takes_schemas
from claude_gateway.demo.thoughts import sign
from tests.workers.schemas import json_schemas
from workers.job import Document, OutputSchema, RedactedThought, Text, Thought, ToolResult, ToolUse, Tuning, Turn
from workers.output_limit import output_limit
from workers.protocol import block_frame
from workers.tuning import can_stop_thinking, environment, fit, takes_schemas, thinking_budget, thinks_adaptively

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

tunings = st.builds(
    Tuning,
    max_tokens=st.none() | st.integers(1, 300_000),
    temperature=st.none() | st.floats(0, 1),
    top_p=st.none() | st.floats(0, 1),
    top_k=st.none() | st.integers(1, 100),
    stop=st.lists(st.sampled_from(["END", "STOP"]), max_size=2).map(tuple),
    thinking=st.sampled_from(["off", "adaptive"]) | st.integers(1, 100_000),
    display=st.none() | st.sampled_from(["summarized", "omitted", "updates"]),
    effort=st.none() | st.sampled_from(["low", "medium", "high", "xhigh", "max"]),
    output=st.none() | st.builds(OutputSchema, st.none() | json_schemas, st.just("place")),
)
ASKED = Turn("user", (Text("hi"),))
PAPER = {"source": {"type": "text", "media_type": "text/plain", "data": "x"}, "citations": {"enabled": True}}
CITED = Turn("user", (Document(PAPER), Text("hi")))
CALL = ToolUse("call_1", "f", {})
ANSWERED = Turn("user", (ToolResult("call_1", (Text("done"),)),))
THOUGHTLESS = (ASKED, Turn("assistant", (Text("Let me see."), CALL)), ANSWERED)
histories = st.sampled_from(
    [
        (ASKED,),
        (ASKED, Turn("assistant", (Text("hello"),)), ASKED),
        THOUGHTLESS,
        (ASKED, Turn("assistant", (Thought("hm", sign("hm")), CALL)), ANSWERED),
        (ASKED, Turn("assistant", (RedactedThought("c2ln"), CALL)), ANSWERED),
        (CITED,),
    ]
)


def upstream_body(tuning: Tuning, model: str, turns: tuple[Turn, ...] = (ASKED,)) -> dict[str, Any]:
    """The request that the CLI makes of these settings, as tests/e2e/test_parameters.py saw it."""
    variables = environment(tuning)
    budget = thinking_budget(tuning)
    limit = min(int(variables["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] or 32_000), output_limit(model))
    messages = [{"role": turn.role, "content": [block_frame(block) for block in turn.blocks]} for turn in turns]
    body: dict[str, Any] = {"model": model, "max_tokens": limit, "messages": messages}
    if budget == 0 and can_stop_thinking(model):
        body |= {"thinking": {"type": "disabled"}} | ({} if takes_no_sampling(model) else {"temperature": 1})
    else:
        kind = (
            {"type": "adaptive"} if thinks_adaptively(model) else {"type": "enabled", "budget_tokens": budget or 31_999}
        )
        body |= {"thinking": kind, "context_management": {"edits": [{"type": "clear_thinking_20251015"}]}}
    return body | orjson.loads(variables["CLAUDE_CODE_EXTRA_BODY"])


@pytest.mark.promise("parameters.never-a-400")
@given(tunings, st.sampled_from(MODELS), histories)
def test_what_was_fitted_is_never_refused_upstream(tuning: Tuning, model: str, turns: tuple[Turn, ...]) -> None:
    fitted, _ = fit(tuning, model, turns)

    assert refusal(upstream_body(fitted, model, turns)) is None


@given(tunings, st.sampled_from(MODELS), histories)
def test_fitting_twice_changes_nothing_more(tuning: Tuning, model: str, turns: tuple[Turn, ...]) -> None:
    fitted, _ = fit(tuning, model, turns)

    assert fit(fitted, model, turns) == (fitted, [])


@given(tunings, st.sampled_from(MODELS), histories)
def test_a_sampling_parameter_that_asks_for_something_never_goes_without_a_word(
    tuning: Tuning, model: str, turns: tuple[Turn, ...]
) -> None:
    fitted, notes = fit(tuning, model, turns)

    for name in ("temperature", "top_p", "top_k"):
        asked = getattr(tuning, name)
        gone = asked is not None and getattr(fitted, name) is None
        assert not gone or asked == 1 or any(note.startswith(f"{name}:") for note in notes)


def test_the_sampler_that_differs_from_its_default_wins() -> None:
    assert fit(Tuning(temperature=0.2, top_p=0.5), MIDDLE, ())[0] == Tuning(temperature=0.2)
    assert fit(Tuning(temperature=1, top_p=0.5), MIDDLE, ())[0] == Tuning(top_p=0.5)
    assert fit(Tuning(temperature=0.2, top_p=0.5), OLD, ())[0] == Tuning(temperature=0.2, top_p=0.5)


def test_a_budget_stays_below_the_limit_of_the_answer() -> None:
    fitted, notes = fit(Tuning(max_tokens=3_000, thinking=5_000), MIDDLE, ())
    assert fitted.thinking == 2_999
    assert notes
    assert fit(Tuning(max_tokens=500, thinking=5_000), MIDDLE, ())[0].thinking == "off"


@pytest.mark.parametrize(
    ("model", "asked", "given"),
    [
        (MIDDLE, 64_000, 64_000),
        (MIDDLE, 64_001, 64_000),
        (OLD, 200_000, 32_000),
        (NEW, 2**63 - 1, 128_000),
        ("claude-of-tomorrow", 200_000, 128_000),
    ],
)
def test_lowers_a_limit_above_the_model_s_own_and_names_both_numbers(model: str, asked: int, given: int) -> None:
    fitted, notes = fit(Tuning(max_tokens=asked), model, (), limit_name="maxOutputTokens")

    assert fitted.max_tokens == given
    told = [f"maxOutputTokens: lowered from {asked} to {given}, the most that this model writes"]
    assert notes == (told if asked != given else [])


def test_a_budget_stays_below_a_limit_that_was_lowered() -> None:
    fitted, notes = fit(Tuning(max_tokens=200_000, thinking=100_000), MIDDLE, ())

    assert (fitted.max_tokens, fitted.thinking) == (64_000, 63_999)
    assert [note.partition(":")[0] for note in notes] == ["max_tokens", "thinking"]


def test_effort_is_a_budget_for_models_that_know_none() -> None:
    low, _ = fit(Tuning(thinking="adaptive", effort="low"), MIDDLE, ())
    high, _ = fit(Tuning(thinking="adaptive", effort="high"), MIDDLE, ())
    assert isinstance(low.thinking, int)
    assert isinstance(high.thinking, int)
    assert low.thinking < high.thinking
    assert low.effort is high.effort is None
    assert fit(Tuning(thinking="adaptive", effort="low"), NEW, ())[0].effort == "low"


def test_a_model_that_always_thinks_is_left_to_it() -> None:
    assert fit(Tuning(), NEW, ())[0].thinking == "adaptive"
    assert fit(Tuning(), ADAPTIVE, ())[0].thinking == "off"


def test_work_that_came_back_without_its_thoughts_goes_on_without() -> None:
    fitted, notes = fit(Tuning(thinking=2_000, display="summarized"), MIDDLE, THOUGHTLESS)
    assert fitted == Tuning()
    assert notes
    assert fit(Tuning(thinking="adaptive"), ADAPTIVE, THOUGHTLESS)[0].thinking == "adaptive"


@pytest.mark.parametrize(
    ("model", "asked", "given"),
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
def test_the_effort_is_one_that_the_model_knows_and_never_the_cli_s_own_choice(
    model: str, asked: Any, given: str | None
) -> None:
    fitted, notes = fit(Tuning(effort=asked), model, ())
    assert fitted.effort == given
    assert bool(notes) is (asked is not None and asked != given)


def test_how_much_of_the_thoughts_is_shown_is_the_caller_s_choice_or_the_api_s() -> None:
    shown, left = fit(Tuning(thinking="adaptive", display="summarized"), NEW, ())[0], fit(Tuning(), NEW, ())[0]
    assert upstream_body(shown, NEW)["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert upstream_body(left, NEW)["thinking"] == {"type": "adaptive"}


@pytest.mark.parametrize("model", [*MODELS, "claude-3-5-sonnet-20241022", "claude-haiku-4-5-20251001", "another"])
def test_a_model_is_held_to_a_schema_where_the_api_can_do_that(model: str) -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    fitted, notes = fit(Tuning(output=OutputSchema(schema, "place")), model, ())

    assert fitted.output is not None
    assert (fitted.output.fitted is not None) is takes_schemas(model) is upstream_takes_schemas(model)
    assert not any("output" in note for note in notes)


def test_effort_and_schema_share_the_output_configuration() -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False, "required": []}
    fitted, _ = fit(Tuning(effort="low", thinking="adaptive", output=OutputSchema(schema, "place")), NEW, ())

    assert orjson.loads(environment(fitted)["CLAUDE_CODE_EXTRA_BODY"])["output_config"] == {
        "effort": "low",
        "format": {"type": "json_schema", "schema": schema},
    }
