"""A gateway without API keys: local clients may chat and nothing else, and no request creates the first key."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from claude_gateway.auth.authenticator import Authenticator
from claude_gateway.auth.key_store import KeyStore, open_key_store
from claude_gateway.auth.models import FIRST_KEY_COMMAND, SCOPES
from claude_gateway.cli.main import main
from claude_gateway.mcp_servers.launcher import ServerLauncher
from claude_gateway.mcp_servers.limits import McpLimits
from claude_gateway.mcp_servers.manager import McpServerManager
from claude_gateway.mcp_servers.models import McpServer, StdioConfig
from claude_gateway.mcp_servers.policy import RegistrationPolicy
from claude_gateway.mcp_servers.server_store import McpServerStore
from claude_gateway.storage.database import DATABASE_FILE_NAME, open_database
from claude_gateway.web.route_lookup import OPEN_PATHS
from claude_gateway.web.routes import ROUTES
from tests.claude_gateway.mcp_servers.scripted import ScriptedServer
from tests.claude_gateway.scripted import CHAT_BODY
from tests.claude_gateway.web.conftest import Serve


def restricted_routes() -> list[tuple[str, str]]:
    """Return every method and path that needs another scope than `chat`."""
    return [
        (method, re.sub(r"\{.+?\}", "x", path))
        for route in ROUTES
        for path in route.paths
        for method in route.methods
        if path not in OPEN_PATHS and route.rule.scope not in ("chat", None)
    ]


def test_restricted_routes_include_keys_mcp_servers_and_metrics() -> None:
    assert {("POST", "/v1/admin/keys"), ("POST", "/v1/mcp/servers"), ("GET", "/metrics")} <= set(restricted_routes())


@pytest.mark.promise("keys.none-chat-only")
async def test_local_client_without_a_key_may_only_chat(serve: Serve, keys: KeyStore) -> None:
    client = await serve(keys=keys)

    for method, path in restricted_routes():
        response = await client.request(method, path, json={"name": "mine", "scopes": ["admin"], "command": "x"})
        assert response.status == 401, (method, path)
        if method != "HEAD":
            assert (await response.json())["error"]["code"] == "api_key_not_configured", (method, path)
    status = await (await client.get("/v1/auth/status")).json()
    chat = await client.post("/v1/chat/completions", json=CHAT_BODY)

    assert status["current_key"]["scopes"] == ["chat"]
    assert chat.status == 200
    assert await keys.list_keys() == []


@pytest.mark.parametrize(
    "fields",
    [
        {"enable_tools": True},
        {"tools": [{"type": "web_search_preview"}]},
        {"web_search_options": {}},
    ],
    ids=str,
)
async def test_no_builtin_tool_works_without_a_key(serve: Serve, fields: dict[str, Any]) -> None:
    response = await (await serve()).post("/v1/chat/completions", json={**CHAT_BODY, **fields})

    assert response.status in (400, 401) or "x-gateway-warnings" in response.headers


def test_suggested_command_creates_a_key_with_every_scope(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "state"))
    program, *arguments = shlex.split(FIRST_KEY_COMMAND)

    assert (program, main(arguments)) == ("claude-gateway", 0)

    output = capsys.readouterr()
    assert output.out.startswith("cgw_")
    assert all(scope in output.err for scope in SCOPES)


async def test_server_registered_without_a_key_is_not_started(tmp_path: Path) -> None:
    """An older version of the gateway allowed local clients to register servers."""
    path = tmp_path / DATABASE_FILE_NAME
    mcp_server = ScriptedServer()
    server = McpServer("old", StdioConfig(("/opt/old",)))
    async with open_database(path) as database, open_key_store(database, path) as keys:
        store = McpServerStore(database)
        await store.write_server("local", server, 16, 0.0)
        await store.set_auto_connect("local", "old", True)
        authenticator = Authenticator(None, keys)
        await authenticator.refresh()

        async def can_use_mcp(key_id: str) -> bool:
            return authenticator.has_scope(key_id, "mcp")

        policy = RegistrationPolicy(allowed_commands=(("/opt/old",),))
        manager = McpServerManager(store, policy, McpLimits(), ServerLauncher(tmp_path), mcp_server.open_session)
        async with manager.keep_connected(can_use_mcp):
            assert (await manager.list_servers("local"))[0].connection is None

    assert mcp_server.handshake_count == 0
