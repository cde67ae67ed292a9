"""Requests of real client programs succeed, and their streams end as each program requires."""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from aiohttp import ClientResponse

from tests.claude_gateway.scripted import MODEL
from tests.claude_gateway.web.conftest import Client, Serve
from tests.claude_gateway.web.real_requests import (
    CHAT_PATH,
    CHAT_REQUESTS,
    MESSAGES_PATH,
    MESSAGES_REQUESTS,
    ProgramRequest,
)


async def send_request(client: Client, program_request: ProgramRequest) -> ClientResponse:
    body = {"model": MODEL, **program_request.body}
    async with asyncio.timeout(10):
        response = await client.post(program_request.path, json=body, headers=program_request.headers)
        await response.read()
    assert response.status == 200, await response.text()
    return response


async def read_events(response: ClientResponse) -> list[tuple[str, Any]]:
    """Return the name and the data of each event, split as Dify splits a stream: only at empty lines with LF."""
    text = await response.text()
    assert text.endswith("\n\n")
    assert "\r" not in text
    blocks = []
    for block in text.removesuffix("\n\n").split("\n\n"):
        *name, data = block.split("\n")
        assert data.startswith("data: ")
        blocks.append(("".join(name).removeprefix("event: "), data.removeprefix("data: ")))
    return [(name, data if data == "[DONE]" else orjson.loads(data)) for name, data in blocks]


@pytest.mark.promise("clients.requests")
@pytest.mark.parametrize("program_request", CHAT_REQUESTS, ids=str)
async def test_replies_to_chat_requests_of_real_programs(serve: Serve, program_request: ProgramRequest) -> None:
    response = await send_request(await serve(), program_request)

    if not program_request.body.get("stream"):
        body = await response.json()
        assert (body["object"], body["choices"][0]["message"]["content"]) == ("chat.completion", "Hello")
        return
    *chunks, last = await read_events(response)
    assert last == ("", "[DONE]")
    assert {name for name, _ in chunks} == {""}  # Dify accepts only `data` lines
    choices = [chunk["choices"][0] for _, chunk in chunks if chunk["choices"]]
    assert choices[0]["delta"]["role"] == "assistant"
    assert "".join(choice["delta"].get("content") or "" for choice in choices) == "Hello"
    assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == ["stop"]
    with_usage = [chunk["choices"] for _, chunk in chunks if chunk.get("usage")]
    assert with_usage == ([[]] if _wants_usage(program_request.body) else [])


def _wants_usage(body: Mapping[str, Any]) -> bool:
    return bool((body.get("stream_options") or {}).get("include_usage"))


@pytest.mark.promise("clients.requests")
@pytest.mark.parametrize("program_request", MESSAGES_REQUESTS, ids=str)
async def test_replies_to_messages_requests_of_real_programs(serve: Serve, program_request: ProgramRequest) -> None:
    response = await send_request(await serve(), program_request)

    if not program_request.body.get("stream"):
        body = await response.json()
        assert (body["type"], body["content"][0]["text"], body["stop_reason"]) == ("message", "Hello", "end_turn")
        return
    events = await read_events(response)
    assert all(name == data["type"] for name, data in events)  # Anthropic's clients ignore events without a name
    names = [name for name, _ in events if name != "ping"]
    assert names[0] == "message_start"
    assert names[-2:] == ["message_delta", "message_stop"]
    assert names.count("content_block_start") == names.count("content_block_stop") == 1


async def test_claude_code_may_count_tokens_34_times_concurrently(serve: Serve) -> None:
    client = await serve()
    body = {"model": MODEL, "messages": [{"role": "user", "content": "foo"}], "tools": []}

    responses = await asyncio.gather(
        *(client.post(f"{MESSAGES_PATH}/count_tokens?beta=true", json=body) for _ in range(34))
    )

    assert [response.status for response in responses] == [200] * 34
    assert (await responses[0].json()).keys() == {"input_tokens"}


@pytest.mark.parametrize("path", ["/v1/models", "/health"])
async def test_replies_to_head_request(serve: Serve, path: str) -> None:
    response = await (await serve()).head(path)

    assert response.status == 200


@pytest.mark.parametrize(
    ("path", "methods"),
    [(CHAT_PATH, "POST"), (MESSAGES_PATH, "POST"), ("/chat/completions", "POST"), ("/v1/models", "GET,HEAD")],
)
async def test_replies_to_options_request_with_the_methods(serve: Serve, path: str, methods: str) -> None:
    response = await (await serve()).options(path)

    assert (response.status, response.headers["Allow"]) == (204, methods)
    assert await response.read() == b""


async def test_options_request_requires_a_key(serve: Serve) -> None:
    client = await serve(api_key="the-key")

    assert (await client.options(CHAT_PATH)).status == 401
