"""Connections: clients that do not read, bodies that do not arrive, and the limit of connections."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from aiohttp import web
from pydantic import SecretStr

from claude_gateway.auth.client_address import parse_networks
from claude_gateway.web.pages.api_docs import ASSET_PATHS
from claude_gateway.web.server.connection import ClientConnection, create_connection_factory
from claude_gateway.web.server.connection_shares import MAX_PROVISIONAL_IDLE_SECONDS
from tests.claude_gateway.manual_clock import ManualClock
from tests.claude_gateway.scripted import CHAT_BODY, HELLO_EVENTS, ScriptedWorkerSource, build_scripted_app
from tests.workers.helpers import TIMEOUT_SECONDS

CHAT_PATH = "/v1/chat/completions"
KEY = "a-key-of-the-tests"
LARGE = next(path for path in ASSET_PATHS if path.endswith("redoc.standalone.js"))
# The responses are larger than all buffers between the client and the gateway.
REQUESTS = f"GET {LARGE} HTTP/1.1\r\nhost: x\r\n\r\n".encode() * 40


@asynccontextmanager
async def connect(
    worker_source: ScriptedWorkerSource, **settings: int
) -> AsyncIterator[tuple[socket.socket, ClientConnection]]:
    """Connect a client to a gateway, and yield the socket of the client and the connection of the gateway."""
    loop = asyncio.get_running_loop()
    runner = web.AppRunner(
        build_scripted_app(worker_source, api_key=SecretStr(KEY), **settings), handler_cancellation=True
    )
    await runner.setup()
    assert runner.server is not None
    server = await loop.create_server(create_connection_factory(runner.server, 10), "127.0.0.1", 0)
    with socket.socket() as client_socket:
        client_socket.setblocking(False)
        await loop.sock_connect(client_socket, server.sockets[0].getsockname())
        await wait_until_true(lambda: bool(runner.server and runner.server.connections))
        (connection,) = runner.server.connections
        assert isinstance(connection, ClientConnection)
        try:
            yield client_socket, connection
        finally:
            client_socket.close()
            server.close()
            await runner.cleanup()


async def wait_until_true(done: Callable[[], bool]) -> None:
    while not done():  # noqa: ASYNC110 - a connection has no event
        await asyncio.sleep(0)


@pytest.mark.promise("limits.reading")
async def test_closes_connection_that_reads_nothing_between_two_checks() -> None:
    async with connect(ScriptedWorkerSource([])) as (client_socket, connection):
        await asyncio.get_running_loop().sock_sendall(client_socket, REQUESTS)
        await wait_until_true(lambda: connection.writing_paused)

        connection.abort_if_stalled()
        assert connection.connected
        connection.abort_if_stalled()

        await wait_until_true(lambda: not connection.connected)


async def test_keeps_connection_that_reads_slowly() -> None:
    loop = asyncio.get_running_loop()
    async with connect(ScriptedWorkerSource([])) as (client_socket, connection):
        await loop.sock_sendall(client_socket, REQUESTS)
        transport = connection.transport
        assert transport is not None
        for _ in range(3):
            await wait_until_true(lambda: connection.writing_paused)
            connection.abort_if_stalled()
            unsent_bytes = transport.get_write_buffer_size()
            while transport.get_write_buffer_size() == unsent_bytes:
                assert await loop.sock_recv(client_socket, 65_536)
        connection.abort_if_stalled()

        assert connection.connected
        assert not transport.is_closing()


async def test_closes_connection_that_does_not_read_the_rest_after_its_end() -> None:
    async with connect(ScriptedWorkerSource([])) as (client_socket, connection):
        await asyncio.get_running_loop().sock_sendall(client_socket, REQUESTS)
        await wait_until_true(lambda: connection.writing_paused)
        transport = connection.transport
        assert transport is not None
        connection.force_close()
        assert transport.is_closing()

        connection.abort_if_stalled()
        connection.abort_if_stalled()

        await wait_until_true(lambda: transport.get_write_buffer_size() == 0)


async def test_rejects_body_that_does_not_arrive_with_408_without_a_job() -> None:
    worker_source = ScriptedWorkerSource.repeating(*HELLO_EVENTS)
    async with connect(worker_source, max_timeout=50) as (client_socket, _):
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\ncontent-length: 99\r\n\r\n{{"
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(client_socket, head.encode())

        response = await loop.sock_recv(client_socket, 65_536)

    assert response.startswith(b"HTTP/1.1 408")
    assert worker_source.jobs == []


class ListeningGateway:
    """A listening gateway, and the connections of its clients."""

    def __init__(self, port: int, server: web.Server) -> None:
        self.port = port
        self.server = server
        self.connections: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def connect(self, count: int = 1, address: str = "127.0.0.1") -> list[asyncio.StreamReader]:
        """Open idle connections, and wait until the gateway has accepted them."""
        new = []
        for _ in range(count):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(address, 0))
            name = writer.get_extra_info("sockname")
            await wait_until_true(lambda name=name: name in self._peers())  # type: ignore[misc]
            new.append((reader, writer))
        self.connections += new
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
        """Send a request on a connection, and return the status of the response."""
        writer = next(writer for other, writer in self.connections if other is reader)
        body_bytes = orjson.dumps(body) if body else b""
        lines = [f"{'POST' if body else 'GET'} {path} HTTP/1.1", "host: x", f"content-length: {len(body_bytes)}"]
        lines += [f"x-api-key: {key}"] if key else []
        lines += [f"x-forwarded-for: {forwarded}"] if forwarded else []
        writer.write("\r\n".join([*lines, "", ""]).encode() + body_bytes)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
            await reader.readexactly(int(length.partition(b":")[2]))
        return int(head.split()[1])


@asynccontextmanager
async def run_gateway(
    limit: int, proxies: str = "", worker_source: ScriptedWorkerSource | None = None
) -> AsyncIterator[ListeningGateway]:
    worker_source = worker_source or ScriptedWorkerSource([])
    app = build_scripted_app(worker_source, api_key=SecretStr(KEY))
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    assert runner.server is not None
    factory = create_connection_factory(runner.server, limit, lambda: parse_networks(proxies))
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    gateway = ListeningGateway(server.sockets[0].getsockname()[1], runner.server)
    try:
        yield gateway
    finally:
        for _, writer in gateway.connections:
            writer.close()
        server.close()
        await runner.cleanup()


@pytest.mark.promise("limits.connections")
async def test_client_with_a_key_connects_despite_any_number_of_idle_anonymous_connections() -> None:
    async with run_gateway(8) as gateway:
        await gateway.connect(20)

        (reader,) = await gateway.connect()

        assert await gateway.ask(reader) == 200
        await gateway.connect(20)
        assert await gateway.ask(reader) == 200
        assert len(gateway.server.connections) <= 8


async def test_anonymous_clients_of_one_address_leave_connections_to_other_addresses() -> None:
    async with run_gateway(8) as gateway:
        await gateway.connect(20)
        (other,) = await gateway.connect(address="127.0.0.2")

        await gateway.connect(20)

        assert await gateway.ask(other, "/health/live", key="") == 200


async def test_closes_idle_connections_early_if_few_are_free(clock: ManualClock) -> None:
    async with run_gateway(8) as gateway:
        readers = await gateway.connect(8)
        assert await gateway.ask(readers[7]) == 200

        clock.now += MAX_PROVISIONAL_IDLE_SECONDS

        async with asyncio.timeout(TIMEOUT_SECONDS):
            assert [await reader.read() for reader in readers[3:7]] == [b""] * 4
        assert await gateway.ask(readers[0], "/health/live", key="") == 200
        assert await gateway.ask(readers[7]) == 200


async def test_each_client_behind_a_trusted_proxy_has_the_share_of_its_address() -> None:
    async with run_gateway(16, "127.0.0.1") as gateway:
        readers = await gateway.connect(12)
        for reader in readers:
            assert await gateway.ask(reader, "/health/live", key="", forwarded="192.0.2.1") == 200

        (other,) = await gateway.connect()

        assert await gateway.ask(other, "/health/live", key="", forwarded="192.0.2.2") == 200
        for reader in readers:
            assert await gateway.ask(reader, forwarded="192.0.2.1") == 200


async def test_requests_of_one_key_leave_a_quarter_of_the_connections_to_others() -> None:
    resume = asyncio.Event()
    worker_source = ScriptedWorkerSource.repeating(resume, *HELLO_EVENTS)
    async with run_gateway(4, worker_source=worker_source) as gateway:
        readers = await gateway.connect(4)
        running = [asyncio.create_task(gateway.ask(reader, CHAT_PATH, body=CHAT_BODY)) for reader in readers[:3]]
        await wait_until_true(lambda: worker_source.leased_count == 3)

        assert await gateway.ask(readers[3]) == 429
        assert await gateway.ask(readers[3], "/health/live", key="") == 200
        resume.set()
        assert [await task for task in running] == [200] * 3
