"""Stores the MCP servers that each key has registered, including the secrets of the servers, in the database.

Every SQL statement about one server filters by key id (column `key_id`).
"""

import orjson

from claude_gateway.mcp_servers.models import McpServer, server_from_json, server_to_json
from claude_gateway.storage.database import Database, Row
from claude_gateway.storage.row_reader import read_rows


class McpServerStore:
    """Store of registered MCP servers.

    The column `auto_connect` marks the servers that the gateway connects again after a restart.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_servers(self, key_id: str) -> list[McpServer]:
        """List the servers of a key, sorted by name."""
        rows = await self._database.read(
            "SELECT key_id, name, definition FROM mcp_servers WHERE key_id = ? ORDER BY name", (key_id,)
        )
        return [server for _, server in read_rows(rows, read_server, label_server)]

    async def find_server(self, key_id: str, name: str) -> McpServer | None:
        """Return one server of a key, or None if there is no server of this name."""
        rows = await self._database.read(
            "SELECT key_id, name, definition FROM mcp_servers WHERE key_id = ? AND name = ?", (key_id, name)
        )
        return next((server for _, server in read_rows(rows, read_server, label_server)), None)

    async def write_server(self, key_id: str, server: McpServer, max_servers: int, now: float) -> bool | None:
        """Insert or replace a server. The gateway does not connect this server automatically after a restart.

        Args:
            key_id: Key that registers the server.
            server: Server to store.
            max_servers: Number of servers that the key may have.
            now: Current time in epoch seconds.

        Returns:
            True if the server is new, False if it replaced another server, None if the key already has `max_servers`
            other servers.
        """
        async with self._database.transaction() as run:
            rows = await run("SELECT name FROM mcp_servers WHERE key_id = ?", (key_id,))
            is_new = (server.name,) not in rows
            if is_new and len(rows) >= max_servers:
                return None
            await run(
                "INSERT INTO mcp_servers (key_id, name, definition, auto_connect, changed_at) VALUES (?, ?, ?, 0, ?) "
                "ON CONFLICT (key_id, name) DO UPDATE SET definition = excluded.definition, auto_connect = 0, "
                "changed_at = excluded.changed_at",
                (key_id, server.name, orjson.dumps(server_to_json(server)), now),
            )
        return is_new

    async def set_auto_connect(self, key_id: str, name: str, auto_connect: bool) -> None:
        """Set whether the gateway connects the server again after a restart."""
        await self._database.execute(
            "UPDATE mcp_servers SET auto_connect = ? WHERE key_id = ? AND name = ?", (int(auto_connect), key_id, name)
        )

    async def list_auto_connected(self) -> list[tuple[str, McpServer]]:
        """List the servers of all keys that the gateway connects after a restart, as pairs of key id and server."""
        rows = await self._database.read("SELECT key_id, name, definition FROM mcp_servers WHERE auto_connect")
        return read_rows(rows, read_server, label_server)

    async def delete_server(self, key_id: str, name: str) -> bool:
        """Delete a server. Return False if there was no server of this name."""
        rows = await self._database.execute(
            "DELETE FROM mcp_servers WHERE key_id = ? AND name = ? RETURNING name", (key_id, name)
        )
        return bool(rows)


def read_server(row: Row) -> tuple[str, McpServer]:
    """Convert a database row to a key id and a server. Raises one of `row_reader.READ_ERRORS`."""
    key_id, name, definition = row
    return key_id, server_from_json(name, orjson.loads(definition))


def label_server(row: Row) -> str:
    """Return a text by which a log line about damaged data identifies the server in a database row."""
    return f"the MCP server {row[1]!r:.80} of the key {row[0]!r:.80}"
