"""Callers who do not read, and bodies that do not come: nobody waits for them for ever."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from pydantic import SecretStr

from claude_gateway.web.connection import Connection, factory
from claude_gateway.web.reference import ASSETS
from tests.claude_gateway.scripted import HELLO, ScriptedDispatcher, scripted_app

KEY = "a-key-of-the-tests"
LARGE = next(path for path in ASSETS if path.endswith("redoc.standalone.js"))
# More than what lies between two programs can hold.
ASKED = f"GET {LARGE} HTTP/1.1\r\nhost: x\r\n\r\n".encode() * 40


@asynccontextmanager
async def connected(dispatcher: ScriptedDispatcher, **settings: int) -> AsyncIterator[tuple[socket.socket, Connection]]:
    """The caller's end of a connection, and the gateway's."""
    loop = asyncio.get_running_loop()
    runner = web.AppRunner(scripted_app(dispatcher, api_key=SecretStr(KEY), **settings), handler_cancellation=True)
    await runner.setup()
    assert runner.server is not None
    server = await loop.create_server(factory(runner.server, 10), "127.0.0.1", 0)
    with socket.socket() as caller:
        caller.setblocking(False)
        await loop.sock_connect(caller, server.sockets[0].getsockname())
        await until(lambda: bool(runner.server and runner.server.connections))
        (connection,) = runner.server.connections
        assert isinstance(connection, Connection)
        try:
            yield caller, connection
        finally:
            caller.close()
            server.close()
            await runner.cleanup()


async def until(done: Callable[[], bool]) -> None:
    while not done():  # noqa: ASYNC110 - a connection tells nobody
        await asyncio.sleep(0)


@pytest.mark.promise("limits.reading")
async def test_who_takes_nothing_between_two_looks_is_cut() -> None:
    async with connected(ScriptedDispatcher([])) as (caller, connection):
        await asyncio.get_running_loop().sock_sendall(caller, ASKED)
        await until(lambda: connection.writing_paused)

        connection.look()
        assert connection.connected
        connection.look()

        await until(lambda: not connection.connected)


async def test_who_takes_a_little_is_not_cut() -> None:
    loop = asyncio.get_running_loop()
    async with connected(ScriptedDispatcher([])) as (caller, connection):
        await loop.sock_sendall(caller, ASKED)
        wire = connection.transport
        assert wire is not None
        for _ in range(3):
            await until(lambda: connection.writing_paused)
            connection.look()
            before = wire.get_write_buffer_size()
            while wire.get_write_buffer_size() == before:
                assert await loop.sock_recv(caller, 65_536)
        connection.look()

        assert connection.connected
        assert not wire.is_closing()


async def test_an_end_that_nobody_reads_is_cut_too() -> None:
    async with connected(ScriptedDispatcher([])) as (caller, connection):
        await asyncio.get_running_loop().sock_sendall(caller, ASKED)
        await until(lambda: connection.writing_paused)
        wire = connection.transport
        assert wire is not None
        connection.force_close()
        assert wire.is_closing()

        connection.look()
        connection.look()

        await until(lambda: wire.get_write_buffer_size() == 0)


async def test_a_body_that_does_not_come_is_a_408_and_no_job() -> None:
    dispatcher = ScriptedDispatcher.always(*HELLO)
    async with connected(dispatcher, max_timeout=50) as (caller, _):
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\ncontent-length: 99\r\n\r\n{{"
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(caller, head.encode())

        answer = await loop.sock_recv(caller, 65_536)

    assert answer.startswith(b"HTTP/1.1 408")
    assert dispatcher.jobs == []
