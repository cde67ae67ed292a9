"""Cursor's agent mode: a Responses body on the path of chats, answered as a chat."""

from typing import Any

import orjson
import pytest

from tests.claude_gateway.scripted import HELLO, MODEL, STARTED, ScriptedDispatcher
from tests.claude_gateway.web.conftest import Serve
from tests.claude_gateway.web.test_sse import data_of, words
from workers.events import BlockEnded, BlockStarted, Finished, InputDelta, Usage
from workers.job import Text, ToolResult, ToolUse, Turn

PATH = "/v1/chat/completions"
PATCH = {
    "type": "custom",
    "name": "ApplyPatch",
    "format": {"type": "grammar", "syntax": "lark", "definition": "s: /.+/"},
}
READ = {"type": "function", "name": "read_file", "parameters": {"type": "object"}}
AGENT: dict[str, Any] = {
    "model": MODEL,
    "input": [{"type": "message", "role": "developer", "content": "You code."}, {"role": "user", "content": "hi"}],
    "stream": True,
    "store": False,
    "include": ["reasoning.encrypted_content"],
    "text": {"verbosity": "low"},
    "stream_options": {"include_usage": True, "include_obfuscation": False},
    "tools": [READ, PATCH],
    "tool_choice": "auto",
    "max_output_tokens": 4096,
}
PATCHING = (
    STARTED,
    *(
        BlockStarted(ToolUse("call_1", "ApplyPatch", {})),
        InputDelta('{"input": "*** Be'),
        InputDelta('gin\\n"}'),
        BlockEnded(),
    ),
    *(BlockStarted(ToolUse("call_2", "read_file", {})), InputDelta('{"path":'), InputDelta('"a"}'), BlockEnded()),
    Finished("tool_use", Usage()),
)


@pytest.mark.promise("chat.agents")
@pytest.mark.parametrize("messages", [{}, {"messages": []}, {"messages": None}], ids=["none", "empty", "null"])
async def test_a_responses_body_is_answered_with_the_chunks_of_a_chat(serve: Serve, messages: dict[str, Any]) -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO)
    client = await serve(dispatcher)

    data = await data_of(await client.post(PATH, json={**AGENT, **messages}))

    assert words(data[:-2]) == "Hello"
    assert data[-1] == "[DONE]"
    assert orjson.loads(data[-2])["usage"]["total_tokens"] == 5
    (job,) = dispatcher.jobs
    assert (job.system, job.turns) == ("You code.", (Turn("user", (Text("hi"),)),))
    assert [tool.name for tool in job.tools] == ["read_file", "ApplyPatch"]


async def test_it_is_answered_whole_where_it_asks_for_no_stream(serve: Serve) -> None:
    client = await serve()

    body = await (await client.post(PATH, json={**AGENT, "stream": False, "input": "Say hello."})).json()

    assert (body["object"], body["choices"][0]["message"]["content"]) == ("chat.completion", "Hello")


@pytest.mark.promise("chat.agents")
async def test_a_custom_tool_is_called_as_a_function_with_its_raw_text(serve: Serve) -> None:
    client = await serve(ScriptedDispatcher.always(*PATCHING))

    data = await data_of(await client.post(PATH, json=AGENT))
    whole = await (await client.post(PATH, json={**AGENT, "stream": False})).json()

    fragments = [
        fragment
        for one in data[:-2]
        for choice in orjson.loads(one)["choices"]
        for fragment in choice["delta"].get("tool_calls", ())
    ]
    streamed = [
        "".join(one["function"]["arguments"] for one in fragments if one["index"] == index) for index in range(2)
    ]
    calls = whole["choices"][0]["message"]["tool_calls"]
    assert streamed == [call["function"]["arguments"] for call in calls] == ["*** Begin\n", '{"path":"a"}']
    assert [(call["type"], call["function"]["name"]) for call in calls] == [
        ("function", "ApplyPatch"),
        ("function", "read_file"),
    ]
    assert whole["choices"][0]["finish_reason"] == "tool_calls"


async def test_its_calls_come_back_as_they_went_out(serve: Serve) -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO)
    client = await serve(dispatcher)
    history = [
        *AGENT["input"],
        {"type": "function_call", "call_id": "call_1", "name": "ApplyPatch", "arguments": "*** Begin\n"},
        {"type": "function_call_output", "call_id": "call_1", "output": "Done"},
    ]

    await client.post(PATH, json={**AGENT, "input": history})

    assert dispatcher.jobs[0].turns[1:] == (
        Turn("assistant", (ToolUse("call_1", "ApplyPatch", {"input": "*** Begin\n"}),)),
        Turn("user", (ToolResult("call_1", (Text("Done"),)),)),
    )


async def test_a_chat_with_messages_is_a_chat_whatever_else_it_has(serve: Serve) -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO)
    client = await serve(dispatcher)

    response = await client.post(
        PATH, json={"model": MODEL, "messages": [{"role": "user", "content": "chat"}], "input": "no"}
    )

    assert dispatcher.jobs[0].turns == (Turn("user", (Text("chat"),)),)
    assert response.headers["x-gateway-warnings"] == "input: unknown parameter"


@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        ({"previous_response_id": "resp_1"}, 400, "previous_response_id"),
        ({"background": True, "store": True}, 400, "background"),
        ({"input": [{"id": "msg_1_0"}]}, 404, "input.0"),
        ({"input": []}, 400, "input"),
    ],
)
async def test_what_only_the_other_path_can_do_is_refused_by_name(
    serve: Serve, change: dict[str, Any], status: int, param: str
) -> None:
    response = await (await serve()).post(PATH, json={**AGENT, **change})

    assert (response.status, (await response.json())["error"]["param"]) == (status, param)
