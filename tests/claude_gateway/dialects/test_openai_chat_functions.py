"""OpenAI's first form of tools: read as the later one, and answered as it was asked."""

from typing import Any

import orjson
import pytest

from claude_gateway.dialects.openai_chat import encode
from claude_gateway.dialects.openai_chat.parse import ParsedChat, parse
from claude_gateway.dialects.openai_chat.wire import ChatRequest
from claude_gateway.errors import ApiError
from workers.events import BlockEnded, BlockStarted, Event, Finished, InputDelta, Started, Usage
from workers.job import Text, Tool, ToolResult, ToolUse, Turn

MODEL = "claude-sonnet-4-5-20250929"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = {"name": "weather", "description": "about weather", "parameters": SCHEMA}
IDENTITY = encode.Identity("chatcmpl-1", 1_700_000_000, MODEL)
CALL: list[Event] = [
    Started(MODEL),
    BlockStarted(ToolUse("toolu_1", "weather", {})),
    InputDelta('{"city":'),
    InputDelta('"Oslo"}'),
    BlockEnded(),
    Finished("tool_use", Usage()),
]


def chat(*messages: dict[str, Any], **more: Any) -> ParsedChat:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}, *messages], "functions": [WEATHER], **more}
    return parse(ChatRequest.model_validate(body), "owner", MODEL)


def test_functions_are_tools_of_which_one_is_called_at_a_time() -> None:
    parsed = chat()

    assert parsed.legacy
    assert parsed.job.tools == (Tool("weather", "about weather", SCHEMA),)
    assert parsed.job.tuning.tool_choice is not None
    assert not parsed.job.tuning.tool_choice.parallel


@pytest.mark.parametrize(
    ("choice", "mode"), [("none", "none"), ("auto", "auto"), ({"name": "weather"}, "tool"), (None, "auto")], ids=str
)
def test_a_function_call_of_the_request_is_a_tool_choice(choice: Any, mode: str) -> None:
    chosen = chat(function_call=choice).job.tuning.tool_choice

    assert chosen is not None
    assert chosen.mode == mode


def test_calls_and_answers_of_the_past_find_each_other() -> None:
    call = {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
    answer = {"role": "function", "name": "weather", "content": "sunny"}

    turns = chat(call, answer, call, answer).job.turns

    assert turns[1:] == (
        Turn("assistant", (ToolUse("call_1", "weather", {"city": "Oslo"}),)),
        Turn("user", (ToolResult("call_1", (Text("sunny"),)),)),
        Turn("assistant", (ToolUse("call_3", "weather", {"city": "Oslo"}),)),
        Turn("user", (ToolResult("call_3", (Text("sunny"),)),)),
    )


def test_gives_an_answer_to_no_call_as_text_with_the_name_of_its_function() -> None:
    parsed = chat({"role": "function", "name": "weather", "content": "sunny"})

    (turn,) = parsed.job.turns
    assert turn.blocks[1] == Text('<tool_result call="weather">\nsunny\n</tool_result>')
    assert len(parsed.warnings) == 1


def test_gives_a_second_answer_to_a_call_with_the_first() -> None:
    call = {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": "{"}}
    answers = [{"role": "function", "name": "weather", "content": text} for text in ("sunny", "windy")]

    *_, called, answered = chat(call, *answers).job.turns

    assert called.blocks == (ToolUse("call_1", "weather", {"raw": "{"}),)
    assert answered.blocks == (ToolResult("call_1", (Text("sunny"), Text("windy"))),)


def test_an_answer_without_an_id_is_that_to_the_call_of_its_function_or_to_the_first() -> None:
    calls = [{"id": f"c{n}", "type": "function", "function": {"name": name}} for n, name in enumerate("abc")]
    told = [{"role": "tool", "content": name, **({"name": name} if name == "c" else {})} for name in "cab"]

    *_, answered = chat({"role": "assistant", "content": None, "tool_calls": calls}, *told).job.turns

    assert answered.blocks == tuple(ToolResult(f"c{'abc'.index(name)}", (Text(name),)) for name in "cab")


@pytest.mark.parametrize("missing", [{}, {"id": None}, {"id": ""}], ids=str)
def test_a_call_without_an_id_is_answered_by_the_next_message(missing: dict[str, Any]) -> None:
    calls = [{**missing, "type": "function", "function": {"name": name, "arguments": {}}} for name in "ab"]
    told = [{"role": "tool", "content": name} for name in "ab"]

    *_, called, answered = chat({"role": "assistant", "content": "", "tool_calls": calls}, *told).job.turns

    assert called.blocks == tuple(ToolUse(f"call_1_{n}", name, {}) for n, name in enumerate("ab"))
    assert answered.blocks == tuple(ToolResult(f"call_1_{n}", (Text(name),)) for n, name in enumerate("ab"))


def test_refuses_an_answer_without_an_id_where_no_call_waits_for_one() -> None:
    with pytest.raises(ApiError) as raised:
        chat({"role": "tool", "content": "sunny"})

    assert (raised.value.status, raised.value.param) == (400, "messages.1.tool_call_id")


def test_whoever_sends_tools_too_is_answered_in_tools() -> None:
    assert not chat(tools=[{"type": "function", "function": WEATHER}]).legacy


def test_a_call_comes_back_as_a_function_call() -> None:
    fold = encode.BodyFold(IDENTITY, legacy=True)
    for event in CALL:
        fold.feed(event)
    (choice,) = fold.body()["choices"]

    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["function_call"] == {"name": "weather", "arguments": '{"city":"Oslo"}'}
    assert "tool_calls" not in choice["message"]


def test_a_call_streams_as_a_function_call() -> None:
    encoder = encode.ChunkEncoder(IDENTITY, include_usage=False, legacy=True)
    *data, done = [data for event in CALL for _, data in encoder.feed(event)]
    choices = [orjson.loads(one)["choices"][0] for one in data]
    calls = [choice["delta"]["function_call"] for choice in choices if "function_call" in choice["delta"]]

    assert done == "[DONE]"
    assert [call.get("name") for call in calls] == ["weather", None, None]
    assert "".join(call["arguments"] for call in calls) == '{"city":"Oslo"}'
    assert choices[-1]["finish_reason"] == "function_call"
