"""Interrupted replies: the gateway closes the connection of the stream, as the upstream did, in every dialect.

Most client programs retry after an interruption, and fail at an error event (docs/clients.md).
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp
import orjson
import pytest

from tests.claude_gateway.scripted import HELLO_EVENTS, MODEL, STARTED, ScriptedWorkerSource
from tests.claude_gateway.web.conftest import Client, Serve
from workers.core.errors import ErrorKind, WorkerError
from workers.core.events import BlockStarted, Event, TextDelta, ToolInputDelta
from workers.core.job import Text, ToolUse

INTERRUPTING_KINDS = {
    ErrorKind.UPSTREAM_DISCONNECTED,
    ErrorKind.UPSTREAM_ERROR,
    ErrorKind.WORKER_EXITED,
    ErrorKind.PROTOCOL_ERROR,
}
KEY = "a-key-of-the-tests"
MESSAGE = {"role": "user", "content": "hi"}
GEMINI = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
GEMINI_PATH = f"/v1beta/models/{MODEL}:streamGenerateContent"
REQUESTS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"messages": [MESSAGE], "stream": True}),
    "chat-choices": ("/v1/chat/completions", {"messages": [MESSAGE], "stream": True, "n": 2}),
    "responses": ("/v1/responses", {"input": "hi", "store": False, "stream": True}),
    "messages": ("/v1/messages", {"max_tokens": 9, "messages": [MESSAGE], "stream": True}),
    "gemini": (f"{GEMINI_PATH}?alt=sse", GEMINI),
}
# Texts at the end of a stream, of a message or of a block, in all dialects.
ENDINGS = ("[DONE]", 'finish_reason":"', "message_stop", "content_block_stop", ".completed", ".failed", ".done")
INCOMPLETE_TEXT: tuple[Event, ...] = (STARTED, BlockStarted(Text("")), TextDelta("Hel"))
INCOMPLETE_CALL: tuple[Event, ...] = (STARTED, BlockStarted(ToolUse("call_1", "f", {})), ToolInputDelta('{"a'))
every_dialect = pytest.mark.parametrize("name", REQUESTS)


def failure(kind: ErrorKind = ErrorKind.UPSTREAM_DISCONNECTED) -> WorkerError:
    return WorkerError(kind, "What happened.")


async def ask(client: Client, name: str, **fields: Any) -> aiohttp.ClientResponse:
    path, body = REQUESTS[name]
    response = await client.post(path, json={"model": MODEL, **body, **fields})
    assert response.status == 200
    return response


async def read_chunks(response: aiohttp.ClientResponse) -> tuple[list[bytes], bool]:
    """Return the received chunks, and whether the connection was interrupted after them."""
    chunks = []
    try:
        async with asyncio.timeout(10):
            while chunk := await response.content.readany():
                chunks.append(chunk)
    except aiohttp.ClientPayloadError:
        return chunks, True
    return chunks, False


async def read(response: aiohttp.ClientResponse) -> tuple[str, bool]:
    chunks, is_interrupted = await read_chunks(response)
    return b"".join(chunks).decode(), is_interrupted


@every_dialect
@pytest.mark.promise("stream.interrupted")
@pytest.mark.parametrize("output", [INCOMPLETE_TEXT, INCOMPLETE_CALL], ids=["text", "call"])
@pytest.mark.parametrize("kind", [kind for kind in ErrorKind if kind in INTERRUPTING_KINDS], ids=lambda kind: kind.name)
async def test_interrupted_reply_closes_the_connection_without_an_end(
    serve: Serve, name: str, output: tuple[Event, ...], kind: ErrorKind
) -> None:
    client = await serve(ScriptedWorkerSource.repeating(*output, failure(kind)))

    text, is_interrupted = await read(await ask(client, name))

    assert is_interrupted
    assert not any(ending in text for ending in ENDINGS)
    assert "event: error" not in text
    assert 'data: {"error"' not in text


@every_dialect
async def test_client_receives_all_output_before_the_interruption(serve: Serve, name: str) -> None:
    deltas = [TextDelta(f"{number:04} " + "x" * 5_000) for number in range(200)]
    client = await serve(ScriptedWorkerSource.repeating(STARTED, BlockStarted(Text("")), *deltas, failure()))

    text, is_interrupted = await read(await ask(client, name))

    assert is_interrupted
    assert all(delta.text in text for delta in deltas)


@pytest.mark.promise("stream.no-second-reply")
@pytest.mark.parametrize("name", sorted(set(REQUESTS) - {"chat-choices"}))
async def test_interrupted_reply_is_not_requested_again(serve: Serve, name: str) -> None:
    worker_source = ScriptedWorkerSource.repeating(*INCOMPLETE_TEXT, failure())
    client = await serve(worker_source)

    await read(await ask(client, name))

    assert len(worker_source.jobs) == 1
    async with asyncio.timeout(10):
        await worker_source.worker_released.wait()


@every_dialect
async def test_failure_after_the_head_and_before_the_output_closes_the_connection(serve: Serve, name: str) -> None:
    may_fail = asyncio.Event()
    client = await serve(
        ScriptedWorkerSource.repeating(may_fail, failure(ErrorKind.UPSTREAM_ERROR)), stream_head_timeout_seconds=0
    )
    response = await ask(client, name)

    may_fail.set()

    _, is_interrupted = await read(response)
    assert is_interrupted


@every_dialect
@pytest.mark.parametrize(
    "kind", [kind for kind in ErrorKind if kind not in INTERRUPTING_KINDS], ids=lambda kind: kind.name
)
async def test_error_that_a_retry_does_not_fix_is_an_event(serve: Serve, name: str, kind: ErrorKind) -> None:
    client = await serve(ScriptedWorkerSource.repeating(*INCOMPLETE_TEXT, failure(kind)))

    text, is_interrupted = await read(await ask(client, name))

    assert not is_interrupted
    # After the first choice has reached the limit, the gateway holds back the other choices.
    is_held_back = kind is ErrorKind.LOGIN_LIMIT_REACHED and name == "chat-choices"
    assert ("has reached its usage limit" if is_held_back else "What happened.") in text


@pytest.mark.promise("gemini.error-after-head")
async def test_google_clients_receive_the_error_as_bare_json_in_its_own_chunk(serve: Serve) -> None:
    """Gemini CLI retries after this error, and fails after an interruption without it."""
    client = await serve(ScriptedWorkerSource.repeating(*INCOMPLETE_TEXT, failure()))

    chunks, is_interrupted = await read_chunks(await ask(client, "gemini"))

    assert is_interrupted
    error = orjson.loads(chunks[-1])["error"]
    assert (error["code"], error["status"]) == (502, "UNAVAILABLE")
    assert b"Hel" in chunks[-2]


async def test_gemini_array_ends_with_the_error_and_is_valid_json(serve: Serve) -> None:
    client = await serve(ScriptedWorkerSource.repeating(*INCOMPLETE_TEXT, failure()))

    text, is_interrupted = await read(await client.post(GEMINI_PATH, json=GEMINI))

    assert not is_interrupted
    assert orjson.loads(text)[-1].keys() == {"error"}


async def read_raw_response(client: Client, name: str, version: str) -> bytes:
    """Return all bytes that the gateway sends on a new connection until it closes it."""
    path, fields = REQUESTS[name]
    body = orjson.dumps({"model": MODEL, **fields})
    head = f"POST {path} HTTP/{version}\r\nHost: {client.host}\r\nContent-Length: {len(body)}\r\n"
    head += f"Authorization: Bearer {KEY}\r\n\r\n"
    reader, writer = await asyncio.open_connection(client.host, client.port)
    try:
        writer.write(head.encode() + body)
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


async def test_http_1_0_client_receives_the_error_event(serve: Serve) -> None:
    client = await serve(ScriptedWorkerSource.repeating(*INCOMPLETE_TEXT, failure()), api_key=KEY)

    assert b"event: error" in await read_raw_response(client, "messages", "1.0")


@every_dialect
async def test_sends_no_last_chunk_after_an_interruption(serve: Serve, name: str) -> None:
    client = await serve(ScriptedWorkerSource.repeating(*INCOMPLETE_TEXT, failure()), api_key=KEY)

    text = await read_raw_response(client, name, "1.1")

    assert b"Hel" in text
    assert b"\r\n0\r\n" not in text


@every_dialect
async def test_next_request_after_an_interruption_succeeds(serve: Serve, name: str) -> None:
    client = await serve(
        ScriptedWorkerSource(
            [[*INCOMPLETE_TEXT, failure()]] * (2 if name == "chat-choices" else 1) + [HELLO_EVENTS] * 2
        )
    )
    await read(await ask(client, name))

    text, is_interrupted = await read(await ask(client, name))

    assert not is_interrupted
    assert "lo" in text
