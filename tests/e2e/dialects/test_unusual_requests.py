"""Unusual but legal requests, and invalid ones, through the real CLI: the upstream never answers with 400."""

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest
import pytest_asyncio

from claude_gateway.devtools.fake_anthropic.thinking_signature import compute_thinking_signature
from tests.e2e.helpers.gateway import API_KEY, MODEL, Gateway

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("ignore:The model .* is deprecated:DeprecationWarning"),
]

Messages = list[dict[str, Any]]


@pytest_asyncio.fixture(loop_scope="module")
async def client(gateway: Gateway) -> AsyncIterator[anthropic.AsyncAnthropic]:
    direct = anthropic.DefaultAsyncHttpxClient(trust_env=False)
    async with anthropic.AsyncAnthropic(
        base_url=gateway.url, api_key=API_KEY, max_retries=0, timeout=100, http_client=direct
    ) as connected:
        yield connected


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


def system(content: Any) -> dict[str, Any]:
    return {"role": "system", "content": content}


def tool_use(id_: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": "f", "input": {}}


def result(id_: str, words: str = "done") -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id_, "content": words}


def call(id_: str) -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": "f", "arguments": "{}"}}


def tool(id_: str, words: str = "done") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id_, "content": words}


THINKING = {"thinking": {"type": "enabled", "budget_tokens": 2_000}}
THINKING_BLOCK = {"type": "thinking", "thinking": "hm", "signature": compute_thinking_signature("hm")}
MESSAGES: dict[str, tuple[Messages, dict[str, Any]]] = {
    "the assistant first": ([assistant("I begin"), user("hi")], {}),
    "the assistant last": ([user("hi"), assistant("The answer is")], {}),
    "a call last": ([user("hi"), assistant([tool_use("t1")])], {}),
    "blank contents": (
        [user(" "), user("a"), assistant(""), assistant([]), user([{"type": "text", "text": "\n"}])],
        {},
    ),
    "several in a row": ([user("a"), user("b"), assistant("c"), assistant("d"), user("e"), user("f")], {}),
    "system in the middle and last": (
        [system("x"), user("a"), system("y"), assistant("b"), user("c"), system("z")],
        {},
    ),
    "a call without its result": ([user("a"), assistant([tool_use("t1"), tool_use("t2")]), user([result("t2")])], {}),
    "a result behind a text": (
        [user("a"), assistant([tool_use("t1")]), user([{"type": "text", "text": "b"}, result("t1")])],
        {},
    ),
    "ids that repeat": (
        [
            user("a"),
            assistant([tool_use("t1")]),
            user([result("t1")]),
            assistant([tool_use("t1")]),
            user([result("t1")]),
        ],
        {},
    ),
    "thinking enabled without earlier thinking blocks": (
        [user("a"), assistant([tool_use("t1")]), user([result("t1")])],
        THINKING,
    ),
    "thinking blocks while thinking is off": (
        [user("a"), assistant([THINKING_BLOCK, tool_use("t1")]), user([result("t1")])],
        {},
    ),
    "a thinking block alone": ([user("a"), assistant([THINKING_BLOCK]), user("b")], THINKING),
    "a tool that another provider ran": (
        [user("a"), assistant([{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}]), user("b")],
        {},
    ),
    "a result without a call": ([user("a"), assistant("b"), user([result("t9")])], {}),
    "a result first": ([user([result("t1")]), user("a")], {}),
    "a late result": ([user("a"), assistant([tool_use("t1")]), user("b"), assistant("c"), user([result("t1")])], {}),
    "two results of one call": ([user("a"), assistant([tool_use("t1")]), user([result("t1"), result("t1", "x")])], {}),
    "two calls of one id": (
        [
            user("a"),
            assistant([tool_use("t1"), {**tool_use("t1"), "name": "g"}]),
            user([result("t1"), result("t1", "x")]),
        ],
        {},
    ),
    "arguments that are null": ([user("a"), assistant([{**tool_use("t1"), "input": None}]), user([result("t1")])], {}),
    "a budget over the limit": ([user("a")], {"thinking": {"type": "enabled", "budget_tokens": 90_000}}),
    "all parameters at once": (
        [user("a")],
        {**THINKING, "extra_body": {"temperature": 0.1, "top_p": 0.2, "top_k": 3, "output_config": {"effort": "max"}}},
    ),
}


@pytest.mark.promise("messages.odd-but-legal")
@pytest.mark.parametrize("case", MESSAGES)
async def test_unusual_messages_are_served_by_one_upstream_request(
    gateway: Gateway, client: anthropic.AsyncAnthropic, case: str
) -> None:
    messages, parameters = MESSAGES[case]
    response = await client.messages.create(model=MODEL, max_tokens=5_000, messages=messages, **parameters)  # type: ignore[arg-type]
    assert response.stop_reason == "end_turn"
    assert len(gateway.upstream.chat_requests) == 1


CHATS: dict[str, tuple[Messages, dict[str, Any]]] = {
    "the assistant first": ([assistant("I begin"), user("hi")], {}),
    "the assistant last": ([user("hi"), assistant("The answer is")], {}),
    "a call last": ([user("hi"), assistant(None, tool_calls=[call("c1")])], {}),
    "blank contents": ([user(" "), user("a"), assistant(None), assistant(""), user([])], {}),
    "several in a row": ([user("a"), user("b"), assistant("c"), assistant("d"), user("e"), user("f")], {}),
    "system in the middle and last": (
        [system("x"), user("a"), system("y"), assistant("b"), user("c"), system("z")],
        {},
    ),
    "a call without its result": (
        [user("a"), assistant("", tool_calls=[call("c1"), call("c2")]), tool("c2"), user("b")],
        {},
    ),
    "a user between the results": (
        [user("a"), assistant("", tool_calls=[call("c1"), call("c2")]), tool("c2"), user("b"), tool("c1")],
        {},
    ),
    "ids that repeat": (
        [user("a"), *[assistant("", tool_calls=[call("c")]), tool("c")] * 2],
        {},
    ),
    "a result without a call": ([user("a"), assistant("b"), tool("t9")], {}),
    "a result first": ([tool("t1"), user("a")], {}),
    "two results of one call": ([user("a"), assistant(None, tool_calls=[call("c1")]), tool("c1"), tool("c1", "x")], {}),
    "two calls of one id": ([user("a"), assistant(None, tool_calls=[call("c1"), call("c1")]), tool("c1")], {}),
    "a system prompt alone": ([system("x")], {}),
    "a system prompt and the assistant": ([system("x"), assistant("y")], {}),
    "reasoning without earlier thinking blocks": (
        [user("a"), assistant("Let me see.", tool_calls=[call("c1")]), tool("c1")],
        {"reasoning_effort": "high"},
    ),
    "all parameters at once": (
        [user("a")],
        {"temperature": 1.9, "top_p": 0.2, "reasoning_effort": "xhigh", "max_tokens": 1_500, "stop": [" ", "x"]},
    ),
}


@pytest.mark.parametrize("case", CHATS)
async def test_unusual_chat_is_served_by_one_upstream_request(gateway: Gateway, case: str) -> None:
    messages, parameters = CHATS[case]
    response = await gateway.ask(*messages, **parameters)
    assert response.choices[0].finish_reason == "stop"
    assert len(gateway.upstream.chat_requests) == 1


BROKEN: dict[str, tuple[Messages, Messages, str]] = {
    "a result alone": ([user([result("t1")])], [tool("t1")], "t1"),
    "no user turn": ([assistant("alone")], [assistant("alone")], "user"),
    "blank user turns": ([user(" "), user([])], [user(""), user(None)], "user"),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_invalid_request_is_named_without_an_upstream_request(
    gateway: Gateway, client: anthropic.AsyncAnthropic, case: str
) -> None:
    messages, chat, word = BROKEN[case]
    with pytest.raises(anthropic.BadRequestError, match=word) as messages_error:
        await client.messages.create(model=MODEL, max_tokens=9, messages=messages)  # type: ignore[arg-type]
    assert messages_error.value.type == "invalid_request_error"
    with pytest.raises(openai.BadRequestError, match=word) as chat_error:
        await gateway.ask(*chat)
    assert chat_error.value.param == "messages"
    assert gateway.upstream.requests == []


@pytest.mark.parametrize(
    "schema",
    [{"type": "object", "required": "city"}, {"type": "array"}, {"type": "object", "properties": [1]}],
    ids=str,
)
async def test_invalid_schema_is_named_without_an_upstream_request(
    gateway: Gateway, client: anthropic.AsyncAnthropic, schema: dict[str, Any]
) -> None:
    with pytest.raises(anthropic.BadRequestError, match=r"tools\.0\.f"):
        await client.messages.create(
            model=MODEL,
            max_tokens=9,
            messages=[user("a")],
            tools=[{"name": "f", "input_schema": schema}],  # type: ignore[arg-type, list-item]
        )
    with pytest.raises(openai.BadRequestError, match=r"tools\.0\.f"):
        await gateway.ask("a", tools=[{"type": "function", "function": {"name": "f", "parameters": schema}}])
    assert gateway.upstream.requests == []
