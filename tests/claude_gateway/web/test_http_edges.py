"""Requests that violate HTTP or its limits: each gets an error in its dialect, a request id and a log line."""

import asyncio
import json
import logging
import socket
from typing import Any

import pytest

from claude_gateway.web.server.connection import ClientConnection
from tests.claude_gateway.scripted import HELLO_EVENTS, ScriptedWorkerSource
from tests.claude_gateway.web.server.test_connection import KEY, connect, wait_until_true

HOST = b"host: x\r\n"
HOST_AND_KEY = HOST + b"x-api-key: " + KEY.encode() + b"\r\n"
CHUNKED = HOST_AND_KEY + b"transfer-encoding: chunked\r\n"
PATHS = {
    "openai": b"/v1/chat/completions",
    "anthropic": b"/v1/messages",
    "gemini": b"/v1beta/models/claude-sonnet-4-5-20250929:generateContent",
}
# Bytes of a client, and the status of the response. `PATH` stands for the path of a dialect.
REFUSED_REQUESTS: dict[str, tuple[bytes, int]] = {
    "an unknown expectation": (
        b"POST PATH HTTP/1.1\r\n" + HOST_AND_KEY + b"expect: tea\r\ncontent-length: 2\r\n\r\n{}",
        417,
    ),
    "two expectations": (b"POST PATH HTTP/1.1\r\n" + HOST_AND_KEY + b"expect: 100-continue, tea\r\n\r\n", 417),
    "an expectation without a key": (b"POST PATH HTTP/1.1\r\n" + HOST + b"expect: tea\r\n\r\n", 401),
    "an unknown version": (b"POST PATH HTTP/9.9\r\n" + HOST + b"\r\n", 400),
    "a header without a name": (b"POST PATH HTTP/1.1\r\n" + HOST + b": b\r\n\r\n", 400),
    "a blank in a header's name": (b"POST PATH HTTP/1.1\r\n" + HOST + b"a b: c\r\n\r\n", 400),
    "a zero byte in a header": (b"POST PATH HTTP/1.1\r\n" + HOST + b"a: \x00\r\n\r\n", 400),
    "no host": (b"POST PATH HTTP/1.1\r\n\r\n", 400),
    "a long header": (b"POST PATH HTTP/1.1\r\n" + HOST + b"x: " + b"a" * 9_000 + b"\r\n\r\n", 400),
    "a long path": (b"POST PATH?" + b"a" * 9_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "many headers": (b"POST PATH HTTP/1.1\r\n" + HOST + b"a: b\r\n" * 200 + b"\r\n", 400),
    "an unknown transfer encoding": (
        b"POST PATH HTTP/1.1\r\n" + HOST_AND_KEY + b"transfer-encoding: tea\r\n\r\n{}",
        400,
    ),
    "two lengths": (b"POST PATH HTTP/1.1\r\n" + CHUNKED + b"content-length: 3\r\n\r\n0\r\n\r\n", 400),
    "a negative length": (b"POST PATH HTTP/1.1\r\n" + HOST_AND_KEY + b"content-length: -1\r\n\r\n", 400),
    "a length over the limit": (b"POST PATH HTTP/1.1\r\n" + HOST_AND_KEY + b"content-length: 99999999\r\n\r\n{", 413),
    "a broken chunk": (b"POST PATH HTTP/1.1\r\n" + CHUNKED + b"\r\nZZ\r\n{}\r\n", 400),
    "a chunk of any size": (b"POST PATH HTTP/1.1\r\n" + CHUNKED + b"\r\nfffffffffffffffff\r\n{}\r\n", 400),
    "chunks over the limit": (b"POST PATH HTTP/1.1\r\n" + CHUNKED + b"\r\nfffff\r\n" + b"a" * 200_000, 413),
    "a wrong method": (b"PUT PATH HTTP/1.1\r\n" + HOST_AND_KEY + b"\r\n", 405),
    "an unknown encoding": (
        b"POST PATH HTTP/1.1\r\n" + HOST_AND_KEY + b"content-encoding: br\r\ncontent-length: 2\r\n\r\n{}",
        415,
    ),
}
INVALID_REQUESTS = {
    "half a request line": b"GET\r\n\r\n",
    "a TLS handshake": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an address without a host": b"GET http://[ HTTP/1.1\r\n" + HOST + b"\r\n",
    "a second request that is not HTTP": b"GET /health HTTP/1.1\r\n" + HOST + b"\r\nGARBAGE\r\n\r\n",
}


async def send_request(client_socket: socket.socket, raw: bytes) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Send bytes, and return the status, the headers and the body of the response."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(client_socket, raw)
    return await read_response(client_socket)


async def read_response(client_socket: socket.socket) -> tuple[int, dict[str, str], dict[str, Any]]:
    loop = asyncio.get_running_loop()
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = await loop.sock_recv(client_socket, 65_536)
        assert chunk, f"the connection ended after {received!r}"
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers["content-length"]):
        body += await loop.sock_recv(client_socket, 65_536)
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
@pytest.mark.parametrize("name", REFUSED_REQUESTS)
async def test_http_level_rejections_have_error_format_request_id_and_log_line(
    dialect: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    raw, expected = REFUSED_REQUESTS[name]
    async with connect(ScriptedWorkerSource.repeating(*HELLO_EVENTS)) as (client_socket, _):
        status, headers, body = await send_request(client_socket, raw.replace(b"PATH", PATHS[dialect]))

    assert status == expected
    check_envelope(dialect, body, headers["x-request-id"])
    if dialect == "anthropic":
        assert headers["request-id"] == headers["x-request-id"]
    records = [record for record in caplog.records if headers["x-request-id"] in record.getMessage()]
    assert [str(status) in record.getMessage() for record in records] == [True]
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []
    assert KEY not in caplog.text


@pytest.mark.parametrize("name", INVALID_REQUESTS)
async def test_invalid_http_is_rejected_in_the_general_error_format(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with connect(ScriptedWorkerSource.repeating(*HELLO_EVENTS)) as (client_socket, _):
        status, headers, body = await send_request(client_socket, INVALID_REQUESTS[name])

    assert status == 400
    check_envelope("openai", body, headers["x-request-id"])
    assert headers["x-request-id"] in caplog.text


@pytest.mark.promise("versions.not-revealed")
@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /nowhere HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /nowhere HTTP/1.1\r\n" + HOST_AND_KEY + b"\r\n",
        b"GARBAGE\r\n\r\n",
        b"POST /nowhere HTTP/1.1\r\n" + HOST + b"expect: tea\r\n\r\n",
        b"GET /nowhere HTTP/1.1\r\n" + HOST + b"accept: text/html\r\n\r\n",
    ],
)
async def test_responses_do_not_reveal_server_software(raw: bytes) -> None:
    loop = asyncio.get_running_loop()
    async with connect(ScriptedWorkerSource.repeating(*HELLO_EVENTS)) as (client_socket, _):
        await loop.sock_sendall(client_socket, raw)
        received = await loop.sock_recv(client_socket, 65_536)

    assert b"\r\nServer: claude-gateway\r\n" in received
    assert not any(part in received for part in (b"Python/", b"aiohttp", b"uvloop"))


async def test_sends_no_100_continue_without_a_key() -> None:
    head = b"POST /v1/messages HTTP/1.1\r\n" + HOST + b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n"
    async with connect(ScriptedWorkerSource.repeating(*HELLO_EVENTS)) as (client_socket, _):
        status, headers, _ = await send_request(client_socket, head)

    assert (status, headers["connection"]) == (401, "close")


async def test_sends_100_continue_to_a_client_that_waits_for_it() -> None:
    body = json.dumps({"model": "claude-sonnet-4-5-20250929", "messages": [{"role": "user", "content": "hi"}]}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\n" + HOST_AND_KEY + b"expect: 100-continue\r\n"
    head += b"content-length: %d\r\n\r\n" % len(body)
    loop = asyncio.get_running_loop()
    async with connect(ScriptedWorkerSource.repeating(*HELLO_EVENTS)) as (client_socket, _):
        for _ in range(2):  # the connection stays open
            await loop.sock_sendall(client_socket, head)
            assert await loop.sock_recv(client_socket, 65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
            status, _, reply = await send_request(client_socket, body)
            assert (status, reply["choices"][0]["message"]["content"]) == (200, "Hello")


async def test_sends_no_100_continue_to_a_request_without_body() -> None:
    async with connect(ScriptedWorkerSource.repeating(*HELLO_EVENTS)) as (client_socket, _):
        status, headers, _ = await send_request(
            client_socket, b"GET /v1/models HTTP/1.1\r\n" + HOST_AND_KEY + b"expect: 100-continue\r\n\r\n"
        )

    assert status == 200
    assert "connection" not in headers


async def test_ignores_expect_header_of_http_1_0() -> None:
    async with connect(ScriptedWorkerSource.repeating(*HELLO_EVENTS)) as (client_socket, _):
        status, _, _ = await send_request(
            client_socket, b"GET /v1/models HTTP/1.0\r\n" + HOST_AND_KEY + b"expect: tea\r\n\r\n"
        )

    assert status == 200


@pytest.mark.parametrize("dialect", PATHS)
async def test_invalid_later_chunk_fails_its_request_immediately(
    dialect: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    worker_source = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    loop = asyncio.get_running_loop()
    async with connect(worker_source) as (client_socket, connection):
        await loop.sock_sendall(
            client_socket, b"POST " + PATHS[dialect] + b" HTTP/1.1\r\n" + CHUNKED + b"\r\n2\r\n{}\r\n"
        )
        await wait_until_true(lambda: connection._payload is not None)
        await loop.sock_sendall(client_socket, b"ZZ\r\n{}\r\n0\r\n\r\n")
        status, headers, body = await read_response(client_socket)
        assert await loop.sock_recv(client_socket, 65_536) == b""

    assert status == 400
    check_envelope(dialect, body, headers["x-request-id"])
    assert worker_source.jobs == []
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


async def test_rejects_incomplete_head_with_408_in_the_error_format(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with connect(ScriptedWorkerSource([])) as (client_socket, connection):
        await asyncio.get_running_loop().sock_sendall(client_socket, b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-")
        await wait_until_true(lambda: bool(connection._head_prefix))
        connection.refuse_slow_head()
        status, headers, body = await read_response(client_socket)
        await wait_until_true(lambda: not connection.connected)

    assert status == 408
    check_envelope("anthropic", body, headers["x-request-id"])
    assert headers["x-request-id"] in caplog.text


async def test_running_request_is_not_rejected_as_a_slow_head() -> None:
    worker_source = ScriptedWorkerSource.repeating(resume := asyncio.Event(), *HELLO_EVENTS)
    body = json.dumps({"model": "claude-sonnet-4-5-20250929", "messages": [{"role": "user", "content": "hi"}]}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\n" + HOST_AND_KEY + b"content-length: %d\r\n\r\n" % len(body)
    async with connect(worker_source) as (client_socket, connection):
        request_task = asyncio.create_task(send_request(client_socket, head + body))
        await worker_source.job_started.wait()
        connection.refuse_slow_head()
        resume.set()

        assert (await request_task)[0] == 200


@pytest.mark.parametrize("status", [500, 504])
async def test_failure_outside_the_handlers_is_logged_as_internal_error(
    status: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise TimeoutError if status == 504 else RuntimeError("a bug")

    monkeypatch.setattr("claude_gateway.web.middleware.errors.RequestContext", fail)
    async with connect(ScriptedWorkerSource([])) as (client_socket, connection):
        assert isinstance(connection, ClientConnection)
        response_status, headers, body = await send_request(
            client_socket, b"GET /v1/messages HTTP/1.1\r\n" + HOST_AND_KEY + b"\r\n"
        )

    assert response_status == 500
    check_envelope("anthropic", body, headers["x-request-id"])
    assert any(record.levelno == logging.ERROR and record.exc_info is not None for record in caplog.records) is (
        status == 500
    )
