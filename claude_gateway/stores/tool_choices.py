"""Which of Claude's own tools each key wants, in the database. Each statement names its owner."""

from collections.abc import Sequence

import orjson

from claude_gateway.own_tools.built_in import ToolChoices
from claude_gateway.stores.damage import readable, texts
from claude_gateway.stores.db import Database, Row

# What holds for every session of the key.
ALL = ""


class ToolChoiceStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, owner: str, session: str = ALL) -> ToolChoices:
        async with self._database.snapshot() as run:
            rows = await run(
                "SELECT allowed, disallowed FROM tool_choices WHERE owner = ? AND session = ?", (owner, session)
            )
        found = readable(rows, read_choices, lambda _: f"the choice of tools of the key {owner!r:.80}")
        return next(iter(found), ToolChoices(None, None))

    async def write(self, owner: str, session: str, choices: ToolChoices, now: float) -> None:
        async with self._database.transaction() as run:
            await run(
                "INSERT INTO tool_choices (owner, session, allowed, disallowed, changed_at) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (owner, session) DO UPDATE SET allowed = excluded.allowed, "
                "disallowed = excluded.disallowed, changed_at = excluded.changed_at",
                (owner, session, _dump(choices.allowed), _dump(choices.disallowed), now),
            )

    async def count(self, owner: str) -> int:
        async with self._database.snapshot() as run:
            ((count,),) = await run("SELECT count(*) FROM tool_choices WHERE owner = ?", (owner,))
        return int(count)

    async def forget(self, owner: str, session: str) -> None:
        async with self._database.transaction() as run:
            await run("DELETE FROM tool_choices WHERE owner = ? AND session = ?", (owner, session))

    async def sweep(self, before: float) -> None:
        """Forget those for sessions that are no more, or never were, if they are older than `before`."""
        async with self._database.transaction() as run:
            await run(
                "DELETE FROM tool_choices WHERE session != '' AND changed_at < ? AND NOT EXISTS "
                "(SELECT 1 FROM sessions WHERE sessions.owner = tool_choices.owner AND sessions.id = session)",
                (before,),
            )


def _dump(names: Sequence[str] | None) -> bytes | None:
    return None if names is None else orjson.dumps(names)


def read_choices(row: Row) -> ToolChoices:
    """Raises one of `damage.UNREADABLE`."""
    allowed, disallowed = (None if stored is None else texts(orjson.loads(stored)) for stored in row)
    return ToolChoices(allowed, disallowed)
