"""Histories as programs keep them, through the real CLI: what the model is asked, in a fresh and in a used process."""

import re
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import aiohttp
import orjson
import pytest
import pytest_asyncio

from claude_gateway.cli_facts.pictures import base64, png
from claude_gateway.demo.upstream import stand_in
from tests.e2e.conftest import API_KEY, MODEL, Gateway, gateway_on

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

Json = dict[str, Any]
BIG = 1234567890123456789
SCHEMA = {"type": "object", "properties": {"user": {"type": "integer"}}}
QUESTION = f'ban them {{{{tool ban {{"user":{BIG}}}}}}}'
FACT = {
    "type": "search_result",
    "source": "https://kb/1",
    "title": "Prices",
    "content": [{"type": "text", "text": "42"}],
}
NOT_SHOWN = "[An image stood here. It is not shown any more: this conversation holds too many of them.]"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def roomy(tmp_path_factory: Any) -> AsyncIterator[Gateway]:
    """Room for a conversation beside the worker that is kept empty."""
    async with (
        stand_in() as upstream,
        gateway_on(upstream, tmp_path_factory.mktemp("state"), chat_workers=3) as running,
    ):
        yield running


class Answered:
    """An answer as its bytes came: its warnings, and its events or body."""

    def __init__(self, status: int, headers: Any, raw: bytes) -> None:
        self.status = status
        self.warnings = headers.get("x-gateway-warnings", "")
        self.raw = raw

    @property
    def body(self) -> Json:
        return dict(orjson.loads(self.raw))

    @property
    def events(self) -> list[Json]:
        lines = self.raw.decode().splitlines()
        return [orjson.loads(line[6:]) for line in lines if line.startswith("data: {")]


async def post(gateway: Gateway, path: str, body: Json) -> Answered:
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(gateway.url + path, json=body, headers=headers) as answer,
    ):
        return Answered(answer.status, answer.headers, await answer.read())


def asked(gateway: Gateway) -> list[Json]:
    """The messages of the newest upstream request."""
    return list(gateway.upstream.chats[-1].body["messages"])


def inputs(gateway: Gateway) -> list[Any]:
    """The arguments of all calls that the model reads, as they stand in the bytes of the newest upstream request."""
    return re.findall(rb'"name":"ban","input":(\{.*?\})', gateway.upstream.chats[-1].raw)


class Chat:
    path = "/v1/chat/completions"

    def request(self, *messages: Json, stream: bool = False) -> Json:
        tool = {"type": "function", "function": {"name": "ban", "parameters": SCHEMA}}
        return {"model": MODEL, "messages": [user(QUESTION), *messages], "tools": [tool], "stream": stream}

    def called(self, answer: Answered, stream: bool) -> Json:
        """The message to send back."""
        if not stream:
            return dict(answer.body["choices"][0]["message"])
        deltas = [event["choices"][0]["delta"] for event in answer.events if event["choices"]]
        fragments = [one for delta in deltas for one in delta.get("tool_calls", ())]
        arguments = "".join(one["function"]["arguments"] for one in fragments)
        function = {"name": "ban", "arguments": arguments}
        return {
            "role": "assistant",
            "content": "".join(delta.get("content") or "" for delta in deltas),
            "tool_calls": [{"id": fragments[0]["id"], "type": "function", "function": function}],
        }

    def answered(self, call: Json) -> Json:
        return {"role": "tool", "tool_call_id": call["tool_calls"][0]["id"], "content": "done"}


class Messages:
    path = "/v1/messages"

    def request(self, *messages: Json, stream: bool = False) -> Json:
        tool = {"name": "ban", "input_schema": SCHEMA}
        body = {"model": MODEL, "max_tokens": 100, "messages": [user(QUESTION), *messages], "tools": [tool]}
        return {**body, "stream": stream}

    def called(self, answer: Answered, stream: bool) -> Json:
        if not stream:
            return {"role": "assistant", "content": answer.body["content"]}
        deltas = [event["delta"] for event in answer.events if event["type"] == "content_block_delta"]
        starts = [event["content_block"] for event in answer.events if event["type"] == "content_block_start"]
        (use,) = [block for block in starts if block["type"] == "tool_use"]
        arguments = "".join(delta.get("partial_json", "") for delta in deltas)
        said = "".join(delta.get("text", "") for delta in deltas)
        return {
            "role": "assistant",
            "content": [{"type": "text", "text": said}, {**use, "input": orjson.loads(arguments)}],
        }

    def answered(self, call: Json) -> Json:
        (use,) = [block for block in call["content"] if block["type"] == "tool_use"]
        return user([{"type": "tool_result", "tool_use_id": use["id"], "content": "done"}])


def user(content: Any) -> Json:
    return {"role": "user", "content": content}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", [Chat(), Messages()], ids=["chat", "messages"])
async def test_a_call_with_a_long_integer_comes_and_goes_back_with_all_its_digits(
    roomy: Gateway, dialect: Chat | Messages, stream: bool
) -> None:
    call = dialect.called(await post(roomy, dialect.path, dialect.request(stream=stream)), stream)
    assert str(BIG) in orjson.dumps(call).decode()
    history = [call, dialect.answered(call)]

    for number in range(3):
        answer = await post(roomy, dialect.path, dialect.request(*history, stream=stream))

        assert answer.status == 200
        assert answer.warnings.count(".user: given to Claude as a string of its digits") == 1
        assert inputs(roomy) == [f'{{"user":"{BIG}"}}'.encode()]
        history += [{"role": "assistant", "content": f"answer {number}"}, user(f"and {number}")]


async def test_a_call_with_a_long_integer_is_read_in_a_fresh_process_too(gateway: Gateway) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "ban", "arguments": f'{{"user": {10**30}}}'}}
    history = [{"role": "assistant", "content": None, "tool_calls": [call]}]
    history.append({"role": "tool", "tool_call_id": "c1", "content": "done"})

    answer = await post(gateway, Chat.path, Chat().request(*history))

    assert answer.status == 200
    assert inputs(gateway) == [f'{{"user":"{10**30}"}}'.encode()]


async def test_a_conversation_of_screenshots_goes_on_past_what_the_model_is_sent(roomy: Gateway) -> None:
    """Each turn of an agent brings one more. The model is sent no more than it can take, and told so."""
    urls = [f"data:image/png;base64,{base64(png(colour=number))}" for number in range(123)]
    messages = [user([{"type": "image_url", "image_url": {"url": url}} for url in urls[:99]])]
    beginnings: list[list[Json]] = []
    for url in urls[99:]:
        answer = await post(roomy, Chat.path, {"model": MODEL, "messages": messages})
        assert answer.status == 200
        images = [block for message in asked(roomy) for block in message["content"] if block["type"] == "image"]
        assert len(images) <= 100
        assert images[-1]["source"]["data"] == messages[-1]["content"][-1]["image_url"]["url"].partition(",")[2]
        sent = sum(len(one["content"]) for one in messages if one["role"] == "user")
        assert str(asked(roomy)).count(NOT_SHOWN) == sent - len(images)
        assert ("images: the oldest" in answer.warnings) == (sent > 100)
        beginnings.append(asked(roomy)[0]["content"])
        messages += [{"role": "assistant", "content": answer.body["choices"][0]["message"]["content"] or "ok"}]
        messages += [user([{"type": "image_url", "image_url": {"url": url}}])]
    plain = [[{k: v for k, v in block.items() if k != "cache_control"} for block in one] for one in beginnings]
    assert sum(a != b for a, b in pairwise(plain)) == 2


@pytest.mark.parametrize("used", [False, True])
async def test_search_results_reach_the_model_as_they_are(gateway: Gateway, used: bool) -> None:
    if used:
        await gateway.ask("hello")
    call = {"type": "tool_use", "id": "t", "name": "ban", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [FACT]}
    question = {"type": "text", "text": "What does it cost?"}
    messages = [user([FACT, question]), {"role": "assistant", "content": [call]}, user([result, question])]

    for path in (Messages.path, Chat.path):
        answer = await post(gateway, path, {"model": MODEL, "max_tokens": 50, "messages": messages})

        assert (answer.status, answer.warnings) == (200, "")
        first, _, last = ([b for b in one["content"] if "local-command" not in str(b)] for one in asked(gateway))
        assert FACT in first
        assert FACT in last[0]["content"]


async def test_a_found_tool_is_offered_and_the_placeholder_is_not(gateway: Gateway) -> None:
    tools = [
        {"name": name, "description": name, "input_schema": SCHEMA, "defer_loading": name != "ToolSearch"}
        for name in ("ToolSearch", "DeferredToolPlaceholder", "mcp__w__weather")
    ]
    call = {"type": "tool_use", "id": "t", "name": "ToolSearch", "input": {"query": "weather"}}
    found = [{"type": "tool_reference", "tool_name": "mcp__w__weather"}]
    result = {"type": "tool_result", "tool_use_id": "t", "content": found}
    messages = [user("weather?"), {"role": "assistant", "content": [call]}, user([result])]

    for stream in (False, True):
        body = {"model": MODEL, "max_tokens": 50, "messages": messages, "tools": tools, "stream": stream}
        answer = await post(gateway, Messages.path, body)

        assert (answer.status, answer.warnings) == (200, "")
        assert len(gateway.upstream.chats[-1].body["tools"]) == 2
        assert "Placeholder" not in str(gateway.upstream.chats[-1].body)
        (sent,) = asked(gateway)[-1]["content"]
        assert sent["content"] == [{"type": "text", "text": "Found tool: mcp__w__weather"}]


POEM = "Write one line of a poem."
ALONE = {
    "chat": (Chat.path, {"model": MODEL, "messages": [{"role": "system", "content": POEM}]}),
    "responses": ("/v1/responses", {"model": MODEL, "input": [{"role": "developer", "content": POEM}]}),
    "instructions": ("/v1/responses", {"model": MODEL, "input": [], "instructions": POEM}),
    "gemini": (f"/v1beta/models/{MODEL}:generateContent", {"contents": [], "systemInstruction": POEM}),
}


@pytest.mark.parametrize("case", ALONE)
async def test_a_system_prompt_alone_is_asked(gateway: Gateway, case: str) -> None:
    answer = await post(gateway, *ALONE[case])

    assert answer.status == 200
    assert "system prompt is given to Claude as one" in answer.warnings
    assert POEM in answer.raw.decode()  # the stand-in says what it was asked
    assert POEM not in str(gateway.upstream.chats[-1].body["system"])


@pytest.mark.parametrize("method", ["generateContent", "streamGenerateContent"])
async def test_two_answers_to_one_call_of_gemini_s_are_one(gateway: Gateway, method: str) -> None:
    response = {"function_response": {"name": "get_weather", "response": {"content": "18C"}}}
    contents = [
        {"role": "user", "parts": [{"text": "weather"}]},
        {"role": "model", "parts": [{"function_call": {"name": "get_weather", "args": {"city": "Paris"}}}]},
        {"role": "user", "parts": [response, response]},
    ]
    declaration = {"name": "get_weather", "description": "w", "parameters": SCHEMA}

    answer = await post(
        gateway,
        f"/v1beta/models/{MODEL}:{method}",
        {"contents": contents, "tools": [{"function_declarations": [declaration]}]},
    )

    assert answer.status == 200
    assert "same answer twice" in answer.warnings
    (sent,) = asked(gateway)[-1]["content"]
    assert sent["content"] == [{"type": "text", "text": '{"content":"18C"}'}]
