"""Stored MCP servers of each key."""

from pathlib import Path

from claude_gateway.mcp_servers.models import HttpConfig, McpServer, StdioConfig
from claude_gateway.mcp_servers.server_store import McpServerStore
from claude_gateway.storage.database import open_database

FILES = McpServer("files", StdioConfig(("server", "--all"), {"KEY": "secret"}), "about")
WEB = McpServer("web", HttpConfig("https://a/?b", {"X": "secret"}, "sse"), enabled=False)


async def test_loads_servers_of_a_key_and_servers_to_reconnect_after_a_restart(tmp_path: Path) -> None:
    async with open_database(tmp_path / "db") as database:
        store = McpServerStore(database)
        is_new = [await store.write_server("ann", server, 5, 0.0) for server in (WEB, FILES, FILES)]
        assert is_new == [True, True, False]
        await store.set_auto_connect("ann", "files", True)
    async with open_database(tmp_path / "db") as database:
        store = McpServerStore(database)
        assert await store.list_servers("ann") == [FILES, WEB]
        assert await store.list_servers("ben") == []
        assert (await store.find_server("ann", "web"), await store.find_server("ben", "web")) == (WEB, None)
        assert await store.list_auto_connected() == [("ann", FILES)]


async def test_registering_again_disables_automatic_connection(tmp_path: Path) -> None:
    async with open_database(tmp_path / "db") as database:
        store = McpServerStore(database)
        await store.write_server("ann", FILES, 5, 0.0)
        await store.set_auto_connect("ann", "files", True)
        await store.write_server("ann", FILES, 5, 0.0)
        assert await store.list_auto_connected() == []


async def test_limits_servers_per_key_and_deletes_only_servers_of_the_key(tmp_path: Path) -> None:
    async with open_database(tmp_path / "db") as database:
        store = McpServerStore(database)
        assert await store.write_server("ann", FILES, 1, 0.0)
        assert await store.write_server("ann", WEB, 1, 0.0) is None
        assert await store.write_server("ben", WEB, 1, 0.0)
        assert [await store.delete_server("ben", "files"), await store.delete_server("ann", "files")] == [False, True]
        assert await store.write_server("ann", WEB, 1, 0.0)
