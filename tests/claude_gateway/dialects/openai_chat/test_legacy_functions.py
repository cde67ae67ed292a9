"""OpenAI's legacy functions: requests become tools, and calls have the legacy format."""

from typing import Any

import orjson
import pytest

from claude_gateway.core.errors import ApiError
from claude_gateway.dialects.openai_chat import encode
from claude_gateway.dialects.openai_chat.parse import ParsedChatRequest, parse
from claude_gateway.dialects.openai_chat.schema import ChatRequest
from workers.core.events import BlockEnded, BlockStarted, Event, Finished, Started, TokenUsage, ToolInputDelta
from workers.core.job import Text, ToolDefinition, ToolResult, ToolUse, Turn

MODEL = "claude-sonnet-4-5-20250929"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = {"name": "weather", "description": "about weather", "parameters": SCHEMA}
IDENTITY = encode.CompletionIdentity("chatcmpl-1", 1_700_000_000, MODEL)
CALL: list[Event] = [
    Started(MODEL),
    BlockStarted(ToolUse("toolu_1", "weather", {})),
    ToolInputDelta('{"city":'),
    ToolInputDelta('"Oslo"}'),
    BlockEnded(),
    Finished("tool_use", TokenUsage()),
]


def parse_chat(*messages: dict[str, Any], **parameters: Any) -> ParsedChatRequest:
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "hi"}, *messages],
        "functions": [WEATHER],
        **parameters,
    }
    return parse(ChatRequest.model_validate(body), "key_1", MODEL)


def test_functions_become_tools_without_parallel_calls() -> None:
    parsed = parse_chat()

    assert parsed.legacy
    assert parsed.job.tools == (ToolDefinition("weather", "about weather", SCHEMA),)
    assert parsed.job.params.tool_choice is not None
    assert not parsed.job.params.tool_choice.parallel


@pytest.mark.parametrize(
    ("choice", "mode"), [("none", "none"), ("auto", "auto"), ({"name": "weather"}, "tool"), (None, "auto")], ids=str
)
def test_function_call_parameter_becomes_tool_choice(choice: Any, mode: str) -> None:
    tool_choice = parse_chat(function_call=choice).job.params.tool_choice

    assert tool_choice is not None
    assert tool_choice.mode == mode


def test_pairs_earlier_calls_with_their_results() -> None:
    call = {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
    result = {"role": "function", "name": "weather", "content": "sunny"}

    turns = parse_chat(call, result, call, result).job.turns

    assert turns[1:] == (
        Turn("assistant", (ToolUse("call_1", "weather", {"city": "Oslo"}),)),
        Turn("user", (ToolResult("call_1", (Text("sunny"),)),)),
        Turn("assistant", (ToolUse("call_3", "weather", {"city": "Oslo"}),)),
        Turn("user", (ToolResult("call_3", (Text("sunny"),)),)),
    )


def test_renders_result_without_a_call_as_text_with_its_function_name() -> None:
    parsed = parse_chat({"role": "function", "name": "weather", "content": "sunny"})

    (turn,) = parsed.job.turns
    assert turn.blocks[1] == Text('<tool_result call="weather">\nsunny\n</tool_result>')
    assert len(parsed.warnings) == 1


def test_merges_second_result_of_a_call_into_the_first() -> None:
    call = {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": "{"}}
    results = [{"role": "function", "name": "weather", "content": text} for text in ("sunny", "windy")]

    *_, call_turn, result_turn = parse_chat(call, *results).job.turns

    assert call_turn.blocks == (ToolUse("call_1", "weather", {"raw": "{"}),)
    assert result_turn.blocks == (ToolResult("call_1", (Text("sunny"), Text("windy"))),)


def test_result_without_id_belongs_to_the_call_of_its_function_or_the_first() -> None:
    calls = [{"id": f"c{n}", "type": "function", "function": {"name": name}} for n, name in enumerate("abc")]
    result_messages = [{"role": "tool", "content": name, **({"name": name} if name == "c" else {})} for name in "cab"]

    *_, result_turn = parse_chat(
        {"role": "assistant", "content": None, "tool_calls": calls}, *result_messages
    ).job.turns

    assert result_turn.blocks == tuple(ToolResult(f"c{'abc'.index(name)}", (Text(name),)) for name in "cab")


@pytest.mark.parametrize("id_field", [{}, {"id": None}, {"id": ""}], ids=str)
def test_call_without_id_gets_the_result_in_the_next_message(id_field: dict[str, Any]) -> None:
    calls = [{**id_field, "type": "function", "function": {"name": name, "arguments": {}}} for name in "ab"]
    result_messages = [{"role": "tool", "content": name} for name in "ab"]

    *_, call_turn, result_turn = parse_chat(
        {"role": "assistant", "content": "", "tool_calls": calls}, *result_messages
    ).job.turns

    assert call_turn.blocks == tuple(ToolUse(f"call_1_{n}", name, {}) for n, name in enumerate("ab"))
    assert result_turn.blocks == tuple(ToolResult(f"call_1_{n}", (Text(name),)) for n, name in enumerate("ab"))


def test_rejects_result_without_id_if_no_call_is_open() -> None:
    with pytest.raises(ApiError) as raised:
        parse_chat({"role": "tool", "content": "sunny"})

    assert (raised.value.status, raised.value.param) == (400, "messages.1.tool_call_id")


def test_uses_tool_calls_if_the_client_sends_tools_too() -> None:
    assert not parse_chat(tools=[{"type": "function", "function": WEATHER}]).legacy


def test_encodes_call_as_function_call() -> None:
    builder = encode.ChatBodyBuilder(IDENTITY, legacy=True)
    for event in CALL:
        builder.feed(event)
    (choice,) = builder.body()["choices"]

    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["function_call"] == {"name": "weather", "arguments": '{"city":"Oslo"}'}
    assert "tool_calls" not in choice["message"]


def test_streams_call_as_function_call() -> None:
    encoder = encode.ChatStreamEncoder(IDENTITY, include_usage=False, legacy=True)
    *data, done = [data for event in CALL for _, data in encoder.feed(event)]
    choices = [orjson.loads(chunk)["choices"][0] for chunk in data]
    calls = [choice["delta"]["function_call"] for choice in choices if "function_call" in choice["delta"]]

    assert done == "[DONE]"
    assert [call.get("name") for call in calls] == ["weather", None, None]
    assert "".join(call["arguments"] for call in calls) == '{"city":"Oslo"}'
    assert choices[-1]["finish_reason"] == "function_call"
