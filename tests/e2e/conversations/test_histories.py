"""Histories as client programs keep them, through the real CLI: the upstream requests of fresh and reused processes."""

import re
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import aiohttp
import orjson
import pytest
import pytest_asyncio

from claude_gateway.devtools.cli_contract.sample_media import encode_base64, make_png
from claude_gateway.devtools.fake_anthropic.server import run_fake_anthropic
from tests.e2e.helpers.gateway import API_KEY, MODEL, Gateway, run_gateway_on

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

Json = dict[str, Any]
LONG_INTEGER = 1234567890123456789
SCHEMA = {"type": "object", "properties": {"user": {"type": "integer"}}}
QUESTION = f'ban them {{{{tool ban {{"user":{LONG_INTEGER}}}}}}}'
SEARCH_RESULT = {
    "type": "search_result",
    "source": "https://kb/1",
    "title": "Prices",
    "content": [{"type": "text", "text": "42"}],
}
REMOVED_IMAGE_TEXT = "[An image was here. It is no longer included, because this conversation holds too many of them.]"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def larger_gateway(tmp_path_factory: Any) -> AsyncIterator[Gateway]:
    """Run a gateway with room for a conversation beside the worker that stays free for new ones."""
    async with (
        run_fake_anthropic() as upstream,
        run_gateway_on(upstream, tmp_path_factory.mktemp("state"), chat_workers=3) as running,
    ):
        yield running


class RawResponse:
    """A response with its raw bytes, its warnings, and its events or body."""

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


async def post(gateway: Gateway, path: str, body: Json) -> RawResponse:
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(gateway.url + path, json=body, headers=headers) as response,
    ):
        return RawResponse(response.status, response.headers, await response.read())


def read_last_messages(gateway: Gateway) -> list[Json]:
    """Return the messages of the newest upstream request."""
    return list(gateway.upstream.chat_requests[-1].body["messages"])


def read_call_arguments(gateway: Gateway) -> list[Any]:
    """Return the arguments of all calls of `ban`, as the bytes of the newest upstream request hold them."""
    return re.findall(rb'"name":"ban","input":(\{.*?\})', gateway.upstream.chat_requests[-1].raw)


class Chat:
    path = "/v1/chat/completions"

    def request(self, *messages: Json, stream: bool = False) -> Json:
        tool = {"type": "function", "function": {"name": "ban", "parameters": SCHEMA}}
        return {"model": MODEL, "messages": [user_message(QUESTION), *messages], "tools": [tool], "stream": stream}

    def read_call_message(self, response: RawResponse, stream: bool) -> Json:
        """Return the assistant message with the call, as the client sends it back."""
        if not stream:
            return dict(response.body["choices"][0]["message"])
        deltas = [event["choices"][0]["delta"] for event in response.events if event["choices"]]
        fragments = [item for delta in deltas for item in delta.get("tool_calls", ())]
        arguments = "".join(item["function"]["arguments"] for item in fragments)
        function = {"name": "ban", "arguments": arguments}
        return {
            "role": "assistant",
            "content": "".join(delta.get("content") or "" for delta in deltas),
            "tool_calls": [{"id": fragments[0]["id"], "type": "function", "function": function}],
        }

    def build_result_message(self, call: Json) -> Json:
        return {"role": "tool", "tool_call_id": call["tool_calls"][0]["id"], "content": "done"}


class Messages:
    path = "/v1/messages"

    def request(self, *messages: Json, stream: bool = False) -> Json:
        tool = {"name": "ban", "input_schema": SCHEMA}
        body = {"model": MODEL, "max_tokens": 100, "messages": [user_message(QUESTION), *messages], "tools": [tool]}
        return {**body, "stream": stream}

    def read_call_message(self, response: RawResponse, stream: bool) -> Json:
        if not stream:
            return {"role": "assistant", "content": response.body["content"]}
        deltas = [event["delta"] for event in response.events if event["type"] == "content_block_delta"]
        starts = [event["content_block"] for event in response.events if event["type"] == "content_block_start"]
        (use,) = [block for block in starts if block["type"] == "tool_use"]
        arguments = "".join(delta.get("partial_json", "") for delta in deltas)
        text = "".join(delta.get("text", "") for delta in deltas)
        return {
            "role": "assistant",
            "content": [{"type": "text", "text": text}, {**use, "input": orjson.loads(arguments)}],
        }

    def build_result_message(self, call: Json) -> Json:
        (use,) = [block for block in call["content"] if block["type"] == "tool_use"]
        return user_message([{"type": "tool_result", "tool_use_id": use["id"], "content": "done"}])


def user_message(content: Any) -> Json:
    return {"role": "user", "content": content}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", [Chat(), Messages()], ids=["chat", "messages"])
async def test_long_integer_in_a_call_keeps_all_digits_in_both_directions(
    larger_gateway: Gateway, dialect: Chat | Messages, stream: bool
) -> None:
    call = dialect.read_call_message(await post(larger_gateway, dialect.path, dialect.request(stream=stream)), stream)
    assert str(LONG_INTEGER) in orjson.dumps(call).decode()
    history = [call, dialect.build_result_message(call)]

    for number in range(3):
        response = await post(larger_gateway, dialect.path, dialect.request(*history, stream=stream))

        assert response.status == 200
        assert response.warnings.count(".user: converted to a string of digits") == 1
        assert read_call_arguments(larger_gateway) == [f'{{"user":"{LONG_INTEGER}"}}'.encode()]
        history += [{"role": "assistant", "content": f"answer {number}"}, user_message(f"and {number}")]


async def test_long_integer_in_a_call_keeps_all_digits_in_a_fresh_process(gateway: Gateway) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "ban", "arguments": f'{{"user": {10**30}}}'}}
    history = [{"role": "assistant", "content": None, "tool_calls": [call]}]
    history.append({"role": "tool", "tool_call_id": "c1", "content": "done"})

    response = await post(gateway, Chat.path, Chat().request(*history))

    assert response.status == 200
    assert read_call_arguments(gateway) == [f'{{"user":"{10**30}"}}'.encode()]


async def test_conversation_of_screenshots_continues_beyond_the_upstream_limit_of_media(
    larger_gateway: Gateway,
) -> None:
    """Every turn of an agent adds an image.

    The upstream request never holds more images than the upstream accepts, and a text replaces each omitted image.
    """
    urls = [f"data:image/png;base64,{encode_base64(make_png(red=number))}" for number in range(123)]
    messages = [user_message([{"type": "image_url", "image_url": {"url": url}} for url in urls[:99]])]
    first_contents: list[list[Json]] = []
    for url in urls[99:]:
        response = await post(larger_gateway, Chat.path, {"model": MODEL, "messages": messages})
        assert response.status == 200
        images = [
            block
            for message in read_last_messages(larger_gateway)
            for block in message["content"]
            if block["type"] == "image"
        ]
        assert len(images) <= 100
        assert images[-1]["source"]["data"] == messages[-1]["content"][-1]["image_url"]["url"].partition(",")[2]
        image_count = sum(len(item["content"]) for item in messages if item["role"] == "user")
        assert str(read_last_messages(larger_gateway)).count(REMOVED_IMAGE_TEXT) == image_count - len(images)
        assert ("images: omitted the oldest" in response.warnings) == (image_count > 100)
        first_contents.append(read_last_messages(larger_gateway)[0]["content"])
        messages += [{"role": "assistant", "content": response.body["choices"][0]["message"]["content"] or "ok"}]
        messages += [user_message([{"type": "image_url", "image_url": {"url": url}}])]
    plain = [[{k: v for k, v in block.items() if k != "cache_control"} for block in item] for item in first_contents]
    assert sum(a != b for a, b in pairwise(plain)) == 2


@pytest.mark.parametrize("used", [False, True])
async def test_search_results_reach_the_model_unchanged(gateway: Gateway, used: bool) -> None:
    if used:
        await gateway.ask("hello")
    call = {"type": "tool_use", "id": "t", "name": "ban", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [SEARCH_RESULT]}
    question = {"type": "text", "text": "What does it cost?"}
    messages = [
        user_message([SEARCH_RESULT, question]),
        {"role": "assistant", "content": [call]},
        user_message([result, question]),
    ]

    for path in (Messages.path, Chat.path):
        response = await post(gateway, path, {"model": MODEL, "max_tokens": 50, "messages": messages})

        assert (response.status, response.warnings) == (200, "")
        first, _, last = (
            [b for b in item["content"] if "local-command" not in str(b)] for item in read_last_messages(gateway)
        )
        assert SEARCH_RESULT in first
        assert SEARCH_RESULT in last[0]["content"]


async def test_tool_found_by_search_is_offered_without_its_placeholder(gateway: Gateway) -> None:
    tools = [
        {"name": name, "description": name, "input_schema": SCHEMA, "defer_loading": name != "ToolSearch"}
        for name in ("ToolSearch", "DeferredToolPlaceholder", "mcp__w__weather")
    ]
    call = {"type": "tool_use", "id": "t", "name": "ToolSearch", "input": {"query": "weather"}}
    found = [{"type": "tool_reference", "tool_name": "mcp__w__weather"}]
    result = {"type": "tool_result", "tool_use_id": "t", "content": found}
    messages = [user_message("weather?"), {"role": "assistant", "content": [call]}, user_message([result])]

    for stream in (False, True):
        body = {"model": MODEL, "max_tokens": 50, "messages": messages, "tools": tools, "stream": stream}
        response = await post(gateway, Messages.path, body)

        assert (response.status, response.warnings) == (200, "")
        assert len(gateway.upstream.chat_requests[-1].body["tools"]) == 2
        assert "Placeholder" not in str(gateway.upstream.chat_requests[-1].body)
        (sent,) = read_last_messages(gateway)[-1]["content"]
        assert sent["content"] == [{"type": "text", "text": "Found tool: mcp__w__weather"}]


SYSTEM_PROMPT = "Write one line of a poem."
SYSTEM_ONLY_REQUESTS = {
    "chat": (Chat.path, {"model": MODEL, "messages": [{"role": "system", "content": SYSTEM_PROMPT}]}),
    "responses": ("/v1/responses", {"model": MODEL, "input": [{"role": "developer", "content": SYSTEM_PROMPT}]}),
    "instructions": ("/v1/responses", {"model": MODEL, "input": [], "instructions": SYSTEM_PROMPT}),
    "gemini": (f"/v1beta/models/{MODEL}:generateContent", {"contents": [], "systemInstruction": SYSTEM_PROMPT}),
}


@pytest.mark.parametrize("case", SYSTEM_ONLY_REQUESTS)
async def test_request_with_a_system_prompt_alone_is_answered(gateway: Gateway, case: str) -> None:
    response = await post(gateway, *SYSTEM_ONLY_REQUESTS[case])

    assert response.status == 200
    assert "moved the system prompt into a user message" in response.warnings
    assert SYSTEM_PROMPT in response.raw.decode()  # The fake upstream echoes the prompt.
    assert SYSTEM_PROMPT not in str(gateway.upstream.chat_requests[-1].body["system"])


@pytest.mark.parametrize("method", ["generateContent", "streamGenerateContent"])
async def test_repeated_gemini_response_to_one_call_is_omitted(gateway: Gateway, method: str) -> None:
    function_response = {"function_response": {"name": "get_weather", "response": {"content": "18C"}}}
    contents = [
        {"role": "user", "parts": [{"text": "weather"}]},
        {"role": "model", "parts": [{"function_call": {"name": "get_weather", "args": {"city": "Paris"}}}]},
        {"role": "user", "parts": [function_response, function_response]},
    ]
    declaration = {"name": "get_weather", "description": "w", "parameters": SCHEMA}

    response = await post(
        gateway,
        f"/v1beta/models/{MODEL}:{method}",
        {"contents": contents, "tools": [{"function_declarations": [declaration]}]},
    )

    assert response.status == 200
    assert "omitted a repeated result" in response.warnings
    (sent,) = read_last_messages(gateway)[-1]["content"]
    assert sent["content"] == [{"type": "text", "text": '{"content":"18C"}'}]
