"""Strategies for valid jobs: turns alternate, and every call has its result in the next turn."""

from collections.abc import Iterable
from dataclasses import replace

from hypothesis import strategies as st

from tests.claude_gateway.dialects.adapters.dialect_adapter import KEY_ID, MODEL
from tests.claude_gateway.dialects.strategies.event_streams import signatures
from tests.claude_gateway.dialects.strategies.json_values import json_objects, unicode_text
from workers.core.job import (
    Block,
    ChatJob,
    Document,
    GenerationParams,
    Image,
    OutputSchema,
    RedactedThinkingBlock,
    Text,
    ThinkingBlock,
    ToolChoice,
    ToolDefinition,
    ToolResult,
    ToolUse,
    Turn,
)
from workers.params.generation_params import fit_to_model

# A model that accepts `temperature` with `top_p`, the default model, one with adaptive thinking, and one that always
# thinks.
MODELS = ("claude-opus-4-20250514", MODEL, "claude-opus-4-6", "claude-opus-5")
PIXEL_PNG_BASE64 = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
PDF_BASE64 = "JVBERi0xLjAK"

texts = st.builds(Text, unicode_text.filter(str.strip))
images = st.just(Image({"type": "base64", "media_type": "image/png", "data": PIXEL_PNG_BASE64}))
documents = st.just(
    Document({"source": {"type": "base64", "media_type": "application/pdf", "data": PDF_BASE64}, "title": "a paper"})
)
thinking_blocks = st.builds(ThinkingBlock, unicode_text, signatures) | st.builds(RedactedThinkingBlock, signatures)
tool_names = st.sampled_from(["weather", "Read", "a.b", "x" * 100])
schemas = st.builds(
    lambda names, extra: {"type": "object", "properties": {name: {"x-more": extra} for name in names}},
    st.lists(unicode_text, max_size=2),
    json_objects,
)
tools = st.builds(ToolDefinition, tool_names, unicode_text, schemas)
output_schemas = st.sampled_from(
    [
        {"type": "object", "properties": {"a": {"type": ["integer", "null"], "minimum": 1}}, "required": ["a"]},
        {"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#/$defs/T", "$defs": {"T": {"type": "array"}}},
        {},
    ]
)
output_options = st.builds(OutputSchema, st.none() | output_schemas, st.just("field.path"))


@st.composite
def assistant_turns(draw: st.DrawFn, number: int) -> Turn:
    """Draw thinking first, then texts and calls in any order, at least one."""
    calls = st.builds(ToolUse, st.just(""), tool_names, json_objects)
    other_blocks = draw(st.lists(texts | calls, min_size=1, max_size=3))
    numbered = [
        replace(b, id=f"call_{number}_{n}") if isinstance(b, ToolUse) else b for n, b in enumerate(other_blocks)
    ]
    return Turn("assistant", (*draw(st.lists(thinking_blocks, max_size=2)), *numbered))


@st.composite
def user_turns(draw: st.DrawFn, previous: Turn | None) -> Turn:
    """Draw the results of the previous turn in any order, then other blocks, the last one a text."""
    successful = st.builds(ToolResult, st.just(""), st.lists(texts | images | documents, max_size=2).map(tuple))
    # The API requires a text in the result of a failed call, and accepts nothing else.
    failed = st.builds(
        ToolResult, st.just(""), st.lists(texts, min_size=1, max_size=2).map(tuple), is_error=st.just(True)
    )
    results: list[Block] = [
        replace(draw(successful | failed), tool_use_id=block.id)
        for block in (previous.blocks if previous else ())
        if isinstance(block, ToolUse)
    ]
    other_blocks = draw(st.lists(texts | images | documents, max_size=2))
    return Turn("user", (*draw(st.permutations(results)), *other_blocks, draw(texts)))


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Turn, ...]:
    turns = [draw(user_turns(None))]
    for number in range(draw(st.integers(0, 3))):
        turns.append(draw(assistant_turns(number)))
        turns.append(draw(user_turns(turns[-1])))
    return tuple(turns)


@st.composite
def generation_params(draw: st.DrawFn, available_tools: list[str]) -> GenerationParams:
    mode = draw(st.sampled_from(["auto", "any", "tool", "none"] if available_tools else ["auto"]))
    choice = ToolChoice(mode, draw(st.sampled_from(available_tools)) if mode == "tool" else "", draw(st.booleans()))
    return GenerationParams(
        max_tokens=draw(st.none() | st.integers(1, 128_000)),
        temperature=draw(st.none() | st.floats(0, 1)),
        top_p=draw(st.none() | st.floats(0, 1)),
        top_k=draw(st.none() | st.integers(1, 500)),
        stop=tuple(draw(st.lists(unicode_text.filter(str.strip), max_size=2))),
        thinking=draw(st.sampled_from(["off", "adaptive"]) | st.integers(1, 100_000)),
        thinking_display=draw(st.none() | st.sampled_from(["summarized", "omitted", "updates"])),
        effort=draw(st.none() | st.sampled_from(["low", "medium", "high", "xhigh", "max"])),
        # A choice of `auto` with parallel calls equals no choice.
        tool_choice=None if not available_tools or (mode == "auto" and choice.parallel) else choice,
        output_schema=draw(st.none() | output_options),
    )


@st.composite
def jobs(draw: st.DrawFn) -> ChatJob:
    """Draw a job whose parameters already fit the model, so that the gateway drops none of them."""
    model = draw(st.sampled_from(MODELS))
    offered_tools = tuple({tool.name: tool for tool in draw(st.lists(tools, max_size=3))}.values())
    turns = draw(conversations())
    params, _ = fit_to_model(draw(generation_params([tool.name for tool in offered_tools])), model, turns)
    system = draw(st.just("") | unicode_text.filter(str.strip))
    return ChatJob(KEY_ID, model, turns, system, params, offered_tools)


def with_schema_path(field_path: str, params: GenerationParams) -> GenerationParams:
    """Return the parameters with the schema at the field path of the dialect."""
    return (
        params
        if params.output_schema is None
        else replace(params, output_schema=replace(params.output_schema, field_path=field_path))
    )


def keep_blocks(turns: Iterable[Turn], *kinds: type[Block]) -> tuple[Turn, ...]:
    """Return the turns with only the blocks of these kinds."""
    return tuple(replace(turn, blocks=tuple(b for b in turn.blocks if isinstance(b, kinds))) for turn in turns)
