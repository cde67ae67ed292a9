"""Requests that HTTP itself refuses: each gets the envelope of its dialect, its id and a line of the log."""

import asyncio
import json
import logging
import socket
from typing import Any

import pytest

from claude_gateway.web.connection import Connection
from tests.claude_gateway.scripted import HELLO, ScriptedDispatcher
from tests.claude_gateway.web.test_connection import KEY, connected, until

HOST = b"host: x\r\n"
KNOWN = HOST + b"x-api-key: " + KEY.encode() + b"\r\n"
CHUNKED = KNOWN + b"transfer-encoding: chunked\r\n"
PATHS = {
    "openai": b"/v1/chat/completions",
    "anthropic": b"/v1/messages",
    "gemini": b"/v1beta/models/claude-sonnet-4-5-20250929:generateContent",
}
# What a stranger sends, and the status of what comes back. `PATH` stands for the path of a dialect.
REFUSED: dict[str, tuple[bytes, int]] = {
    "an unknown expectation": (b"POST PATH HTTP/1.1\r\n" + KNOWN + b"expect: tea\r\ncontent-length: 2\r\n\r\n{}", 417),
    "two expectations": (b"POST PATH HTTP/1.1\r\n" + KNOWN + b"expect: 100-continue, tea\r\n\r\n", 417),
    "an expectation without a key": (b"POST PATH HTTP/1.1\r\n" + HOST + b"expect: tea\r\n\r\n", 401),
    "no version that is known": (b"POST PATH HTTP/9.9\r\n" + HOST + b"\r\n", 400),
    "a header without a name": (b"POST PATH HTTP/1.1\r\n" + HOST + b": b\r\n\r\n", 400),
    "a blank in a header's name": (b"POST PATH HTTP/1.1\r\n" + HOST + b"a b: c\r\n\r\n", 400),
    "a zero byte in a header": (b"POST PATH HTTP/1.1\r\n" + HOST + b"a: \x00\r\n\r\n", 400),
    "no host": (b"POST PATH HTTP/1.1\r\n\r\n", 400),
    "a long header": (b"POST PATH HTTP/1.1\r\n" + HOST + b"x: " + b"a" * 9_000 + b"\r\n\r\n", 400),
    "a long path": (b"POST PATH?" + b"a" * 9_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "many headers": (b"POST PATH HTTP/1.1\r\n" + HOST + b"a: b\r\n" * 200 + b"\r\n", 400),
    "an unknown transfer encoding": (b"POST PATH HTTP/1.1\r\n" + KNOWN + b"transfer-encoding: tea\r\n\r\n{}", 400),
    "two lengths": (b"POST PATH HTTP/1.1\r\n" + CHUNKED + b"content-length: 3\r\n\r\n0\r\n\r\n", 400),
    "a negative length": (b"POST PATH HTTP/1.1\r\n" + KNOWN + b"content-length: -1\r\n\r\n", 400),
    "a length over the limit": (b"POST PATH HTTP/1.1\r\n" + KNOWN + b"content-length: 99999999\r\n\r\n{", 413),
    "a broken chunk": (b"POST PATH HTTP/1.1\r\n" + CHUNKED + b"\r\nZZ\r\n{}\r\n", 400),
    "a chunk of any size": (b"POST PATH HTTP/1.1\r\n" + CHUNKED + b"\r\nfffffffffffffffff\r\n{}\r\n", 400),
    "chunks over the limit": (b"POST PATH HTTP/1.1\r\n" + CHUNKED + b"\r\nfffff\r\n" + b"a" * 200_000, 413),
    "a wrong method": (b"PUT PATH HTTP/1.1\r\n" + KNOWN + b"\r\n", 405),
    "an unknown encoding": (
        b"POST PATH HTTP/1.1\r\n" + KNOWN + b"content-encoding: br\r\ncontent-length: 2\r\n\r\n{}",
        415,
    ),
}
NO_DIALECT = {
    "half a request line": b"GET\r\n\r\n",
    "a greeting of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an address without a host": b"GET http://[ HTTP/1.1\r\n" + HOST + b"\r\n",
    "a request behind which is none": b"GET /health HTTP/1.1\r\n" + HOST + b"\r\nGARBAGE\r\n\r\n",
}


async def ask(caller: socket.socket, raw: bytes) -> tuple[int, dict[str, str], dict[str, Any]]:
    """What comes back: its status, its headers and its body."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(caller, raw)
    return await answer(caller)


async def answer(caller: socket.socket) -> tuple[int, dict[str, str], dict[str, Any]]:
    loop = asyncio.get_running_loop()
    said = b""
    while b"\r\n\r\n" not in said:
        piece = await loop.sock_recv(caller, 65_536)
        assert piece, f"the connection ended behind {said!r}"
        said += piece
    head, _, body = said.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers["content-length"]):
        body += await loop.sock_recv(caller, 65_536)
    return int(status.split()[1]), headers, json.loads(body)


def check_envelope(dialect: str, body: dict[str, Any], request_id: str) -> None:
    match dialect:
        case "anthropic":
            assert (body["type"], body["request_id"]) == ("error", request_id)
            assert body["error"].keys() >= {"type", "message"}
        case "gemini":
            assert body["error"].keys() >= {"code", "message", "status"}
        case _:
            assert body["error"].keys() >= {"message", "type", "code"}
            assert "status" not in body["error"]


@pytest.mark.promise("errors.http-refusals")
@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize("name", REFUSED)
async def test_whatever_http_refuses_has_the_envelope_an_id_and_a_log_line(
    dialect: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    raw, expected = REFUSED[name]
    async with connected(ScriptedDispatcher.always(*HELLO)) as (caller, _):
        status, headers, body = await ask(caller, raw.replace(b"PATH", PATHS[dialect]))

    assert status == expected
    check_envelope(dialect, body, headers["x-request-id"])
    if dialect == "anthropic":
        assert headers["request-id"] == headers["x-request-id"]
    told = [record for record in caplog.records if headers["x-request-id"] in record.getMessage()]
    assert [str(status) in record.getMessage() for record in told] == [True]
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []
    assert KEY not in caplog.text


@pytest.mark.parametrize("name", NO_DIALECT)
async def test_what_is_no_request_at_all_is_refused_in_the_general_envelope(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with connected(ScriptedDispatcher.always(*HELLO)) as (caller, _):
        status, headers, body = await ask(caller, NO_DIALECT[name])

    assert status == 400
    check_envelope("openai", body, headers["x-request-id"])
    assert headers["x-request-id"] in caplog.text


@pytest.mark.promise("versions.not-told")
@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /nowhere HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /nowhere HTTP/1.1\r\n" + KNOWN + b"\r\n",
        b"GARBAGE\r\n\r\n",
        b"POST /nowhere HTTP/1.1\r\n" + HOST + b"expect: tea\r\n\r\n",
        b"GET /nowhere HTTP/1.1\r\n" + HOST + b"accept: text/html\r\n\r\n",
    ],
)
async def test_no_response_tells_what_the_gateway_is_made_of(raw: bytes) -> None:
    loop = asyncio.get_running_loop()
    async with connected(ScriptedDispatcher.always(*HELLO)) as (caller, _):
        await loop.sock_sendall(caller, raw)
        said = await loop.sock_recv(caller, 65_536)

    assert b"\r\nServer: claude-gateway\r\n" in said
    assert not any(part in said for part in (b"Python/", b"aiohttp", b"uvloop"))


async def test_a_body_is_waited_for_only_behind_a_key() -> None:
    head = b"POST /v1/messages HTTP/1.1\r\n" + HOST + b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n"
    async with connected(ScriptedDispatcher.always(*HELLO)) as (caller, _):
        status, headers, _ = await ask(caller, head)

    assert (status, headers["connection"]) == (401, "close")


async def test_a_client_that_waits_for_it_is_told_to_go_on_and_served() -> None:
    body = json.dumps({"model": "claude-sonnet-4-5-20250929", "messages": [{"role": "user", "content": "hi"}]}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\n" + KNOWN + b"expect: 100-continue\r\n"
    head += b"content-length: %d\r\n\r\n" % len(body)
    loop = asyncio.get_running_loop()
    async with connected(ScriptedDispatcher.always(*HELLO)) as (caller, _):
        for _ in range(2):  # the connection stays
            await loop.sock_sendall(caller, head)
            assert await loop.sock_recv(caller, 65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
            status, _, answered = await ask(caller, body)
            assert (status, answered["choices"][0]["message"]["content"]) == (200, "Hello")


async def test_a_request_without_a_body_is_not_told_to_go_on() -> None:
    async with connected(ScriptedDispatcher.always(*HELLO)) as (caller, _):
        status, headers, _ = await ask(caller, b"GET /v1/models HTTP/1.1\r\n" + KNOWN + b"expect: 100-continue\r\n\r\n")

    assert status == 200
    assert "connection" not in headers


async def test_an_expectation_of_http_1_0_says_nothing() -> None:
    async with connected(ScriptedDispatcher.always(*HELLO)) as (caller, _):
        status, _, _ = await ask(caller, b"GET /v1/models HTTP/1.0\r\n" + KNOWN + b"expect: tea\r\n\r\n")

    assert status == 200


@pytest.mark.parametrize("dialect", PATHS)
async def test_a_chunk_that_breaks_later_ends_its_request_at_once(
    dialect: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    dispatcher = ScriptedDispatcher.always(*HELLO)
    loop = asyncio.get_running_loop()
    async with connected(dispatcher) as (caller, connection):
        await loop.sock_sendall(caller, b"POST " + PATHS[dialect] + b" HTTP/1.1\r\n" + CHUNKED + b"\r\n2\r\n{}\r\n")
        await until(lambda: connection._payload is not None)
        await loop.sock_sendall(caller, b"ZZ\r\n{}\r\n0\r\n\r\n")
        status, headers, body = await answer(caller)
        assert await loop.sock_recv(caller, 65_536) == b""

    assert status == 400
    check_envelope(dialect, body, headers["x-request-id"])
    assert dispatcher.jobs == []
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


async def test_a_header_that_does_not_end_is_a_408_in_the_envelope(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with connected(ScriptedDispatcher([])) as (caller, connection):
        await asyncio.get_running_loop().sock_sendall(caller, b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-")
        await until(lambda: bool(connection._beginning))
        connection.refuse_slow_head()
        status, headers, body = await answer(caller)
        await until(lambda: not connection.connected)

    assert status == 408
    check_envelope("anthropic", body, headers["x-request-id"])
    assert headers["x-request-id"] in caplog.text


async def test_a_request_that_is_being_answered_is_not_taken_for_a_slow_header() -> None:
    dispatcher = ScriptedDispatcher.always(gate := asyncio.Event(), *HELLO)
    body = json.dumps({"model": "claude-sonnet-4-5-20250929", "messages": [{"role": "user", "content": "hi"}]}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\n" + KNOWN + b"content-length: %d\r\n\r\n" % len(body)
    async with connected(dispatcher) as (caller, connection):
        asking = asyncio.create_task(ask(caller, head + body))
        await dispatcher.asked.wait()
        connection.refuse_slow_head()
        gate.set()

        assert (await asking)[0] == 200


@pytest.mark.parametrize("status", [500, 504])
async def test_what_fails_around_the_handlers_is_an_internal_error_and_logged(
    status: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise TimeoutError if status == 504 else RuntimeError("a bug")

    monkeypatch.setattr("claude_gateway.web.middlewares.Visit", fail)
    async with connected(ScriptedDispatcher([])) as (caller, connection):
        assert isinstance(connection, Connection)
        told, headers, body = await ask(caller, b"GET /v1/messages HTTP/1.1\r\n" + KNOWN + b"\r\n")

    assert told == 500
    check_envelope("anthropic", body, headers["x-request-id"])
    assert any(record.levelno == logging.ERROR and record.exc_info is not None for record in caplog.records) is (
        status == 500
    )
