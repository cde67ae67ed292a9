"""Strategies for the events of complete and interrupted replies, and functions that collect their blocks."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import get_args

import orjson
from hypothesis import strategies as st

from tests.claude_gateway.dialects.adapters.dialect_adapter import ReplyBlock
from tests.claude_gateway.dialects.strategies.json_values import json_objects, unicode_text
from workers.core.events import (
    BlockEnded,
    BlockEvent,
    BlockStarted,
    Delta,
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
from workers.core.job import RedactedThinkingBlock, Text, ThinkingBlock, ToolUse

STARTED = Started("claude-test")

_counts = st.integers(0, 10**9)
# Thinking tokens are part of the output tokens.
usages = st.builds(
    lambda usage, thinking: replace(usage, output_tokens=usage.output_tokens + thinking, thinking_tokens=thinking),
    st.builds(TokenUsage, _counts, _counts, _counts, _counts),
    st.just(0) | _counts,
)
finish_events = st.builds(Finished, st.sampled_from(get_args(StopReason)), usages, st.none() | unicode_text)
_ids = st.text("abcdefghij0123456789_", min_size=1, max_size=12)
signatures = st.text("abcdefghijABCDEFGHIJ0123456789+/=", min_size=1, max_size=12)


@st.composite
def split_deltas(draw: st.DrawFn, text: str, delta_type: type[Delta]) -> list[BlockEvent]:
    """Draw the text in chunks, split anywhere; a chunk may be empty."""
    positions = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
    bounds = zip([0, *positions], [*positions, len(text)], strict=True)
    return [delta_type(text[begin:end]) for begin, end in bounds]


@st.composite
def text_block_events(draw: st.DrawFn) -> list[BlockEvent]:
    return [BlockStarted(Text("")), *draw(split_deltas(draw(unicode_text), TextDelta)), BlockEnded()]


@st.composite
def thinking_block_events(draw: st.DrawFn) -> list[BlockEvent]:
    """Draw readable thinking with its signature, or redacted thinking."""
    if draw(st.booleans()):
        return [BlockStarted(RedactedThinkingBlock(draw(signatures))), BlockEnded()]
    deltas = draw(split_deltas(draw(unicode_text), ThinkingDelta))
    return [BlockStarted(ThinkingBlock("", "")), *deltas, SignatureDelta(draw(signatures)), BlockEnded()]


@st.composite
def tool_call_block_events(draw: st.DrawFn) -> list[BlockEvent]:
    """Draw a call; a call without arguments may have no deltas."""
    arguments = draw(json_objects)
    deltas = (
        draw(split_deltas(orjson.dumps(arguments).decode(), ToolInputDelta)) if arguments or draw(st.booleans()) else []
    )
    name = draw(st.sampled_from(["weather", "Read", "a.b"]))
    return [BlockStarted(ToolUse(draw(_ids), name, {})), *deltas, BlockEnded()]


@st.composite
def block_events(draw: st.DrawFn, min_blocks: int = 0) -> list[Event]:
    """Draw the blocks of a reply: thinking first, then texts and calls."""
    thinking_events = draw(st.lists(thinking_block_events(), max_size=2))
    other_events = draw(
        st.lists(
            text_block_events() | tool_call_block_events(),
            min_size=max(0, min_blocks - len(thinking_events)),
            max_size=4,
        )
    )
    return [event for block in (*thinking_events, *other_events) for event in block]


@st.composite
def complete_replies(draw: st.DrawFn) -> list[Event]:
    """Draw a complete valid reply."""
    return [Started("claude-test", draw(usages)), *draw(block_events()), draw(finish_events)]


@st.composite
def interrupted_replies(draw: st.DrawFn) -> list[Event]:
    """Draw a reply that is interrupted somewhere: within a block, between blocks or before the first event."""
    events = draw(complete_replies())
    return events[: draw(st.integers(0, len(events) - 1))]


def collect_blocks(events: Iterable[Event]) -> tuple[ReplyBlock, ...]:
    """Collect the blocks of the events; a stream reset clears them."""
    blocks: list[ReplyBlock] = []
    for event in events:
        match event:
            case BlockStarted(Text()):
                blocks.append(ReplyBlock("text"))
            case BlockStarted(ThinkingBlock()):
                blocks.append(ReplyBlock("thinking"))
            case BlockStarted(RedactedThinkingBlock(data)):
                blocks.append(ReplyBlock("redacted", data))
            case BlockStarted(ToolUse(id_, name)):
                blocks.append(ReplyBlock("call", id=id_, name=name))
            case TextDelta(text) | ThinkingDelta(text) | ToolInputDelta(text):
                blocks[-1] = replace(blocks[-1], text=blocks[-1].text + text)
            case SignatureDelta(signature):
                blocks[-1] = replace(blocks[-1], signature=signature)
            case StreamReset():
                blocks.clear()
    return tuple(blocks)


def normalize_tool_calls(blocks: Sequence[ReplyBlock]) -> tuple[ReplyBlock, ...]:
    """Normalize the JSON of complete calls; a call without arguments has an empty object."""
    return tuple(
        replace(block, text=orjson.dumps(orjson.loads(block.text or "{}")).decode()) if block.kind == "call" else block
        for block in blocks
    )


def normalize_interrupted_calls(blocks: Sequence[ReplyBlock]) -> tuple[ReplyBlock, ...]:
    """Normalize calls that may be interrupted; the empty object equals no text."""
    return tuple(replace(block, text="") if (block.kind, block.text) == ("call", "{}") else block for block in blocks)
