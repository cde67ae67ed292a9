"""An answer that breaks off: its stream ends as it did upstream, by a connection that breaks, in every dialect.

Most programs ask again then, and give up at an error event (docs/clients.md).
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp
import orjson
import pytest

from tests.claude_gateway.scripted import HELLO, MODEL, STARTED, ScriptedDispatcher
from tests.claude_gateway.web.conftest import Client, Serve
from workers.errors import ErrorKind, WorkerError
from workers.events import BlockStarted, Event, InputDelta, TextDelta
from workers.job import Text, ToolUse

BREAKS_OFF = {ErrorKind.CUT, ErrorKind.UPSTREAM, ErrorKind.WORKER_DIED, ErrorKind.WORKER_CONFUSED}
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
# What each dialect says at its end, or at an end of what is open.
ENDINGS = ("[DONE]", 'finish_reason":"', "message_stop", "content_block_stop", ".completed", ".failed", ".done")
HALF_A_TEXT: tuple[Event, ...] = (STARTED, BlockStarted(Text("")), TextDelta("Hel"))
HALF_A_CALL: tuple[Event, ...] = (STARTED, BlockStarted(ToolUse("call_1", "f", {})), InputDelta('{"a'))
every_dialect = pytest.mark.parametrize("name", REQUESTS)


def cut(kind: ErrorKind = ErrorKind.CUT) -> WorkerError:
    return WorkerError(kind, "What happened.")


async def ask(client: Client, name: str, **more: Any) -> aiohttp.ClientResponse:
    path, body = REQUESTS[name]
    response = await client.post(path, json={"model": MODEL, **body, **more})
    assert response.status == 200
    return response


async def read_pieces(response: aiohttp.ClientResponse) -> tuple[list[bytes], bool]:
    """The pieces that came, and whether the connection broke off behind them."""
    pieces = []
    try:
        async with asyncio.timeout(10):
            while piece := await response.content.readany():
                pieces.append(piece)
    except aiohttp.ClientPayloadError:
        return pieces, True
    return pieces, False


async def read(response: aiohttp.ClientResponse) -> tuple[str, bool]:
    pieces, broke = await read_pieces(response)
    return b"".join(pieces).decode(), broke


@every_dialect
@pytest.mark.promise("stream.broken-off")
@pytest.mark.parametrize("shown", [HALF_A_TEXT, HALF_A_CALL], ids=["text", "call"])
@pytest.mark.parametrize("kind", BREAKS_OFF, ids=lambda kind: kind.name)
async def test_a_cut_answer_breaks_the_connection_off_without_an_end(
    serve: Serve, name: str, shown: tuple[Event, ...], kind: ErrorKind
) -> None:
    client = await serve(ScriptedDispatcher.always(*shown, cut(kind)))

    came, broke = await read(await ask(client, name))

    assert broke
    assert not any(ending in came for ending in ENDINGS)
    assert "event: error" not in came
    assert 'data: {"error"' not in came


@every_dialect
async def test_all_that_came_before_the_cut_reaches_the_client(serve: Serve, name: str) -> None:
    much = [TextDelta(f"{number:04} " + "x" * 5_000) for number in range(200)]
    client = await serve(ScriptedDispatcher.always(STARTED, BlockStarted(Text("")), *much, cut()))

    came, broke = await read(await ask(client, name))

    assert broke
    assert all(delta.text in came for delta in much)


@pytest.mark.promise("stream.no-second-answer")
@pytest.mark.parametrize("name", set(REQUESTS) - {"chat-choices"})
async def test_nothing_is_asked_a_second_time_for_it(serve: Serve, name: str) -> None:
    dispatcher = ScriptedDispatcher.always(*HALF_A_TEXT, cut())
    client = await serve(dispatcher)

    await read(await ask(client, name))

    assert len(dispatcher.jobs) == 1
    async with asyncio.timeout(10):
        await dispatcher.released.wait()


@every_dialect
async def test_a_failure_before_the_first_word_breaks_off_too_once_the_head_is_out(serve: Serve, name: str) -> None:
    failing = asyncio.Event()
    client = await serve(ScriptedDispatcher.always(failing, cut(ErrorKind.UPSTREAM)), stream_head_seconds=0)
    response = await ask(client, name)

    failing.set()

    _, broke = await read(response)
    assert broke


@every_dialect
@pytest.mark.parametrize("kind", set(ErrorKind) - BREAKS_OFF, ids=lambda kind: kind.name)
async def test_an_error_that_says_what_to_do_is_told_in_an_event(serve: Serve, name: str, kind: ErrorKind) -> None:
    client = await serve(ScriptedDispatcher.always(*HALF_A_TEXT, cut(kind)))

    came, broke = await read(await ask(client, name))

    assert not broke
    assert "What happened." in came


@pytest.mark.promise("gemini.error-after-head")
async def test_google_s_programs_get_the_error_as_bare_json_in_a_piece_of_its_own(serve: Serve) -> None:
    """Gemini CLI asks again at that, and gives up at a connection that breaks without it."""
    client = await serve(ScriptedDispatcher.always(*HALF_A_TEXT, cut()))

    pieces, broke = await read_pieces(await ask(client, "gemini"))

    assert broke
    error = orjson.loads(pieces[-1])["error"]
    assert (error["code"], error["status"]) == (502, "UNAVAILABLE")
    assert b"Hel" in pieces[-2]


async def test_an_array_ends_with_the_error_so_that_it_can_be_read(serve: Serve) -> None:
    client = await serve(ScriptedDispatcher.always(*HALF_A_TEXT, cut()))

    came, broke = await read(await client.post(GEMINI_PATH, json=GEMINI))

    assert not broke
    assert orjson.loads(came)[-1].keys() == {"error"}


async def raw(client: Client, name: str, version: str) -> bytes:
    """All that comes over a connection of its own until the gateway closes it."""
    path, sent = REQUESTS[name]
    body = orjson.dumps({"model": MODEL, **sent})
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


async def test_a_client_of_http_1_0_gets_the_error_because_it_sees_no_break(serve: Serve) -> None:
    client = await serve(ScriptedDispatcher.always(*HALF_A_TEXT, cut()), api_key=KEY)

    assert b"event: error" in await raw(client, "messages", "1.0")


@every_dialect
async def test_the_last_chunk_is_never_sent(serve: Serve, name: str) -> None:
    client = await serve(ScriptedDispatcher.always(*HALF_A_TEXT, cut()), api_key=KEY)

    came = await raw(client, name, "1.1")

    assert b"Hel" in came
    assert b"\r\n0\r\n" not in came


@every_dialect
async def test_the_next_request_of_the_client_is_answered(serve: Serve, name: str) -> None:
    client = await serve(
        ScriptedDispatcher([[*HALF_A_TEXT, cut()]] * (2 if name == "chat-choices" else 1) + [HELLO] * 2)
    )
    await read(await ask(client, name))

    came, broke = await read(await ask(client, name))

    assert not broke
    assert "lo" in came
