"""Stores the tool choices of each key in the database. Every SQL statement filters by the key."""

from collections.abc import Sequence

import orjson

from claude_gateway.builtin_tools.catalog import ToolChoices
from claude_gateway.storage.database import Database, Row
from claude_gateway.storage.row_reader import read_rows, require_texts

# Session id of the choices that apply to every session of the key.
ALL_SESSIONS = ""


class ToolChoiceStore:
    """Reads and writes the tool choices of keys and their sessions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, key_id: str, session_id: str = ALL_SESSIONS) -> ToolChoices:
        """Return the choices for a session, or empty choices if none are stored or the row is damaged."""
        async with self._database.snapshot() as run:
            rows = await run(
                "SELECT allowed, disallowed FROM tool_choices WHERE key_id = ? AND session = ?", (key_id, session_id)
            )
        choices = read_rows(rows, read_choices, lambda _: f"the tool choices of the key {key_id!r:.80}")
        return next(iter(choices), ToolChoices(None, None))

    async def write(self, key_id: str, session_id: str, choices: ToolChoices, now: float) -> None:
        """Insert or replace the choices for a session; `now` is in epoch seconds."""
        async with self._database.transaction() as run:
            await run(
                "INSERT INTO tool_choices (key_id, session, allowed, disallowed, changed_at) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (key_id, session) DO UPDATE SET allowed = excluded.allowed, "
                "disallowed = excluded.disallowed, changed_at = excluded.changed_at",
                (key_id, session_id, _encode_names(choices.allowed), _encode_names(choices.disallowed), now),
            )

    async def count(self, key_id: str) -> int:
        """Return for how many sessions of the key choices are stored. `ALL_SESSIONS` counts as one session."""
        async with self._database.snapshot() as run:
            ((count,),) = await run("SELECT count(*) FROM tool_choices WHERE key_id = ?", (key_id,))
        return int(count)

    async def delete(self, key_id: str, session_id: str) -> None:
        """Delete the choices for a session."""
        async with self._database.transaction() as run:
            await run("DELETE FROM tool_choices WHERE key_id = ? AND session = ?", (key_id, session_id))

    async def delete_stale(self, timestamp: float) -> None:
        """Delete the choices for sessions that do not exist, if they were written before `timestamp`."""
        async with self._database.transaction() as run:
            await run(
                "DELETE FROM tool_choices WHERE session != '' AND changed_at < ? AND NOT EXISTS "
                "(SELECT 1 FROM sessions WHERE sessions.key_id = tool_choices.key_id AND sessions.id = session)",
                (timestamp,),
            )


def _encode_names(names: Sequence[str] | None) -> bytes | None:
    return None if names is None else orjson.dumps(names)


def read_choices(row: Row) -> ToolChoices:
    """Convert a database row to tool choices.

    Raises:
        Exception: One of `row_reader.READ_ERRORS` if the row is damaged.
    """
    allowed, disallowed = (None if names is None else require_texts(orjson.loads(names)) for names in row)
    return ToolChoices(allowed, disallowed)
