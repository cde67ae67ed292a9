"""The MCP servers that each key registered, in the database, with their secrets. Each statement names its owner."""

import orjson

from claude_gateway.mcp_servers.server import Server, dump, load
from claude_gateway.stores.damage import readable
from claude_gateway.stores.db import Database, Row


class McpServerStore:
    """`wanted`: it is to be connected, now and after a restart."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all_of(self, owner: str) -> list[Server]:
        rows = await self._database.read(
            "SELECT owner, name, definition FROM mcp_servers WHERE owner = ? ORDER BY name", (owner,)
        )
        return [server for _, server in readable(rows, read_server, name_server)]

    async def find(self, owner: str, name: str) -> Server | None:
        rows = await self._database.read(
            "SELECT owner, name, definition FROM mcp_servers WHERE owner = ? AND name = ?", (owner, name)
        )
        return next((server for _, server in readable(rows, read_server, name_server)), None)

    async def write(self, owner: str, server: Server, most: int, now: float) -> bool | None:
        """Whether it is new, or None where the owner has `most` others already. It is not wanted."""
        async with self._database.transaction() as run:
            rows = await run("SELECT name FROM mcp_servers WHERE owner = ?", (owner,))
            is_new = (server.name,) not in rows
            if is_new and len(rows) >= most:
                return None
            await run(
                "INSERT INTO mcp_servers (owner, name, definition, wanted, changed_at) VALUES (?, ?, ?, 0, ?) "
                "ON CONFLICT (owner, name) DO UPDATE SET definition = excluded.definition, wanted = 0, "
                "changed_at = excluded.changed_at",
                (owner, server.name, orjson.dumps(dump(server)), now),
            )
        return is_new

    async def want(self, owner: str, name: str, wanted: bool) -> None:
        await self._database.run(
            "UPDATE mcp_servers SET wanted = ? WHERE owner = ? AND name = ?", (int(wanted), owner, name)
        )

    async def wanted(self) -> list[tuple[str, Server]]:
        """Of every owner."""
        rows = await self._database.read("SELECT owner, name, definition FROM mcp_servers WHERE wanted")
        return readable(rows, read_server, name_server)

    async def delete(self, owner: str, name: str) -> bool:
        """Whether there was one."""
        rows = await self._database.run(
            "DELETE FROM mcp_servers WHERE owner = ? AND name = ? RETURNING name", (owner, name)
        )
        return bool(rows)


def read_server(row: Row) -> tuple[str, Server]:
    """Whose it is, and the server. Raises one of `damage.UNREADABLE`."""
    owner, name, definition = row
    return owner, load(name, orjson.loads(definition))


def name_server(row: Row) -> str:
    return f"the MCP server {row[1]!r:.80} of the key {row[0]!r:.80}"
