"""Buffer for the events of a reply that must be JSON, and instructions for the model."""

from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.structured_output.json_reply import JsonReplyBuffer, add_repair_turn, add_schema_instruction
from tests.claude_gateway.dialects.adapters.all_dialects import DIALECTS
from tests.claude_gateway.dialects.adapters.dialect_adapter import DialectAdapter
from tests.claude_gateway.dialects.strategies.event_streams import complete_replies, normalize_tool_calls
from tests.claude_gateway.scripted import FINISHED, JOB, STARTED
from workers.core.events import (
    BlockEnded,
    BlockStarted,
    Event,
    Finished,
    SignatureDelta,
    Started,
    StopReason,
    StreamReset,
    TextDelta,
    ThinkingDelta,
    TokenUsage,
    ToolInputDelta,
)
from workers.core.job import GenerationParams, OutputSchema, Text, ThinkingBlock, ToolUse, Turn

SCHEMA = {"type": "object", "required": ["a"]}
JOB_WITH_SCHEMA = replace(
    JOB, params=GenerationParams(output_schema=OutputSchema(SCHEMA, "text.format"), temperature=0.5)
)

THINKING_EVENTS: tuple[Event, ...] = (
    BlockStarted(ThinkingBlock("", "")),
    ThinkingDelta("hm"),
    SignatureDelta("s"),
    BlockEnded(),
)
CALL_EVENTS: tuple[Event, ...] = (BlockStarted(ToolUse("t1", "look", {})), ToolInputDelta("{}"), BlockEnded())
text_fragments = st.lists(st.text(max_size=4), max_size=3)
texts = text_fragments.map(lambda fragments: (BlockStarted(Text("")), *map(TextDelta, fragments), BlockEnded()))
blocks = st.lists(texts | st.sampled_from([THINKING_EVENTS, CALL_EVENTS]), max_size=5)
reply_events = blocks.map(lambda drawn_blocks: [event for block in drawn_blocks for event in block])


def text_events(*fragments: str) -> tuple[Event, ...]:
    return (BlockStarted(Text("")), *map(TextDelta, fragments), BlockEnded())


def finish_event(reason: StopReason = "end_turn", usage: TokenUsage = TokenUsage(1, 2, 3, 4)) -> Finished:  # noqa: B008 - frozen
    return Finished(reason, usage)


def feed_events(buffer: JsonReplyBuffer, *events: Event) -> list[Event]:
    return [passed for event in events for passed in buffer.feed(event)]


def read_text(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def is_well_formed(events: list[Event]) -> bool:
    """Return whether every block is opened and closed once, one after another, with its deltas inside."""
    is_open = False
    for event in events:
        if isinstance(event, BlockStarted | BlockEnded):
            if is_open is isinstance(event, BlockStarted):
                return False
            is_open = not is_open
        elif not is_open and not isinstance(event, Started | Finished):
            return False
    return not is_open


def test_live_stream_passes_every_event_but_the_end_immediately() -> None:
    buffer = JsonReplyBuffer(live=True, streamed=True)
    events = [STARTED, *THINKING_EVENTS, *text_events("{", "}")]

    assert feed_events(buffer, *events) == events
    assert feed_events(buffer, finish_event()) == []
    assert buffer.needs_validation
    assert buffer.text == "{}"
    assert buffer.remaining_events() == [finish_event()]


def test_buffered_stream_passes_nothing_before_the_end() -> None:
    buffer = JsonReplyBuffer(live=False, streamed=True)

    assert feed_events(buffer, STARTED, *THINKING_EVENTS) == [STARTED, *THINKING_EVENTS]
    assert feed_events(buffer, *text_events("{", "}"), *THINKING_EVENTS, *CALL_EVENTS, finish_event()) == []
    assert buffer.remaining_events() == [*text_events("{}"), *THINKING_EVENTS, *CALL_EVENTS, finish_event()]


def test_joins_texts_around_a_thinking_block() -> None:
    buffer = JsonReplyBuffer(live=False, streamed=True)
    feed_events(buffer, STARTED, *text_events('{"a":'), *THINKING_EVENTS, *text_events("1}"), finish_event())

    assert buffer.text == '{"a":1}'
    assert buffer.remaining_events() == [*text_events('{"a":1}'), *THINKING_EVENTS, finish_event()]


@given(reply_events, st.sampled_from(["end_turn", "tool_use", "max_tokens", "refusal"]))
def test_passed_events_are_well_formed_and_have_the_same_content(events: list[Event], reason: StopReason) -> None:
    buffer = JsonReplyBuffer(live=False, streamed=True)
    passed_events = [*feed_events(buffer, STARTED, *events, finish_event(reason)), *buffer.remaining_events()]

    assert is_well_formed(passed_events)
    assert (
        read_text(passed_events) == buffer.text
        if reason == "end_turn"
        else passed_events == [STARTED, *events, finish_event(reason)]
    )
    other_events = [event for event in passed_events if not isinstance(event, TextDelta | BlockEnded | BlockStarted)]
    assert other_events == [
        event for event in [STARTED, *events, finish_event(reason)] if type(event) in map(type, other_events)
    ]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@given(complete_replies())
def test_stream_equals_body_in_every_dialect_whether_buffered_or_not(
    dialect: DialectAdapter, events: list[Event]
) -> None:
    buffer = JsonReplyBuffer(live=False, streamed=True)
    passed_events = [*feed_events(buffer, *events), *buffer.remaining_events()]
    stream, body = (
        dialect.read_stream(dialect.encode_stream(passed_events)),
        dialect.read_body(dialect.encode_body(passed_events)),
    )

    assert normalize_tool_calls(stream.blocks) == normalize_tool_calls(body.blocks)
    assert "".join(block.text for block in body.blocks if block.kind == "text") in (buffer.text, buffer.raw_text)


@pytest.mark.parametrize("reason", ["tool_use", "max_tokens", "refusal", "stop_sequence"])
def test_does_not_validate_incomplete_reply(reason: StopReason) -> None:
    buffer = JsonReplyBuffer(live=False, streamed=True)
    feed_events(buffer, STARTED, *text_events("```\nno", " json\n```"), *CALL_EVENTS, finish_event(reason))

    assert not buffer.needs_validation
    assert buffer.remaining_events() == [*text_events("```\nno", " json\n```"), *CALL_EVENTS, finish_event(reason)]


@pytest.mark.parametrize(
    ("model_text", "client_text"),
    [
        ("{}", "{}"),
        ("```json\n{}\n```", "{}"),
        ('\n```\n{"a": "```"}\n```  \n', '{"a": "```"}'),
        ("```jsonc \n[\n1\n]\n   ```", "[\n1\n]"),
        ("Here: ```json\n{}\n```", "Here: ```json\n{}\n```"),
        ("```json {} ```", "```json {} ```"),
    ],
)
def test_removes_code_fence_around_the_whole_reply(model_text: str, client_text: str) -> None:
    buffer = JsonReplyBuffer(live=False, streamed=True)
    feed_events(buffer, STARTED, *text_events(*model_text), finish_event())

    assert (buffer.raw_text, buffer.text) == (model_text, client_text)
    assert read_text(buffer.remaining_events()) == client_text


def test_live_stream_keeps_code_fence() -> None:
    buffer = JsonReplyBuffer(live=True, streamed=True)
    feed_events(buffer, *text_events("```\n{}\n```"), finish_event())

    assert buffer.text == "```\n{}\n```"


def test_second_reply_replaces_the_first_and_usage_counts_both() -> None:
    buffer = JsonReplyBuffer(live=False, streamed=True)
    feed_events(buffer, STARTED, *text_events("wrong"), finish_event(usage=TokenUsage(1, 2, 3, 4)))

    assert buffer.restart() == []
    assert feed_events(buffer, Started("another"), *THINKING_EVENTS) == list(THINKING_EVENTS)
    feed_events(buffer, *text_events("{}"), finish_event(usage=TokenUsage(10, 20, 30, 40)))
    assert buffer.remaining_events() == [*text_events("{}"), finish_event(usage=TokenUsage(11, 22, 33, 44))]


@pytest.mark.parametrize(("streamed", "expected"), [(True, []), (False, [StreamReset()])])
def test_drops_thinking_of_the_first_reply_if_nothing_was_sent(streamed: bool, expected: list[Event]) -> None:
    buffer = JsonReplyBuffer(live=False, streamed=streamed)
    feed_events(buffer, STARTED, *THINKING_EVENTS, *text_events("wrong"), finish_event())

    assert buffer.restart() == expected


def test_omits_stream_reset_if_nothing_was_sent() -> None:
    buffer = JsonReplyBuffer(live=False, streamed=True)

    assert feed_events(buffer, STARTED, *text_events("half"), StreamReset(), *text_events("{}"), finish_event()) == [
        STARTED
    ]
    assert buffer.remaining_events() == [*text_events("{}"), finish_event()]


@pytest.mark.parametrize("live", [True, False])
def test_passes_stream_reset_after_sent_thinking(live: bool) -> None:
    buffer = JsonReplyBuffer(live=live, streamed=True)

    assert feed_events(buffer, STARTED, *THINKING_EVENTS[:2], StreamReset())[-1] == StreamReset()


def test_reply_without_end_returns_only_the_held_events() -> None:
    buffer = JsonReplyBuffer(live=False, streamed=True)
    feed_events(buffer, STARTED, TextDelta("half"))

    assert buffer.remaining_events() == [TextDelta("half")]


def test_prompted_schema_changes_only_the_system_prompt() -> None:
    prompted = add_schema_instruction(replace(JOB_WITH_SCHEMA, system="Be brief."))

    assert prompted.system.startswith("Be brief.\n\n")
    assert orjson.dumps(SCHEMA).decode() in prompted.system
    assert prompted == replace(JOB_WITH_SCHEMA, system=prompted.system, params=GenerationParams(temperature=0.5))
    assert "\n\n" not in add_schema_instruction(JOB_WITH_SCHEMA).system


def test_prompts_for_any_object_without_a_schema() -> None:
    prompted = add_schema_instruction(
        replace(JOB, params=GenerationParams(output_schema=OutputSchema(None, "text.format")))
    )

    assert "JSON object" in prompted.system
    assert "Schema" not in prompted.system


@pytest.mark.parametrize(("reply", "turn"), [("no", "no"), (" \n", "(no text)")])
def test_repair_turn_continues_the_conversation_with_the_problems(reply: str, turn: str) -> None:
    repaired = add_repair_turn(JOB_WITH_SCHEMA, reply, ["$.a: missing", "$.b: wrong"])

    first, assistant, user = repaired.turns
    assert (first,) == JOB_WITH_SCHEMA.turns
    assert assistant == Turn("assistant", (Text(turn),))
    assert user.role == "user"
    assert "\n- $.a: missing\n- $.b: wrong\n" in str(user.blocks[0].text)  # type: ignore[union-attr]
    assert replace(repaired, turns=JOB_WITH_SCHEMA.turns) == JOB_WITH_SCHEMA


@pytest.mark.parametrize(("suffix", "is_fenced"), [("x", False), ("\n```", True), (" ```x", False)])
def test_removes_code_fence_around_megabytes_of_whitespace_in_linear_time(suffix: str, is_fenced: bool) -> None:
    """Clients can cause such a reply; with quadratic run time this test would take hours."""
    buffer = JsonReplyBuffer(live=False, streamed=False)
    content = "{" + " \t" * 2_000_000
    feed_events(buffer, STARTED, *text_events(f"```json\n{content}{suffix}"), FINISHED)

    # pytest explains a failed comparison; with such long texts that would take minutes.
    is_equal = buffer.text == (content if is_fenced else f"```json\n{content}{suffix}")
    assert is_equal
