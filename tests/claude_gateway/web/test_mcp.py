"""`/v1/mcp`: registered, connected, told of; the servers behind it are scripted."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from claude_gateway.access.keys import Key
from claude_gateway.mcp_servers.bounds import Bounds
from claude_gateway.mcp_servers.connection import Unreachable
from claude_gateway.mcp_servers.housing import Housing
from claude_gateway.mcp_servers.rules import Rules
from claude_gateway.mcp_servers.servers import McpServers
from claude_gateway.stores.db import open_database
from claude_gateway.stores.mcp_servers import McpServerStore
from tests.claude_gateway.mcp_servers.scripted import ScriptedServer, anybody
from tests.claude_gateway.web.conftest import Client, Serve
from tests.workers.helpers import until

SECRET = "s3cret-of-a-caller"
# As the guide registers it.
GUIDES: dict[str, Any] = {
    "name": "my-mcp-server",
    "command": "/path/to/mcp-server",
    "args": ["--port", "3001"],
    "env": {"API_KEY": SECRET},
    "description": "خادم MCP مخصص",
    "enabled": True,
}
REMOTE: dict[str, Any] = {
    "name": "web",
    "url": f"https://example.com/mcp?key={SECRET}",
    "headers": {"Authorization": f"Bearer {SECRET}"},
}
RULES = Rules(commands=(("/path/to/mcp-server", "--port", "3001"),))
BOUNDS = Bounds(servers=3, first_pause=0.001, longest_pause=0.002)


async def nobody(owner: str) -> bool:
    return False


@pytest.fixture
def stranger() -> ScriptedServer:
    return ScriptedServer()


@pytest.fixture
async def servers(tmp_path: Path, stranger: ScriptedServer) -> AsyncIterator[McpServers]:
    async with open_database(tmp_path / "db") as database:
        servers = McpServers(McpServerStore(database), RULES, BOUNDS, Housing(tmp_path), stranger.opened)
        async with servers.running(anybody):
            yield servers


@pytest.fixture
async def client(serve_owner: Serve, servers: McpServers) -> Client:
    return await serve_owner(mcp_servers=servers)


async def post(client: Client, path: str, body: dict[str, Any]) -> tuple[int, Any]:
    response = await client.post(f"/v1/mcp/{path}", json=body)
    return response.status, await response.json()


async def shown(client: Client) -> Any:
    return await (await client.get("/v1/mcp/servers")).json()


@pytest.mark.promise("mcp.guide")
async def test_the_guides_example_registers_connects_and_lets_go(client: Client, stranger: ScriptedServer) -> None:
    status, _ = await post(client, "servers", GUIDES)
    assert status == 201

    assert await post(client, "connect", {"server_name": "my-mcp-server"}) == (
        200,
        {"message": "Connected to MCP server 'my-mcp-server'", "tools": 1, "resources": 3, "prompts": 2},
    )
    (server,) = (await shown(client))["servers"]
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
    assert stranger.open == 0
    assert (await shown(client))["servers"][0]["status"] == "disconnected"


@pytest.mark.promise("mcp.secrets")
async def test_secrets_go_in_and_their_names_alone_come_out(
    client: Client, stranger: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    stranger.faults = [Unreachable("nobody")]
    answers = [
        await post(client, "servers", GUIDES),
        await post(client, "servers", REMOTE),
        await post(client, "connect", {"name": "web"}),
        await shown(client),
    ]

    assert SECRET not in str(answers) + caplog.text
    local, remote = (await shown(client))["servers"]
    assert (local["command"], local["args"], local["env"]) == ("/path/to/mcp-server", ["--port", "3001"], ["API_KEY"])
    assert (remote["url"], remote["headers"]) == ("https://example.com/mcp?…", ["Authorization"])


async def test_a_command_that_is_not_listed_is_a_403_with_the_line_to_add(client: Client) -> None:
    status, answer = await post(client, "servers", GUIDES | {"args": ["--port", "1"]})

    assert (status, answer["error"]["code"]) == (403, "mcp_command_not_allowed")
    assert "MCP_ALLOWED_COMMANDS=/path/to/mcp-server --port 1 " in answer["error"]["message"]
    assert (await shown(client))["total"] == 0


@pytest.mark.promise("mcp.unavailable")
async def test_a_server_that_cannot_be_connected_is_a_503_and_is_left_alone(
    client: Client, stranger: ScriptedServer
) -> None:
    await post(client, "servers", GUIDES)
    stranger.faults = [Unreachable("the program could not be started")]

    status, answer = await post(client, "connect", {"name": "my-mcp-server"})

    assert (status, answer["error"]["code"]) == (503, "mcp_unavailable")
    assert "could not be started" in answer["error"]["message"]
    assert (await shown(client))["servers"][0]["status"] == "disconnected"
    assert (await post(client, "connect", {"name": "my-mcp-server"}))[0] == 200


async def test_a_caller_who_leaves_a_hanging_handshake_leaves_nothing(
    client: Client, servers: McpServers, stranger: ScriptedServer
) -> None:
    await post(client, "servers", GUIDES)
    stranger.faults = [asyncio.Event()]
    connecting = asyncio.create_task(servers.connect("environment", "my-mcp-server"))
    await until(lambda: stranger.handshakes == 1)

    connecting.cancel()
    await asyncio.gather(connecting, return_exceptions=True)

    assert (await shown(client))["servers"][0]["status"] == "disconnected"


async def test_connected_servers_are_connected_again_after_a_restart(
    client: Client, servers: McpServers, stranger: ScriptedServer
) -> None:
    await post(client, "servers", GUIDES)
    await post(client, "servers", REMOTE)
    await post(client, "connect", {"name": "web"})

    async with servers.running(anybody):
        assert (await post(client, "connect", {"name": "web"}))[0] == 200
        statuses = {one["name"]: one["status"] for one in (await shown(client))["servers"]}

    assert statuses == {"my-mcp-server": "disconnected", "web": "connected"}


async def test_servers_of_a_key_that_may_have_none_any_more_are_let_go_and_not_connected_again(
    client: Client, servers: McpServers, stranger: ScriptedServer
) -> None:
    await post(client, "servers", GUIDES)
    await post(client, "connect", {"name": "my-mcp-server"})
    assert stranger.open == 1

    await servers.sweep(nobody)

    assert stranger.open == 0
    async with servers.running(nobody):
        assert (await shown(client))["servers"][0]["status"] == "disconnected"


async def test_registering_anew_replaces_and_lets_the_old_one_go(client: Client, stranger: ScriptedServer) -> None:
    await post(client, "servers", GUIDES)
    await post(client, "connect", {"name": "my-mcp-server"})

    status, _ = await post(client, "servers", REMOTE | {"name": "my-mcp-server"})

    assert (status, stranger.open) == (200, 0)
    (server,) = (await shown(client))["servers"]
    assert (server["type"], server["connected"]) == ("http", False)


async def test_a_deleted_server_is_gone(client: Client, stranger: ScriptedServer) -> None:
    await post(client, "servers", GUIDES)
    await post(client, "connect", {"name": "my-mcp-server"})

    assert (await client.delete("/v1/mcp/servers/my-mcp-server")).status == 200

    assert stranger.open == 0
    assert (await client.delete("/v1/mcp/servers/my-mcp-server")).status == 404
    for verb in ("connect", "disconnect"):
        status, answer = await post(client, verb, {"name": "my-mcp-server"})
        assert (status, answer["error"]["code"]) == (404, "mcp_server_not_found")


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
async def test_what_is_no_server_is_refused(client: Client, change: dict[str, Any], status: int) -> None:
    assert (await post(client, "servers", GUIDES | change))[0] == status


async def test_one_that_is_not_enabled_is_not_connected(client: Client, stranger: ScriptedServer) -> None:
    await post(client, "servers", GUIDES | {"enabled": False})

    assert (await post(client, "connect", {"name": "my-mcp-server"}))[0] == 409
    assert stranger.handshakes == 0


async def test_one_server_too_many_is_a_429(client: Client) -> None:
    found = [(await post(client, "servers", GUIDES | {"name": f"s{n}"}))[0] for n in range(4)]

    assert found == [201, 201, 201, 429]


async def test_every_path_needs_the_scope(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claude_gateway.access.key_ring._ENVIRONMENT", Key("environment", frozenset({"chat", "tools"})))
    for method, path in (
        ("GET", "servers"),
        ("POST", "servers"),
        ("DELETE", "servers/x"),
        ("POST", "connect"),
        ("POST", "disconnect"),
        ("GET", "stats"),
    ):
        assert (await client.request(method, f"/v1/mcp/{path}", json=GUIDES)).status == 403


async def test_a_neighbour_sees_and_reaches_nothing(servers: McpServers, client: Client) -> None:
    await post(client, "servers", GUIDES)
    await post(client, "connect", {"name": "my-mcp-server"})

    assert await servers.all_of("neighbour") == []
    assert servers.tools("neighbour") == ()
    assert (await servers.call("neighbour", "mcp__lib__look", {})).is_error
    assert not (await servers.call("environment", "mcp__lib__look", {})).is_error
