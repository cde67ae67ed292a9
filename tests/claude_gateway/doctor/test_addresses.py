"""A port that is free or taken, and an address behind which streams come through or are held back."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from claude_gateway.doctor import addresses
from claude_gateway.doctor.findings import State
from tests.claude_gateway.scripted import settings
from tests.claude_gateway.web.conftest import Client, Serve
from tests.claude_gateway.web.conftest import serve as serve

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
OWNER = "the-key-of-the-owner"
LONG, SHORT = 20.0, 0.5


@asynccontextmanager
async def listening(handler: Handler | None = None) -> AsyncIterator[str]:
    """A server of somebody's on a free port."""
    app = web.Application()
    app.router.add_get("/{path:.*}", handler or _hello)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def _hello(_: web.Request) -> web.Response:
    return web.Response(text="hello")


def url(client: Client) -> str:
    return f"http://127.0.0.1:{client.port}"


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


async def test_a_free_port_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    finding, running = await addresses.port(settings(port=free, claude_wrapper_host="127.0.0.1"))
    assert (finding.state, running) == (State.OK, False)


async def test_a_port_that_somebody_else_has_is_taken() -> None:
    async with listening() as address:
        finding, running = await addresses.port(settings(port=port_of(address), claude_wrapper_host="127.0.0.1"))
    assert (finding.state, running) == (State.FAILED, False)
    assert "PORT" in finding.remedy


async def test_a_held_socket_with_no_gateway_behind_it_is_told_from_a_foreign_program() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:  # which takes connections, and answers none
        at = settings(port=held.getsockname()[1], claude_wrapper_host="127.0.0.1")
        finding, running = await addresses.port(at, SHORT)
    assert (finding.state, running) == (State.FAILED, False)
    assert "takes connections, and nobody answers them" in finding.seen
    assert "systemctl status claude-gateway" in finding.remedy


@pytest.fixture
async def gateway(serve: Serve) -> Client:
    return await serve(api_key=OWNER, heartbeat_seconds=0.1)


async def test_a_gateway_at_its_port_is_as_it_should_be(gateway: Client) -> None:
    finding, running = await addresses.port(settings(port=gateway.port, claude_wrapper_host="127.0.0.1"))
    assert (finding.state, running) == (State.OK, True)
    assert "a claude-gateway serves there" in finding.seen


async def test_an_address_where_nobody_is_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
    assert (await addresses.streaming(nobody, OWNER, LONG)).state is State.FAILED
