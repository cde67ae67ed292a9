"""A gateway without a key: what a caller of the machine itself may do, and that no request makes the first key."""

import shlex
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from claude_gateway.access.key_ring import KeyRing
from claude_gateway.access.keys import FIRST_KEY_COMMAND, SCOPES
from claude_gateway.cli import main
from claude_gateway.mcp_servers.bounds import Bounds
from claude_gateway.mcp_servers.housing import Housing
from claude_gateway.mcp_servers.rules import Rules
from claude_gateway.mcp_servers.server import Program, Server
from claude_gateway.mcp_servers.servers import McpServers
from claude_gateway.stores.db import DATABASE, open_database
from claude_gateway.stores.keys import KeyStore, open_keys
from claude_gateway.stores.mcp_servers import McpServerStore
from claude_gateway.web.admission import OPEN_PATHS
from claude_gateway.web.routes import add_routes
from claude_gateway.web.rules import rule_for
from tests.claude_gateway.mcp_servers.scripted import ScriptedServer
from tests.claude_gateway.scripted import CHAT
from tests.claude_gateway.web.conftest import Serve


def closed_routes() -> list[tuple[str, str]]:
    """Every method and path that demands more of a key than the scope `chat`."""
    app = web.Application()
    add_routes(app)
    found = []
    for route in app.router.routes():
        assert route.resource is not None
        routed = route.resource.canonical
        if routed not in OPEN_PATHS and rule_for(route.method, routed, routed).scope not in ("chat", None):
            found.append((route.method, routed.replace("{id}", "x").replace("{name}", "x").replace("{path}", "x")))
    return found


def test_there_are_paths_that_are_closed_without_a_key() -> None:
    assert {("POST", "/v1/admin/keys"), ("POST", "/v1/mcp/servers"), ("GET", "/metrics")} <= set(closed_routes())


@pytest.mark.promise("keys.none-chat-only")
async def test_without_a_key_a_caller_of_this_machine_may_chat_and_nothing_that_outlives_it(
    serve: Serve, keys: KeyStore
) -> None:
    client = await serve(keys=keys)

    for method, path in closed_routes():
        response = await client.request(method, path, json={"name": "mine", "scopes": ["admin"], "command": "x"})
        assert response.status == 401, (method, path)
        if method != "HEAD":
            assert (await response.json())["error"]["code"] == "api_key_not_configured", (method, path)
    status = await (await client.get("/v1/auth/status")).json()
    chat = await client.post("/v1/chat/completions", json=CHAT)

    assert status["caller"]["scopes"] == ["chat"]
    assert chat.status == 200
    assert await keys.listed() == []


@pytest.mark.parametrize(
    "asked",
    [
        {"enable_tools": True},
        {"tools": [{"type": "web_search_preview"}]},
        {"web_search_options": {}},
    ],
    ids=str,
)
async def test_without_a_key_no_tool_of_claudes_own_works(serve: Serve, asked: dict[str, Any]) -> None:
    response = await (await serve()).post("/v1/chat/completions", json={**CHAT, **asked})

    assert response.status in (400, 401) or "x-gateway-warnings" in response.headers


def test_the_command_that_a_newcomer_is_told_makes_a_key_of_every_scope(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "state"))
    program, *arguments = shlex.split(FIRST_KEY_COMMAND)

    assert (program, main(arguments)) == ("claude-gateway", 0)

    told = capsys.readouterr()
    assert told.out.startswith("cgw_")
    assert all(scope in told.err for scope in SCOPES)


async def test_a_server_that_was_registered_without_a_key_is_not_run(tmp_path: Path) -> None:
    """By an older gateway, which let callers of the machine register some."""
    path = tmp_path / DATABASE
    stranger = ScriptedServer()
    server = Server("old", Program(("/opt/old",)))
    async with open_database(path) as database, open_keys(database, path) as keys:
        store = McpServerStore(database)
        await store.write("local", server, 16, 0.0)
        await store.want("local", "old", True)
        ring = KeyRing(None, keys)
        await ring.follow()

        async def may(owner: str) -> bool:
            return ring.may(owner, "mcp")

        rules = Rules(commands=(("/opt/old",),))
        servers = McpServers(store, rules, Bounds(), Housing(tmp_path), stranger.opened)
        async with servers.running(may):
            assert (await servers.all_of("local"))[0].connection is None

    assert stranger.handshakes == 0
