"""Tests for `/v1/mcp` with scripted MCP servers."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from claude_gateway.auth.models import ApiKey
from claude_gateway.mcp_servers.connection import ServerUnavailable
from claude_gateway.mcp_servers.launcher import ServerLauncher
from claude_gateway.mcp_servers.limits import McpLimits
from claude_gateway.mcp_servers.manager import McpServerManager
from claude_gateway.mcp_servers.policy import RegistrationPolicy
from claude_gateway.mcp_servers.server_store import McpServerStore
from claude_gateway.storage.database import open_database
from claude_gateway.web.context.state import STATE
from tests.claude_gateway.mcp_servers.scripted import ScriptedServer, allow_any_key
from tests.claude_gateway.web.conftest import Client, Serve
from tests.workers.helpers import wait_until

SECRET = "s3cret-of-a-client"
# The example of the guide.
GUIDE_SERVER: dict[str, Any] = {
    "name": "my-mcp-server",
    "command": "/path/to/mcp-server",
    "args": ["--port", "3001"],
    "env": {"API_KEY": SECRET},
    "description": "خادم MCP مخصص",
    "enabled": True,
}
REMOTE_SERVER: dict[str, Any] = {
    "name": "web",
    "url": f"https://example.com/mcp?key={SECRET}",
    "headers": {"Authorization": f"Bearer {SECRET}"},
}
POLICY = RegistrationPolicy(allowed_commands=(("/path/to/mcp-server", "--port", "3001"),))
LIMITS = McpLimits(max_servers=3, min_retry_seconds=0.001, max_retry_seconds=0.002)


async def allow_no_key(key_id: str) -> bool:
    return False


@pytest.fixture
def scripted_server() -> ScriptedServer:
    return ScriptedServer()


@pytest.fixture
async def servers(tmp_path: Path, scripted_server: ScriptedServer) -> AsyncIterator[McpServerManager]:
    async with open_database(tmp_path / "db") as database:
        servers = McpServerManager(
            McpServerStore(database), POLICY, LIMITS, ServerLauncher(tmp_path), scripted_server.open_session
        )
        async with servers.keep_connected(allow_any_key):
            yield servers


@pytest.fixture
async def client(serve_admin: Serve, servers: McpServerManager) -> Client:
    return await serve_admin(mcp_servers=servers)


async def post(client: Client, path: str, body: dict[str, Any]) -> tuple[int, Any]:
    response = await client.post(f"/v1/mcp/{path}", json=body)
    return response.status, await response.json()


async def list_servers(client: Client) -> Any:
    return await (await client.get("/v1/mcp/servers")).json()


@pytest.mark.promise("mcp.guide")
async def test_guide_example_registers_connects_and_disconnects(
    client: Client, scripted_server: ScriptedServer
) -> None:
    status, _ = await post(client, "servers", GUIDE_SERVER)
    assert status == 201

    assert await post(client, "connect", {"server_name": "my-mcp-server"}) == (
        200,
        {"message": "Connected to MCP server 'my-mcp-server'", "tools": 1, "resources": 3, "prompts": 2},
    )
    (server,) = (await list_servers(client))["servers"]
    assert (server["connected"], server["status"], server["tool_names"]) == (True, "connected", ["mcp__lib__look"])
    stats = await (await client.get("/v1/mcp/stats")).json()
    assert stats == {
        "registered_servers": 1,
        "connected_servers": 1,
        "total_tools": 1,
        "total_resources": 3,
        "total_prompts": 2,
        "reconnections": 0,
    }

    assert (await post(client, "disconnect", {"server_name": "my-mcp-server"}))[0] == 200
    assert scripted_server.open_count == 0
    assert (await list_servers(client))["servers"][0]["status"] == "disconnected"


@pytest.mark.promise("mcp.secrets")
async def test_shows_names_of_secrets_without_their_values(
    client: Client, scripted_server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    scripted_server.handshake_faults = [ServerUnavailable("unreachable")]
    responses = [
        await post(client, "servers", GUIDE_SERVER),
        await post(client, "servers", REMOTE_SERVER),
        await post(client, "connect", {"name": "web"}),
        await list_servers(client),
    ]

    assert SECRET not in str(responses) + caplog.text
    local, remote = (await list_servers(client))["servers"]
    assert (local["command"], local["args"], local["env"]) == ("/path/to/mcp-server", ["--port", "3001"], ["API_KEY"])
    assert (remote["url"], remote["headers"]) == ("https://example.com/mcp?…", ["Authorization"])


async def test_rejects_unlisted_command_with_403_and_the_setting_to_add(client: Client) -> None:
    status, body = await post(client, "servers", GUIDE_SERVER | {"args": ["--port", "1"]})

    assert (status, body["error"]["code"]) == (403, "mcp_command_not_allowed")
    assert "MCP_ALLOWED_COMMANDS=/path/to/mcp-server --port 1 " in body["error"]["message"]
    assert (await list_servers(client))["total"] == 0


@pytest.mark.promise("mcp.unavailable")
async def test_unreachable_server_is_a_503_and_is_not_retried(client: Client, scripted_server: ScriptedServer) -> None:
    await post(client, "servers", GUIDE_SERVER)
    scripted_server.handshake_faults = [ServerUnavailable("the program could not be started")]

    status, body = await post(client, "connect", {"name": "my-mcp-server"})

    assert (status, body["error"]["code"]) == (503, "mcp_unavailable")
    assert "could not be started" in body["error"]["message"]
    assert (await list_servers(client))["servers"][0]["status"] == "disconnected"
    assert (await post(client, "connect", {"name": "my-mcp-server"}))[0] == 200


async def test_client_disconnecting_during_a_handshake_leaves_nothing_behind(
    client: Client, servers: McpServerManager, scripted_server: ScriptedServer
) -> None:
    await post(client, "servers", GUIDE_SERVER)
    scripted_server.handshake_faults = [asyncio.Event()]
    connecting = asyncio.create_task(servers.connect("environment", "my-mcp-server"))
    await wait_until(lambda: scripted_server.handshake_count == 1)

    connecting.cancel()
    await asyncio.gather(connecting, return_exceptions=True)

    assert (await list_servers(client))["servers"][0]["status"] == "disconnected"


async def test_reconnects_connected_servers_after_a_restart(
    client: Client, servers: McpServerManager, scripted_server: ScriptedServer
) -> None:
    await post(client, "servers", GUIDE_SERVER)
    await post(client, "servers", REMOTE_SERVER)
    await post(client, "connect", {"name": "web"})

    async with servers.keep_connected(allow_any_key):
        assert (await post(client, "connect", {"name": "web"}))[0] == 200
        statuses = {server["name"]: server["status"] for server in (await list_servers(client))["servers"]}

    assert statuses == {"my-mcp-server": "disconnected", "web": "connected"}


async def test_disconnects_servers_of_a_key_that_lost_the_scope(
    client: Client, servers: McpServerManager, scripted_server: ScriptedServer
) -> None:
    await post(client, "servers", GUIDE_SERVER)
    await post(client, "connect", {"name": "my-mcp-server"})
    assert scripted_server.open_count == 1

    await servers.disconnect_unauthorized(allow_no_key)

    assert scripted_server.open_count == 0
    async with servers.keep_connected(allow_no_key):
        assert (await list_servers(client))["servers"][0]["status"] == "disconnected"


async def test_registering_again_replaces_and_disconnects_the_server(
    client: Client, scripted_server: ScriptedServer
) -> None:
    await post(client, "servers", GUIDE_SERVER)
    await post(client, "connect", {"name": "my-mcp-server"})

    status, _ = await post(client, "servers", REMOTE_SERVER | {"name": "my-mcp-server"})

    assert (status, scripted_server.open_count) == (200, 0)
    (server,) = (await list_servers(client))["servers"]
    assert (server["type"], server["connected"]) == ("http", False)


async def test_deletes_server(client: Client, scripted_server: ScriptedServer) -> None:
    await post(client, "servers", GUIDE_SERVER)
    await post(client, "connect", {"name": "my-mcp-server"})

    assert (await client.delete("/v1/mcp/servers/my-mcp-server")).status == 200

    assert scripted_server.open_count == 0
    assert (await client.delete("/v1/mcp/servers/my-mcp-server")).status == 404
    for action in ("connect", "disconnect"):
        status, body = await post(client, action, {"name": "my-mcp-server"})
        assert (status, body["error"]["code"]) == (404, "mcp_server_not_found")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"name": "a/b"}, 422),
        ({"name": "n" * 65}, 422),
        ({"name": "a\n"}, 422),
        ({"url": "https://example.com"}, 400),
        ({"command": None}, 400),
        ({"type": "sse"}, 400),
        ({"env": {"LD_PRELOAD": "/tmp/x.so"}}, 400),
        ({"env": {"A_KEY": 3}}, 422),
    ],
)
async def test_rejects_invalid_server(client: Client, change: dict[str, Any], status: int) -> None:
    assert (await post(client, "servers", GUIDE_SERVER | change))[0] == status


async def test_rejects_connecting_a_disabled_server(client: Client, scripted_server: ScriptedServer) -> None:
    await post(client, "servers", GUIDE_SERVER | {"enabled": False})

    assert (await post(client, "connect", {"name": "my-mcp-server"}))[0] == 409
    assert scripted_server.handshake_count == 0


async def test_rejects_servers_over_the_limit_with_429(client: Client) -> None:
    statuses = [(await post(client, "servers", GUIDE_SERVER | {"name": f"s{n}"}))[0] for n in range(4)]

    assert statuses == [201, 201, 201, 429]


async def test_every_path_requires_the_scope(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        client.app[STATE].authenticator, "_environment_key", ApiKey("environment", frozenset({"chat", "tools"}))
    )
    for method, path in (
        ("GET", "servers"),
        ("POST", "servers"),
        ("DELETE", "servers/x"),
        ("POST", "connect"),
        ("POST", "disconnect"),
        ("GET", "stats"),
    ):
        assert (await client.request(method, f"/v1/mcp/{path}", json=GUIDE_SERVER)).status == 403


async def test_hides_servers_of_other_keys(servers: McpServerManager, client: Client) -> None:
    await post(client, "servers", GUIDE_SERVER)
    await post(client, "connect", {"name": "my-mcp-server"})

    assert await servers.list_servers("other-key") == []
    assert servers.list_tools("other-key") == ()
    assert (await servers.call_tool("other-key", "mcp__lib__look", {})).is_error
    assert not (await servers.call_tool("environment", "mcp__lib__look", {})).is_error
