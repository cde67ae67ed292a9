"""Callers who do not read, and bodies that do not come: nobody waits for them for ever."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from aiohttp import web
from pydantic import SecretStr

from claude_gateway.access.address import read_networks
from claude_gateway.web.connection import Connection, factory
from claude_gateway.web.connection_shares import GUEST_SILENCE_SECONDS
from claude_gateway.web.reference import ASSETS
from tests.claude_gateway.conftest import Clock
from tests.claude_gateway.scripted import CHAT, HELLO, ScriptedDispatcher, scripted_app
from tests.workers.helpers import PATIENCE

CHAT_PATH = "/v1/chat/completions"
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


class Door:
    """Where a gateway listens that lets in `limit` connections."""

    def __init__(self, port: int, server: web.Server) -> None:
        self.port = port
        self.server = server
        self.opened: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def knock(self, count: int = 1, address: str = "127.0.0.1") -> list[asyncio.StreamReader]:
        """So many silent connections, all of them seen by the gateway."""
        new = []
        for _ in range(count):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(address, 0))
            name = writer.get_extra_info("sockname")
            await until(lambda name=name: name in self._peers())  # type: ignore[misc]
            new.append((reader, writer))
        self.opened += new
        return [reader for reader, _ in new]

    def _peers(self) -> set[object]:
        return {connection.peername for connection in self.server.connections}

    async def ask(
        self,
        reader: asyncio.StreamReader,
        path: str = "/v1/models",
        *,
        key: str = KEY,
        forwarded: str = "",
        body: Any = None,
    ) -> int:
        """The status of an answer on this connection."""
        writer = next(writer for each, writer in self.opened if each is reader)
        sent = orjson.dumps(body) if body else b""
        lines = [f"{'POST' if body else 'GET'} {path} HTTP/1.1", "host: x", f"content-length: {len(sent)}"]
        lines += [f"x-api-key: {key}"] if key else []
        lines += [f"x-forwarded-for: {forwarded}"] if forwarded else []
        writer.write("\r\n".join([*lines, "", ""]).encode() + sent)
        async with asyncio.timeout(PATIENCE):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
            await reader.readexactly(int(length.partition(b":")[2]))
        return int(head.split()[1])


@asynccontextmanager
async def door(limit: int, proxies: str = "", dispatcher: ScriptedDispatcher | None = None) -> AsyncIterator[Door]:
    dispatcher = dispatcher or ScriptedDispatcher([])
    app = scripted_app(dispatcher, api_key=SecretStr(KEY))
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    assert runner.server is not None
    make = factory(runner.server, limit, lambda: read_networks(proxies))
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    found = Door(server.sockets[0].getsockname()[1], runner.server)
    try:
        yield found
    finally:
        for _, writer in found.opened:
            writer.close()
        server.close()
        await runner.cleanup()


@pytest.mark.promise("limits.connections")
async def test_a_client_with_a_key_finds_a_place_however_many_silent_connections_a_stranger_holds() -> None:
    async with door(8) as gateway:
        await gateway.knock(20)

        (reader,) = await gateway.knock()

        assert await gateway.ask(reader) == 200
        await gateway.knock(20)
        assert await gateway.ask(reader) == 200
        assert len(gateway.server.connections) <= 8


async def test_a_stranger_leaves_room_for_strangers_of_other_addresses() -> None:
    async with door(8) as gateway:
        await gateway.knock(20)
        (other,) = await gateway.knock(address="127.0.0.2")

        await gateway.knock(20)

        assert await gateway.ask(other, "/health/live", key="") == 200


async def test_what_stays_silent_is_closed_soon_where_places_are_few(clock: Clock) -> None:
    async with door(8) as gateway:
        readers = await gateway.knock(8)
        assert await gateway.ask(readers[7]) == 200

        clock.now += GUEST_SILENCE_SECONDS

        async with asyncio.timeout(PATIENCE):
            assert [await reader.read() for reader in readers[3:7]] == [b""] * 4
        assert await gateway.ask(readers[0], "/health/live", key="") == 200
        assert await gateway.ask(readers[7]) == 200


async def test_behind_a_trusted_proxy_each_client_has_the_share_of_its_own_address() -> None:
    async with door(16, "127.0.0.1") as gateway:
        readers = await gateway.knock(12)
        for reader in readers:
            assert await gateway.ask(reader, "/health/live", key="", forwarded="192.0.2.1") == 200

        (other,) = await gateway.knock()

        assert await gateway.ask(other, "/health/live", key="", forwarded="192.0.2.2") == 200
        for reader in readers:
            assert await gateway.ask(reader, forwarded="192.0.2.1") == 200


async def test_requests_of_one_key_leave_a_quarter_of_the_connections_to_others() -> None:
    held = asyncio.Event()
    dispatcher = ScriptedDispatcher.always(held, *HELLO)
    async with door(4, dispatcher=dispatcher) as gateway:
        readers = await gateway.knock(4)
        running = [asyncio.create_task(gateway.ask(reader, CHAT_PATH, body=CHAT)) for reader in readers[:3]]
        await until(lambda: dispatcher.held == 3)

        assert await gateway.ask(readers[3]) == 429
        assert await gateway.ask(readers[3], "/health/live", key="") == 200
        held.set()
        assert [await one for one in running] == [200] * 3
