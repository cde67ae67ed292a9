"""Strategies for jobs as a dialect makes them: turns that alternate, every call answered in the next one."""

from collections.abc import Iterable
from dataclasses import replace

from hypothesis import strategies as st

from tests.claude_gateway.dialects.anything import json_objects, words
from tests.claude_gateway.dialects.event_streams import signatures
from tests.claude_gateway.dialects.face import MODEL, OWNER
from workers.job import (
    Block,
    ChatJob,
    Document,
    Image,
    OutputSchema,
    RedactedThought,
    Text,
    Thought,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Tuning,
    Turn,
)
from workers.tuning import fit

# One that takes both samplers, the default, one that thinks as it sees fit, one that always thinks.
MODELS = ("claude-opus-4-20250514", MODEL, "claude-opus-4-6", "claude-opus-5")
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
PDF = "JVBERi0xLjAK"

texts = st.builds(Text, words.filter(str.strip))
images = st.just(Image({"type": "base64", "media_type": "image/png", "data": PIXEL}))
documents = st.just(
    Document({"source": {"type": "base64", "media_type": "application/pdf", "data": PDF}, "title": "a paper"})
)
thoughts = st.builds(Thought, words, signatures) | st.builds(RedactedThought, signatures)
tool_names = st.sampled_from(["weather", "Read", "a.b", "x" * 100])
schemas = st.builds(
    lambda names, extra: {"type": "object", "properties": {name: {"x-more": extra} for name in names}},
    st.lists(words, max_size=2),
    json_objects,
)
tools = st.builds(Tool, tool_names, words, schemas)
output_schemas = st.sampled_from(
    [
        {"type": "object", "properties": {"a": {"type": ["integer", "null"], "minimum": 1}}, "required": ["a"]},
        {"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#/$defs/T", "$defs": {"T": {"type": "array"}}},
        {},
    ]
)
outputs = st.builds(OutputSchema, st.none() | output_schemas, st.just("where it stands"))


@st.composite
def assistant_turns(draw: st.DrawFn, number: int) -> Turn:
    """Thoughts first; then texts and calls in any order, at least one."""
    calls = st.builds(ToolUse, st.just(""), tool_names, json_objects)
    rest = draw(st.lists(texts | calls, min_size=1, max_size=3))
    named = [replace(b, id=f"call_{number}_{n}") if isinstance(b, ToolUse) else b for n, b in enumerate(rest)]
    return Turn("assistant", (*draw(st.lists(thoughts, max_size=2)), *named))


@st.composite
def user_turns(draw: st.DrawFn, before: Turn | None) -> Turn:
    """The results of the turn before in any order, then what else is said; there is always some text."""
    fine = st.builds(ToolResult, st.just(""), st.lists(texts | images | documents, max_size=2).map(tuple))
    # The API takes nothing but text from a call that failed, and wants some.
    failed = st.builds(
        ToolResult, st.just(""), st.lists(texts, min_size=1, max_size=2).map(tuple), is_error=st.just(True)
    )
    results: list[Block] = [
        replace(draw(fine | failed), tool_use_id=block.id)
        for block in (before.blocks if before else ())
        if isinstance(block, ToolUse)
    ]
    more = draw(st.lists(texts | images | documents, max_size=2))
    return Turn("user", (*draw(st.permutations(results)), *more, draw(texts)))


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Turn, ...]:
    turns = [draw(user_turns(None))]
    for number in range(draw(st.integers(0, 3))):
        turns.append(draw(assistant_turns(number)))
        turns.append(draw(user_turns(turns[-1])))
    return tuple(turns)


@st.composite
def tunings(draw: st.DrawFn, names: list[str]) -> Tuning:
    mode = draw(st.sampled_from(["auto", "any", "tool", "none"] if names else ["auto"]))
    choice = ToolChoice(mode, draw(st.sampled_from(names)) if mode == "tool" else "", draw(st.booleans()))
    return Tuning(
        max_tokens=draw(st.none() | st.integers(1, 128_000)),
        temperature=draw(st.none() | st.floats(0, 1)),
        top_p=draw(st.none() | st.floats(0, 1)),
        top_k=draw(st.none() | st.integers(1, 500)),
        stop=tuple(draw(st.lists(words.filter(str.strip), max_size=2))),
        thinking=draw(st.sampled_from(["off", "adaptive"]) | st.integers(1, 100_000)),
        display=draw(st.none() | st.sampled_from(["summarized", "omitted", "updates"])),
        effort=draw(st.none() | st.sampled_from(["low", "medium", "high", "xhigh", "max"])),
        # To choose freely is to say nothing.
        tool_choice=None if not names or (mode == "auto" and choice.parallel) else choice,
        output=draw(st.none() | outputs),
    )


@st.composite
def jobs(draw: st.DrawFn) -> ChatJob:
    """With parameters that already fit the model: what gives way is no loss of the dialect."""
    model = draw(st.sampled_from(MODELS))
    offered = tuple({tool.name: tool for tool in draw(st.lists(tools, max_size=3))}.values())
    turns = draw(conversations())
    tuning, _ = fit(draw(tunings([tool.name for tool in offered])), model, turns)
    system = draw(st.just("") | words.filter(str.strip))
    return ChatJob(OWNER, model, turns, system, tuning, offered)


def standing_at(place: str, tuning: Tuning) -> Tuning:
    """With its schema where a dialect has it."""
    return tuning if tuning.output is None else replace(tuning, output=replace(tuning.output, place=place))


def only(turns: Iterable[Turn], *kinds: type[Block]) -> tuple[Turn, ...]:
    """The turns without blocks of other kinds; each has a text, a call or a result besides."""
    return tuple(replace(turn, blocks=tuple(b for b in turn.blocks if isinstance(b, kinds))) for turn in turns)
