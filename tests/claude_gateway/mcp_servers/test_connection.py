"""Detection of disconnected MCP servers, and reconnection until the server is deleted."""

import asyncio
from dataclasses import replace

import pytest

from claude_gateway.mcp_servers.connection import McpConnection, ServerUnavailable
from claude_gateway.mcp_servers.limits import McpLimits
from claude_gateway.mcp_servers.models import McpServer, StdioConfig
from tests.claude_gateway.mcp_servers.scripted import ScriptedServer, make_catalog
from tests.workers.helpers import wait_until
from workers.core.job import RemoteToolResult, Text

LIMITS = McpLimits(min_retry_seconds=0.001, max_retry_seconds=0.002, min_relist_seconds=0)
TOOL_RESULT = RemoteToolResult((Text("seen"),))


def create_connection(server: ScriptedServer, limits: McpLimits = LIMITS) -> McpConnection:
    connection = McpConnection(McpServer("lib", StdioConfig(("x",))), server.open_session, limits)
    connection.start()
    return connection


async def test_catalog_is_known_after_the_handshake() -> None:
    connection = create_connection(ScriptedServer())

    assert await connection.wait_connected() == make_catalog("look")
    assert (connection.status, connection.error) == ("connected", "")
    assert await connection.call_tool("look", {"at": 1}) == TOOL_RESULT
    await connection.close()


async def test_failed_first_handshake_raises_its_reason() -> None:
    connection = create_connection(ScriptedServer(handshake_faults=[ServerUnavailable("unreachable")]))

    with pytest.raises(ServerUnavailable, match="unreachable"):
        await connection.wait_connected()
    await connection.close()


async def test_handshake_times_out() -> None:
    connection = create_connection(
        ScriptedServer(handshake_faults=[asyncio.Event()]), replace(LIMITS, connect_timeout_seconds=0.001)
    )

    with pytest.raises(ServerUnavailable, match="not ready"):
        await connection.wait_connected()
    await connection.close()


@pytest.mark.promise("mcp.reconnects")
async def test_reconnects_after_the_server_disconnects() -> None:
    server = ScriptedServer()
    connection = create_connection(server)
    await connection.wait_connected()
    server.handshake_faults = [ServerUnavailable("not yet"), ServerUnavailable("not yet")]
    server.catalog = make_catalog("look", "search")

    server.crash()
    await wait_until(lambda: connection.status != "connected")
    result = await connection.call_tool("look", {})
    await wait_until(lambda: connection.status == "connected")

    assert result.is_error
    assert "not connected at the moment" in str(result.content)
    assert server.handshake_count == 4
    assert connection.reconnect_count == 1
    assert connection.catalog == make_catalog("look", "search")
    await connection.close()
    assert server.open_count == 0


async def test_call_to_a_disconnected_server_fails_and_triggers_reconnection() -> None:
    server = ScriptedServer()
    connection = create_connection(server)
    await connection.wait_connected()
    server.is_running = False

    result = await connection.call_tool("look", {})

    assert result.is_error
    await wait_until(lambda: server.handshake_count == 2 and connection.status == "connected")
    assert await connection.call_tool("look", {}) == TOOL_RESULT
    await connection.close()


async def test_hanging_call_times_out() -> None:
    connection = create_connection(ScriptedServer(hangs=True), replace(LIMITS, call_timeout_seconds=0.001))
    await connection.wait_connected()

    result = await connection.call_tool("look", {})

    assert result.is_error
    assert "did not respond" in str(result.content)
    await connection.close()


async def test_lists_changed_tools_again() -> None:
    server = ScriptedServer()
    connection = create_connection(server)
    await connection.wait_connected()
    server.catalog = make_catalog("other")

    server.sessions[-1].tools_changed = True
    server.sessions[-1].wakeup.set()

    await wait_until(lambda: connection.catalog == make_catalog("other"))
    assert server.handshake_count == 1
    await connection.close()


async def test_detects_a_silent_disconnected_server_by_ping() -> None:
    server = ScriptedServer()
    connection = create_connection(server, replace(LIMITS, ping_interval_seconds=0.001))
    await connection.wait_connected()
    server.is_running = False

    await wait_until(lambda: server.handshake_count == 2)
    await connection.close()


async def test_reconnects_immediately_on_request() -> None:
    server = ScriptedServer(handshake_faults=[ServerUnavailable("not yet")])
    connection = create_connection(server, replace(LIMITS, min_retry_seconds=3600, max_retry_seconds=3600))
    await wait_until(lambda: connection.status == "reconnecting")

    assert await connection.wait_connected() == make_catalog("look")
    await connection.close()


async def test_does_not_reconnect_to_a_flooding_server_until_requested() -> None:
    server = ScriptedServer()
    connection = create_connection(server)
    await connection.wait_connected()

    server.flood()
    await wait_until(lambda: connection.status == "disconnected")

    assert (server.open_count, server.handshake_count, connection.error) == (0, 1, "it sends too much")
    assert "it sends too much" in str((await connection.call_tool("look", {})).content)
    assert await connection.wait_connected() == make_catalog("look")
    assert (connection.status, connection.error, server.handshake_count) == ("connected", "", 2)
    await connection.close()


async def test_waiting_request_fails_when_the_server_is_deleted() -> None:
    connection = create_connection(ScriptedServer(handshake_faults=[asyncio.Event()]))
    waiting = asyncio.create_task(connection.wait_connected())
    await asyncio.sleep(0)

    await connection.close()

    with pytest.raises(ServerUnavailable, match="closed on request"):
        await waiting
