"""Database store for the sessions of all keys.

Every SQL statement about one session filters by the id of the key (column `key_id`). The current time is a parameter of
the methods. The methods treat an expired session as missing, but the session stays in the database until the cleanup
deletes it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from claude_gateway.dialects.common.content.conversation import SessionHistory
from claude_gateway.sessions.turn_codec import decode_turn
from claude_gateway.storage.database import Database, Execute, Row
from claude_gateway.storage.row_reader import (
    READ_ERRORS,
    log_unreadable,
    read_rows,
    require_count,
    require_text,
    require_timestamp,
)
from workers.core.job import Turn
from workers.host.large_job_threads import run_for_size

# Limits on the sessions that the cleanup deletes in one transaction, because other transactions wait until it ends.
_MAX_DELETED_PER_TRANSACTION = 50
_MAX_DELETED_BYTES_PER_TRANSACTION = 4 * 2**20


class SessionChanged(Exception):
    """Raised by a write to a session if another request has changed or deleted the session in the meantime."""


@dataclass(frozen=True, slots=True)
class SessionSnapshot:
    """The state of a session when a request read it. A write succeeds only if the session has not changed since then.

    Attributes:
        row_id: Primary key of the session in the database.
        version: Version number of the session. Every write increases the number.
        size_bytes: Number of bytes that the gateway stores for the session.
        history: Stored conversation, without the turns that the gateway could not read.
        intact_turn_count: Number of turns before the first turn that the gateway could not read. Only these turns have
            the same position in the history as in the store.
    """

    row_id: int
    version: int
    size_bytes: int
    history: SessionHistory
    intact_turn_count: int


@dataclass(frozen=True, slots=True)
class SessionChange:
    """Change that one request makes to a session.

    Attributes:
        system: System prompt of the conversation.
        kept_turn_count: Number of stored turns to keep, from the first turn on.
        turns: New turns, encoded by `turn_codec`. They replace all stored turns after the kept turns.
    """

    system: str
    kept_turn_count: int
    turns: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """Description of a session. All times are in epoch seconds."""

    id: str
    created_at: float
    used_at: float
    expires_at: float
    turn_count: int


@dataclass(frozen=True, slots=True)
class SessionTotals:
    """Numbers and sizes of the sessions of one key.

    Attributes:
        active_count: Number of active sessions. A session is active if it has not expired.
        expired_count: Number of expired sessions that the cleanup has not deleted yet.
        turn_count: Number of turns in the active sessions.
        size_bytes: Number of bytes that the gateway stores for the active sessions.
        next_expires_at: Time when the next active session will expire, in epoch seconds; 0 if there is no active
            session.
    """

    active_count: int
    expired_count: int
    turn_count: int
    size_bytes: int
    next_expires_at: float


@dataclass(frozen=True, slots=True)
class KeySessionTotals:
    """Number and size of the sessions of one key, as an entry in a list of all keys.

    `used_at` is the time of the last use of any of the sessions, in epoch seconds.
    """

    key_id: str
    session_count: int
    turn_count: int
    size_bytes: int
    used_at: float


class SessionStore:
    """Stores sessions and their turns in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_ids(self) -> list[tuple[str, str]]:
        """List all sessions as pairs of key id and session id, including expired sessions."""
        async with self._database.snapshot() as run:
            return [(key_id, id_) for key_id, id_ in await run("SELECT key_id, id FROM sessions", ())]

    async def get_size(self, key_id: str, id_: str, now: float) -> int:
        """Return the number of stored bytes of a session; 0 if the session does not exist or has expired."""
        rows = await self._database.read(
            "SELECT bytes FROM sessions WHERE key_id = ? AND id = ? AND expires_at > ?", (key_id, id_, now)
        )
        return rows[0][0] if rows and isinstance(rows[0][0], int) else 0

    async def read_snapshot(self, key_id: str, id_: str, now: float) -> SessionSnapshot | None:
        """Read a session with all its turns. Return None if the session does not exist or has expired."""
        async with self._database.snapshot() as run:
            rows = await run(
                "SELECT key, version, bytes, system FROM sessions WHERE key_id = ? AND id = ? AND expires_at > ?",
                (key_id, id_, now),
            )
            if not rows:
                return None
            ((row_id, version, size, system),) = rows
            turn_rows = await run(
                "SELECT number, content FROM session_turns WHERE session = ? ORDER BY number", (row_id,)
            )
        turns, intact_count = await run_for_size(size, _read_turns, key_id, id_, turn_rows)
        history = SessionHistory(require_text(system), turns)
        return SessionSnapshot(row_id, version, require_count(size), history, intact_count)

    async def write(
        self,
        key_id: str,
        id_: str,
        snapshot: SessionSnapshot | None,
        change: SessionChange,
        now: float,
        expires_at: float,
    ) -> None:
        """Write a change of a session in one transaction.

        Args:
            key_id: Id of the key to which the session belongs.
            id_: Id of the session.
            snapshot: State of the session when the request read it; None to create the session.
            change: Change to write.
            now: Current time in epoch seconds.
            expires_at: Time when the session will expire, in epoch seconds.

        Raises:
            SessionChanged: Another request has changed or deleted the session since the snapshot, or has created a
                session with this id in the meantime.
        """
        async with self._database.transaction() as run:
            row_id = await (
                _check_unchanged(run, key_id, snapshot) if snapshot else _insert_session(run, key_id, id_, now)
            )
            await run("DELETE FROM session_turns WHERE session = ? AND number >= ?", (row_id, change.kept_turn_count))
            for number, content in enumerate(change.turns, change.kept_turn_count):
                await run(
                    "INSERT INTO session_turns (session, number, content) VALUES (?, ?, ?)", (row_id, number, content)
                )
            await run(
                "UPDATE sessions SET version = version + 1, used_at = ?, expires_at = ?, turns = ?, system = ?, "
                "bytes = ? + (SELECT coalesce(sum(length(content)), 0) FROM session_turns WHERE session = key) "
                "WHERE key_id = ? AND key = ?",
                (
                    *(now, expires_at, change.kept_turn_count + len(change.turns), change.system),
                    *(len(change.system.encode()), key_id, row_id),
                ),
            )

    async def touch(self, key_id: str, row_id: int, now: float, expires_at: float) -> None:
        """Set the time of the last use and the time of expiry of a session, without changing anything else."""
        await self._database.execute(
            "UPDATE sessions SET used_at = ?, expires_at = ? WHERE key_id = ? AND key = ?",
            (now, expires_at, key_id, row_id),
        )

    async def delete(self, key_id: str, id_: str, now: float) -> bool:
        """Delete a session. Return False if the session does not exist or has expired."""
        return bool(
            await self._database.execute(
                "DELETE FROM sessions WHERE key_id = ? AND id = ? AND expires_at > ? RETURNING key", (key_id, id_, now)
            )
        )

    async def get_info(self, key_id: str, id_: str, now: float) -> SessionInfo | None:
        """Return the description of a session, or None if the session does not exist or has expired."""
        rows = await self._database.read(
            "SELECT id, created_at, used_at, expires_at, turns FROM sessions "
            "WHERE key_id = ? AND id = ? AND expires_at > ?",
            (key_id, id_, now),
        )
        return next(iter(read_rows(rows, read_session_info, partial(label_session, key_id))), None)

    async def list_infos(self, key_id: str, now: float, limit: int) -> list[SessionInfo]:
        """List the descriptions of a key's sessions. The most recently used session comes first."""
        rows = await self._database.read(
            "SELECT id, created_at, used_at, expires_at, turns FROM sessions "
            "WHERE key_id = ? AND expires_at > ? ORDER BY used_at DESC, key DESC LIMIT ?",
            (key_id, now, limit),
        )
        return read_rows(rows, read_session_info, partial(label_session, key_id))

    async def get_totals(self, key_id: str, now: float) -> SessionTotals:
        """Return the numbers and sizes of a key's sessions."""
        ((active_count, expired_count, turn_count, size, next_expires_at),) = await self._database.read(
            "SELECT count(*) FILTER (WHERE live), count(*) FILTER (WHERE NOT live), "
            "coalesce(sum(turns) FILTER (WHERE live), 0), coalesce(sum(bytes) FILTER (WHERE live), 0), "
            "coalesce(min(expires_at) FILTER (WHERE live), 0) "
            "FROM (SELECT turns, bytes, expires_at, expires_at > ? AS live FROM sessions WHERE key_id = ?)",
            (now, key_id),
        )
        return SessionTotals(
            active_count,
            expired_count,
            int(turn_count),
            int(size),
            next_expires_at if isinstance(next_expires_at, float) else 0,
        )

    async def list_key_totals(self, now: float, limit: int) -> list[KeySessionTotals]:
        """List the keys that have sessions. The key with the most sessions comes first."""
        rows = await self._database.read(
            "SELECT key_id, count(*), sum(turns), sum(bytes), max(used_at) FROM sessions WHERE expires_at > ? "
            "GROUP BY key_id ORDER BY count(*) DESC, key_id LIMIT ?",
            (now, limit),
        )
        return read_rows(rows, _read_key_totals, lambda row: f"a session of the key {row[0]!r:.80}")

    async def delete_expired(self, now: float, used_row_ids: Collection[int]) -> int:
        """Delete the expired sessions that no request uses, and return the number of deleted sessions.

        Args:
            now: Current time in epoch seconds.
            used_row_ids: Primary keys of the sessions that requests use.
        """
        deleted_count = 0
        while True:
            async with self._database.transaction() as run:
                expired = await run(
                    "SELECT key, bytes FROM sessions WHERE expires_at <= ? "
                    "AND key NOT IN (SELECT value FROM json_each(?)) ORDER BY expires_at LIMIT ?",
                    (now, orjson.dumps(list(used_row_ids)).decode(), _MAX_DELETED_PER_TRANSACTION),
                )
                row_ids = [row_id for row_id, _ in expired if isinstance(row_id, int)][
                    : _count_deletable([size for _, size in expired])
                ]
                await run(
                    "DELETE FROM sessions WHERE key IN (SELECT value FROM json_each(?))",
                    (orjson.dumps(row_ids).decode(),),
                )
            deleted_count += len(row_ids)
            if len(expired) < _MAX_DELETED_PER_TRANSACTION and len(row_ids) == len(expired):
                return deleted_count


def _count_deletable(sizes: Sequence[Any]) -> int:
    """Return how many sessions one transaction may delete, given the sizes of the sessions in order of deletion.

    The number is at least one, unless there are no sessions.
    """
    total = 0
    for count, size in enumerate(sizes, 1):
        total += size if isinstance(size, int) else 0
        if total >= _MAX_DELETED_BYTES_PER_TRANSACTION:
            return count
    return len(sizes)


def read_session_info(row: Row) -> SessionInfo:
    """Convert a database row to the description of a session.

    Raises:
        One of `row_reader.READ_ERRORS`: The row is damaged.
    """
    id_, created_at, used_at, expires_at, turns = row
    return SessionInfo(
        require_text(id_),
        require_timestamp(created_at),
        require_timestamp(used_at),
        require_timestamp(expires_at),
        require_count(turns),
    )


def label_session(key_id: str, row: Row) -> str:
    """Return a text by which a log line about damaged data identifies the session in a database row."""
    return f"the session {row[0]!r:.80} of the key {key_id!r:.80}"


def _read_key_totals(row: Row) -> KeySessionTotals:
    key_id, session_count, turn_count, size, used_at = row
    return KeySessionTotals(
        require_text(key_id), require_count(session_count), int(turn_count), int(size), require_timestamp(used_at)
    )


def _read_turns(key_id: str, id_: str, rows: Sequence[Row]) -> tuple[tuple[Turn, ...], int]:
    """Return the turns that the gateway can read, and the number of turns before the first turn that it cannot read.

    The gateway cannot read a turn whose stored data is damaged.
    """
    turns: list[Turn] = []
    intact_count = 0
    for number, content in rows:
        try:
            turns.append(decode_turn(content))
        except READ_ERRORS as error:
            log_unreadable(f"the turn {number} of the session {id_!r:.80} of the key {key_id!r:.80}", error)
        else:
            intact_count += intact_count == number == len(turns) - 1
    return tuple(turns), intact_count


async def _check_unchanged(execute: Execute, key_id: str, snapshot: SessionSnapshot) -> int:
    rows = await execute(
        "SELECT key FROM sessions WHERE key_id = ? AND key = ? AND version = ?",
        (key_id, snapshot.row_id, snapshot.version),
    )
    if not rows:
        raise SessionChanged
    return snapshot.row_id


async def _insert_session(execute: Execute, key_id: str, id_: str, now: float) -> int:
    await execute("DELETE FROM sessions WHERE key_id = ? AND id = ? AND expires_at <= ?", (key_id, id_, now))
    rows = await execute(
        "INSERT INTO sessions (key_id, id, created_at, used_at, expires_at) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT DO NOTHING RETURNING key",
        (key_id, id_, now, now, now),
    )
    if not rows:
        raise SessionChanged
    ((row_id,),) = rows
    return int(row_id)
