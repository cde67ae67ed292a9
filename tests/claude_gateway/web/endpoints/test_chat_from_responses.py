"""Tests for Cursor's agent mode, which sends a Responses body to the path of chats and expects a chat completion."""

from typing import Any

import orjson
import pytest

from tests.claude_gateway.scripted import HELLO_EVENTS, MODEL, STARTED, ScriptedWorkerSource
from tests.claude_gateway.web.conftest import Serve
from tests.claude_gateway.web.streaming.test_sse import join_text, read_data
from workers.core.events import BlockEnded, BlockStarted, Finished, TokenUsage, ToolInputDelta
from workers.core.job import Text, ToolResult, ToolUse, Turn

PATH = "/v1/chat/completions"
PATCH_TOOL = {
    "type": "custom",
    "name": "ApplyPatch",
    "format": {"type": "grammar", "syntax": "lark", "definition": "s: /.+/"},
}
READ_TOOL = {"type": "function", "name": "read_file", "parameters": {"type": "object"}}
AGENT_REQUEST: dict[str, Any] = {
    "model": MODEL,
    "input": [{"type": "message", "role": "developer", "content": "You code."}, {"role": "user", "content": "hi"}],
    "stream": True,
    "store": False,
    "include": ["reasoning.encrypted_content"],
    "text": {"verbosity": "low"},
    "stream_options": {"include_usage": True, "include_obfuscation": False},
    "tools": [READ_TOOL, PATCH_TOOL],
    "tool_choice": "auto",
    "max_output_tokens": 4096,
}
PATCH_CALLS = (
    STARTED,
    *(
        BlockStarted(ToolUse("call_1", "ApplyPatch", {})),
        ToolInputDelta('{"input": "*** Be'),
        ToolInputDelta('gin\\n"}'),
        BlockEnded(),
    ),
    *(
        BlockStarted(ToolUse("call_2", "read_file", {})),
        ToolInputDelta('{"path":'),
        ToolInputDelta('"a"}'),
        BlockEnded(),
    ),
    Finished("tool_use", TokenUsage()),
)


@pytest.mark.promise("chat.agents")
@pytest.mark.parametrize("messages", [{}, {"messages": []}, {"messages": None}], ids=["none", "empty", "null"])
async def test_replies_to_a_responses_body_with_chat_chunks(serve: Serve, messages: dict[str, Any]) -> None:
    dispatcher = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    client = await serve(dispatcher)

    data = await read_data(await client.post(PATH, json={**AGENT_REQUEST, **messages}))

    assert join_text(data[:-2]) == "Hello"
    assert data[-1] == "[DONE]"
    assert orjson.loads(data[-2])["usage"]["total_tokens"] == 5
    (job,) = dispatcher.jobs
    assert (job.system, job.turns) == ("You code.", (Turn("user", (Text("hi"),)),))
    assert [tool.name for tool in job.tools] == ["read_file", "ApplyPatch"]


async def test_replies_with_a_body_without_stream(serve: Serve) -> None:
    client = await serve()

    body = await (await client.post(PATH, json={**AGENT_REQUEST, "stream": False, "input": "Say hello."})).json()

    assert (body["object"], body["choices"][0]["message"]["content"]) == ("chat.completion", "Hello")


@pytest.mark.promise("chat.agents")
async def test_custom_tool_call_is_a_function_call_with_raw_text(serve: Serve) -> None:
    client = await serve(ScriptedWorkerSource.repeating(*PATCH_CALLS))

    data = await read_data(await client.post(PATH, json=AGENT_REQUEST))
    whole = await (await client.post(PATH, json={**AGENT_REQUEST, "stream": False})).json()

    fragments = [
        fragment
        for chunk in data[:-2]
        for choice in orjson.loads(chunk)["choices"]
        for fragment in choice["delta"].get("tool_calls", ())
    ]
    streamed = [
        "".join(fragment["function"]["arguments"] for fragment in fragments if fragment["index"] == index)
        for index in range(2)
    ]
    calls = whole["choices"][0]["message"]["tool_calls"]
    assert streamed == [call["function"]["arguments"] for call in calls] == ["*** Begin\n", '{"path":"a"}']
    assert [(call["type"], call["function"]["name"]) for call in calls] == [
        ("function", "ApplyPatch"),
        ("function", "read_file"),
    ]
    assert whole["choices"][0]["finish_reason"] == "tool_calls"


async def test_resent_calls_are_recognized(serve: Serve) -> None:
    dispatcher = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    client = await serve(dispatcher)
    history = [
        *AGENT_REQUEST["input"],
        {"type": "function_call", "call_id": "call_1", "name": "ApplyPatch", "arguments": "*** Begin\n"},
        {"type": "function_call_output", "call_id": "call_1", "output": "Done"},
    ]

    await client.post(PATH, json={**AGENT_REQUEST, "input": history})

    assert dispatcher.jobs[0].turns[1:] == (
        Turn("assistant", (ToolUse("call_1", "ApplyPatch", {"input": "*** Begin\n"}),)),
        Turn("user", (ToolResult("call_1", (Text("Done"),)),)),
    )


async def test_body_with_messages_is_always_a_chat(serve: Serve) -> None:
    dispatcher = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    client = await serve(dispatcher)

    response = await client.post(
        PATH, json={"model": MODEL, "messages": [{"role": "user", "content": "chat"}], "input": "no"}
    )

    assert dispatcher.jobs[0].turns == (Turn("user", (Text("chat"),)),)
    assert response.headers["x-gateway-warnings"] == "input: ignored (unknown parameter)"


@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        ({"previous_response_id": "resp_1"}, 400, "previous_response_id"),
        ({"background": True, "store": True}, 400, "background"),
        ({"input": [{"id": "msg_1_0"}]}, 404, "input.0"),
        ({"input": []}, 400, "input"),
    ],
)
async def test_rejects_parameters_that_only_the_responses_path_supports(
    serve: Serve, change: dict[str, Any], status: int, param: str
) -> None:
    response = await (await serve()).post(PATH, json={**AGENT_REQUEST, **change})

    assert (response.status, (await response.json())["error"]["param"]) == (status, param)
