"""Strategies for the events of an answer, whole and broken off; and what such events say, read without any dialect."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import get_args

import orjson
from hypothesis import strategies as st

from tests.claude_gateway.dialects.anything import json_objects, words
from tests.claude_gateway.dialects.face import Said
from workers.events import (
    BlockEnded,
    BlockStarted,
    Delta,
    Event,
    Finished,
    InputDelta,
    Piece,
    Restarted,
    Signed,
    Started,
    StopReason,
    TextDelta,
    ThinkingDelta,
    Usage,
)
from workers.job import RedactedThought, Text, Thought, ToolUse

STARTED = Started("claude-test")

_counts = st.integers(0, 10**9)
# Thoughts are a part of the output.
usages = st.builds(
    lambda one, thinking: replace(one, output=one.output + thinking, thinking=thinking),
    st.builds(Usage, _counts, _counts, _counts, _counts),
    st.just(0) | _counts,
)
ends = st.builds(Finished, st.sampled_from(get_args(StopReason)), usages, st.none() | words)
_ids = st.text("abcdefghij0123456789_", min_size=1, max_size=12)
signatures = st.text("abcdefghijABCDEFGHIJ0123456789+/=", min_size=1, max_size=12)


@st.composite
def cut(draw: st.DrawFn, text: str, delta: type[Delta]) -> list[Piece]:
    """The text in pieces, cut anywhere; a piece may be empty."""
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
    bounds = zip([0, *places], [*places, len(text)], strict=True)
    return [delta(text[begin:end]) for begin, end in bounds]


@st.composite
def text_blocks(draw: st.DrawFn) -> list[Piece]:
    return [BlockStarted(Text("")), *draw(cut(draw(words), TextDelta)), BlockEnded()]


@st.composite
def thought_blocks(draw: st.DrawFn) -> list[Piece]:
    """Readable with its signature, or redacted whole."""
    if draw(st.booleans()):
        return [BlockStarted(RedactedThought(draw(signatures))), BlockEnded()]
    deltas = draw(cut(draw(words), ThinkingDelta))
    return [BlockStarted(Thought("", "")), *deltas, Signed(draw(signatures)), BlockEnded()]


@st.composite
def call_blocks(draw: st.DrawFn) -> list[Piece]:
    """A call without arguments streams none."""
    arguments = draw(json_objects)
    deltas = draw(cut(orjson.dumps(arguments).decode(), InputDelta)) if arguments or draw(st.booleans()) else []
    name = draw(st.sampled_from(["weather", "Read", "a.b"]))
    return [BlockStarted(ToolUse(draw(_ids), name, {})), *deltas, BlockEnded()]


@st.composite
def pieces(draw: st.DrawFn, min_blocks: int = 0) -> list[Event]:
    """The blocks of an answer: thoughts first, then text and calls."""
    thoughts = draw(st.lists(thought_blocks(), max_size=2))
    rest = draw(st.lists(text_blocks() | call_blocks(), min_size=max(0, min_blocks - len(thoughts)), max_size=4))
    return [piece for block in (*thoughts, *rest) for piece in block]


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    """Whole and legal."""
    return [Started("claude-test", draw(usages)), *draw(pieces()), draw(ends)]


@st.composite
def beginnings(draw: st.DrawFn) -> list[Event]:
    """An answer that breaks off somewhere before its end, in the middle of a block perhaps, or before all."""
    whole = draw(answers())
    return whole[: draw(st.integers(0, len(whole) - 1))]


def said(events: Iterable[Event]) -> tuple[Said, ...]:
    """What the events say, block by block; what a restart voids is forgotten."""
    blocks: list[Said] = []
    for event in events:
        match event:
            case BlockStarted(Text()):
                blocks.append(Said("text"))
            case BlockStarted(Thought()):
                blocks.append(Said("thinking"))
            case BlockStarted(RedactedThought(data)):
                blocks.append(Said("redacted", data))
            case BlockStarted(ToolUse(id_, name)):
                blocks.append(Said("call", id=id_, name=name))
            case TextDelta(text) | ThinkingDelta(text) | InputDelta(text):
                blocks[-1] = replace(blocks[-1], text=blocks[-1].text + text)
            case Signed(signature):
                blocks[-1] = replace(blocks[-1], signature=signature)
            case Restarted():
                blocks.clear()
    return tuple(blocks)


def settled(blocks: Sequence[Said]) -> tuple[Said, ...]:
    """The same with the JSON of a whole call in one form; one without arguments is an empty object."""
    return tuple(
        replace(one, text=orjson.dumps(orjson.loads(one.text or "{}")).decode()) if one.kind == "call" else one
        for one in blocks
    )


def begun(blocks: Sequence[Said]) -> tuple[Said, ...]:
    """The same where a call may have broken off; the empty object is as good as nothing."""
    return tuple(replace(one, text="") if (one.kind, one.text) == ("call", "{}") else one for one in blocks)
