"""Tests of the probes of the port and of the public address."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from claude_gateway.doctor import network
from claude_gateway.doctor.result import CheckStatus
from tests.claude_gateway.scripted import make_settings
from tests.claude_gateway.web.conftest import Client, Serve
from tests.claude_gateway.web.conftest import serve as serve

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ADMIN_KEY = "the-key-of-the-operator"
LONG, SHORT = 20.0, 0.5


@asynccontextmanager
async def run_server(handler: Handler | None = None) -> AsyncIterator[str]:
    """Run a server of another program on a free port."""
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


def url_of(client: Client) -> str:
    return f"http://127.0.0.1:{client.port}"


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


async def test_free_port_is_ok() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    result, is_running = await network.probe_port(make_settings(port=free, claude_wrapper_host="127.0.0.1"))
    assert (result.status, is_running) == (CheckStatus.OK, False)


async def test_used_port_is_a_failure() -> None:
    async with run_server() as address:
        result, is_running = await network.probe_port(
            make_settings(port=port_of(address), claude_wrapper_host="127.0.0.1")
        )
    assert (result.status, is_running) == (CheckStatus.FAILED, False)
    assert "PORT" in result.remedy


async def test_distinguishes_held_socket_without_gateway_from_another_program() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts connections, but answers none
        settings = make_settings(port=silent.getsockname()[1], claude_wrapper_host="127.0.0.1")
        result, is_running = await network.probe_port(settings, SHORT)
    assert (result.status, is_running) == (CheckStatus.FAILED, False)
    assert "accepts connections, but no program answers them" in result.detail
    assert "systemctl status claude-gateway" in result.remedy


@pytest.fixture
async def gateway(serve: Serve) -> Client:
    return await serve(api_key=ADMIN_KEY, heartbeat_interval_seconds=0.1)


async def test_running_gateway_is_ok(gateway: Client) -> None:
    result, is_running = await network.probe_port(make_settings(port=gateway.port, claude_wrapper_host="127.0.0.1"))
    assert (result.status, is_running) == (CheckStatus.OK, True)
    assert "a claude-gateway is running there" in result.detail


async def test_names_unused_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        unused = f"http://127.0.0.1:{taken.getsockname()[1]}"
    assert (await network.probe_streaming(unused, ADMIN_KEY, LONG)).status is CheckStatus.FAILED
