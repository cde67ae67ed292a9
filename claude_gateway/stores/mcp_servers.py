"""The MCP servers that each key registered, in the database, with their secrets. Each statement names its owner."""

import orjson

from claude_gateway.mcp_servers.server import Server, dump, load
from claude_gateway.stores.db import Database


class McpServerStore:
    """`wanted`: it is to be connected, now and after a restart."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all_of(self, owner: str) -> list[Server]:
        rows = await self._database.read(
            "SELECT name, definition FROM mcp_servers WHERE owner = ? ORDER BY name", (owner,)
        )
        return [load(name, orjson.loads(definition)) for name, definition in rows]

    async def find(self, owner: str, name: str) -> Server | None:
        rows = await self._database.read(
            "SELECT definition FROM mcp_servers WHERE owner = ? AND name = ?", (owner, name)
        )
        return load(name, orjson.loads(rows[0][0])) if rows else None

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
        return [(owner, load(name, orjson.loads(definition))) for owner, name, definition in rows]

    async def delete(self, owner: str, name: str) -> bool:
        """Whether there was one."""
        rows = await self._database.run(
            "DELETE FROM mcp_servers WHERE owner = ? AND name = ? RETURNING name", (owner, name)
        )
        return bool(rows)
