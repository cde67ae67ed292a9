"""Custom tools in a chat: the model sees functions with one string, the client sees calls with plain text."""

from typing import Any

import orjson
import pytest

from claude_gateway.dialects.openai_chat import encode
from claude_gateway.dialects.openai_chat.parse import ParsedChatRequest, parse
from claude_gateway.dialects.openai_chat.schema import ChatRequest
from claude_gateway.openapi.resources.chat import CompletionCustomToolCall, ToolCallDelta
from workers.core.events import BlockEnded, BlockStarted, Event, Finished, Started, TokenUsage, ToolInputDelta
from workers.core.job import ToolUse

MODEL = "claude-sonnet-4-5-20250929"
IDENTITY = encode.CompletionIdentity("chatcmpl-1", 1_700_000_000, MODEL)
GRAMMAR = {"syntax": "lark", "definition": "start: /.+/"}
OPENAI_TOOL = {"type": "custom", "custom": {"name": "patch", "format": {"type": "grammar", "grammar": GRAMMAR}}}
FLAT_TOOL = {"type": "custom", "name": "patch", "format": {"type": "grammar", **GRAMMAR}}
RAW_INPUT = 'line "one"\nline two \N{SNOWMAN}'
CALL: list[Event] = [
    Started(MODEL),
    BlockStarted(ToolUse("toolu_1", "patch", {})),
    *(ToolInputDelta(piece) for piece in ('{"in', 'put": "line \\"one', '\\"\\nline two \\u26', '03"}')),
    BlockEnded(),
    Finished("tool_use", TokenUsage()),
]


def parse_chat(definition: dict[str, Any], *messages: dict[str, Any]) -> ParsedChatRequest:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}, *messages], "tools": [definition]}
    return parse(ChatRequest.model_validate(body), "key_1", MODEL)


def encode_body(parsed: ParsedChatRequest, events: list[Event]) -> dict[str, Any]:
    builder = encode.ChatBodyBuilder(IDENTITY, custom_tools=parsed.custom_tools)
    for event in events:
        builder.feed(event)
    (call,) = builder.body()["choices"][0]["message"]["tool_calls"]
    return dict(call)


def encode_stream(parsed: ParsedChatRequest, events: list[Event]) -> list[dict[str, Any]]:
    encoder = encode.ChatStreamEncoder(IDENTITY, include_usage=False, custom_tools=parsed.custom_tools)
    chunks = [data for event in events for _, data in encoder.feed(event)]
    deltas = [orjson.loads(data)["choices"][0]["delta"] for data in chunks if data != encode.DONE]
    return [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]


@pytest.mark.parametrize("definition", [OPENAI_TOOL, FLAT_TOOL], ids=["nested", "flat"])
def test_model_sees_a_function_with_one_string_and_the_grammar(definition: dict[str, Any]) -> None:
    parsed = parse_chat(definition)

    (tool,) = parsed.job.tools
    assert (tool.name, list(tool.schema["properties"])) == ("patch", ["input"])
    assert "start: /.+/" in tool.description
    assert parsed.warnings == ("tools.0: changed the grammar to a description (the gateway does not enforce it)",)


def test_call_of_tool_in_openai_format_is_a_custom_call() -> None:
    parsed = parse_chat(OPENAI_TOOL)

    call = encode_body(parsed, CALL)
    assert call == {"id": "toolu_1", "type": "custom", "custom": {"name": "patch", "input": RAW_INPUT}}
    head, *deltas = encode_stream(parsed, CALL)
    assert head == {"index": 0, "id": "toolu_1", "type": "custom", "custom": {"name": "patch", "input": ""}}
    assert "".join(delta["custom"]["input"] for delta in deltas) == RAW_INPUT
    assert CompletionCustomToolCall.model_validate(call)
    assert all(ToolCallDelta.model_validate(delta) for delta in (head, *deltas))


def test_call_of_flat_tool_has_the_raw_text_as_arguments() -> None:
    parsed = parse_chat(FLAT_TOOL)

    assert encode_body(parsed, CALL)["function"] == {"name": "patch", "arguments": RAW_INPUT}
    head, *deltas = encode_stream(parsed, CALL)
    assert head["function"] == {"name": "patch", "arguments": ""}
    assert "".join(delta["function"]["arguments"] for delta in deltas) == RAW_INPUT


@pytest.mark.parametrize("definition", [OPENAI_TOOL, FLAT_TOOL], ids=["nested", "flat"])
def test_call_with_empty_input_has_empty_text(definition: dict[str, Any]) -> None:
    parsed = parse_chat(definition)
    empty_call = [*CALL[:2], ToolInputDelta('{"input": ""}'), *CALL[-2:]]

    (call_fields,) = [value for key, value in encode_body(parsed, empty_call).items() if key in ("custom", "function")]
    assert call_fields in ({"name": "patch", "input": ""}, {"name": "patch", "arguments": ""})
    assert len(encode_stream(parsed, empty_call)) == 1


@pytest.mark.parametrize("definition", [OPENAI_TOOL, FLAT_TOOL], ids=["nested", "flat"])
def test_resent_custom_call_equals_the_call_of_the_model(definition: dict[str, Any]) -> None:
    call = encode_body(parse_chat(definition), CALL)
    call_message = {"role": "assistant", "content": None, "tool_calls": [call]}

    turns = parse_chat(
        definition, call_message, {"role": "tool", "tool_call_id": "toolu_1", "content": "done"}
    ).job.turns

    assert turns[1].blocks == (ToolUse("toolu_1", "patch", {"input": RAW_INPUT}),)
