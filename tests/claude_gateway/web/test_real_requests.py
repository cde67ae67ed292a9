"""What real programs send is answered, and ends as each of them needs it."""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from aiohttp import ClientResponse

from tests.claude_gateway.scripted import MODEL
from tests.claude_gateway.web.conftest import Client, Serve
from tests.claude_gateway.web.real_requests import CHAT, MESSAGES, OF_CHAT, OF_MESSAGES, RealRequest


async def answered(client: Client, asked: RealRequest) -> ClientResponse:
    body = {"model": MODEL, **asked.body}
    async with asyncio.timeout(10):
        response = await client.post(asked.path, json=body, headers=asked.headers)
        await response.read()
    assert response.status == 200, await response.text()
    return response


async def events(response: ClientResponse) -> list[tuple[str, Any]]:
    """Name and data of each event of a stream, split as Dify splits it: on empty lines of LF alone."""
    text = await response.text()
    assert text.endswith("\n\n")
    assert "\r" not in text
    found = []
    for block in text.removesuffix("\n\n").split("\n\n"):
        *name, data = block.split("\n")
        assert data.startswith("data: ")
        found.append(("".join(name).removeprefix("event: "), data.removeprefix("data: ")))
    return [(name, data if data == "[DONE]" else orjson.loads(data)) for name, data in found]


@pytest.mark.promise("clients.requests")
@pytest.mark.parametrize("asked", OF_CHAT, ids=str)
async def test_a_chat_request_of_a_real_program_is_answered(serve: Serve, asked: RealRequest) -> None:
    response = await answered(await serve(), asked)

    if not asked.body.get("stream"):
        body = await response.json()
        assert (body["object"], body["choices"][0]["message"]["content"]) == ("chat.completion", "Hello")
        return
    *chunks, last = await events(response)
    assert last == ("", "[DONE]")
    assert {name for name, _ in chunks} == {""}  # Dify takes data alone
    choices = [chunk["choices"][0] for _, chunk in chunks if chunk["choices"]]
    assert choices[0]["delta"]["role"] == "assistant"
    assert "".join(choice["delta"].get("content") or "" for choice in choices) == "Hello"
    assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == ["stop"]
    with_usage = [chunk["choices"] for _, chunk in chunks if chunk.get("usage")]
    assert with_usage == ([[]] if _wants_usage(asked.body) else [])


def _wants_usage(body: Mapping[str, Any]) -> bool:
    return bool((body.get("stream_options") or {}).get("include_usage"))


@pytest.mark.promise("clients.requests")
@pytest.mark.parametrize("asked", OF_MESSAGES, ids=str)
async def test_a_messages_request_of_a_real_program_is_answered(serve: Serve, asked: RealRequest) -> None:
    response = await answered(await serve(), asked)

    if not asked.body.get("stream"):
        body = await response.json()
        assert (body["type"], body["content"][0]["text"], body["stop_reason"]) == ("message", "Hello", "end_turn")
        return
    sent = await events(response)
    assert all(name == data["type"] for name, data in sent)  # Anthropic's clients see nothing without the names
    names = [name for name, _ in sent if name != "ping"]
    assert names[0] == "message_start"
    assert names[-2:] == ["message_delta", "message_stop"]
    assert names.count("content_block_start") == names.count("content_block_stop") == 1


async def test_claude_code_may_count_thirty_four_times_at_once(serve: Serve) -> None:
    client = await serve()
    body = {"model": MODEL, "messages": [{"role": "user", "content": "foo"}], "tools": []}

    responses = await asyncio.gather(*(client.post(f"{MESSAGES}/count_tokens?beta=true", json=body) for _ in range(34)))

    assert [response.status for response in responses] == [200] * 34
    assert (await responses[0].json()).keys() == {"input_tokens"}


@pytest.mark.parametrize("path", ["/v1/models", "/health"])
async def test_a_probe_for_the_head_of_a_page_is_answered(serve: Serve, path: str) -> None:
    response = await (await serve()).head(path)

    assert response.status == 200


@pytest.mark.parametrize(
    ("path", "methods"), [(CHAT, "POST"), (MESSAGES, "POST"), ("/chat/completions", "POST"), ("/v1/models", "GET,HEAD")]
)
async def test_a_probe_for_the_methods_of_a_path_is_told_them(serve: Serve, path: str, methods: str) -> None:
    response = await (await serve()).options(path)

    assert (response.status, response.headers["Allow"]) == (204, methods)
    assert await response.read() == b""


async def test_a_probe_needs_the_key_too(serve: Serve) -> None:
    client = await serve(api_key="the-key")

    assert (await client.options(CHAT)).status == 401
