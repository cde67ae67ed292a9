"""The sessions of every key, in the database. Each statement names its owner; time comes from outside.

An expired session is none for whoever asks, and stays on the disk until it is swept.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import orjson

from claude_gateway.prompt.conversation import Remembered
from claude_gateway.stores.db import Database, Run
from claude_gateway.stores.turns import load
from workers.job import Turn
from workers.large_jobs import apart

# So many go in one transaction: each may be of some megabytes, and nobody is to wait for long behind a sweep.
_SWEPT_AT_ONCE = 10


class SessionChanged(Exception):
    """The session is not any more what it was when it was read."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A session as it stood at a moment: what is written goes on from exactly this."""

    key: int
    version: int
    bytes: int
    remembered: Remembered


@dataclass(frozen=True, slots=True)
class Writing:
    """What an answer changes: the turns from number `kept` on are now these, in the form of `stores.turns`."""

    system: str
    kept: int
    turns: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """Times in seconds of the epoch."""

    id: str
    created_at: float
    used_at: float
    expires_at: float
    turns: int


@dataclass(frozen=True, slots=True)
class Totals:
    """What a key has; `expired` are those not yet swept, the rest speaks of the others. `next_expiry`: when the first
    of them goes by itself, 0 for none."""

    active: int
    expired: int
    turns: int
    bytes: int
    next_expiry: float


@dataclass(frozen=True, slots=True)
class Keeper:
    """A key and what it has remembered. `used_at` in seconds of the epoch."""

    owner: str
    sessions: int
    turns: int
    bytes: int
    used_at: float


class SessionStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def names(self) -> list[tuple[str, str]]:
        """Owner and id of every session, the expired ones too."""
        async with self._database.transaction() as run:
            return [(owner, id_) for owner, id_ in await run("SELECT owner, id FROM sessions", ())]

    async def read(self, owner: str, id_: str, now: float) -> Reading | None:
        """The session with every turn; None where there is none, or no more."""
        async with self._database.transaction() as run:
            rows = await run(
                "SELECT key, version, bytes, system FROM sessions WHERE owner = ? AND id = ? AND expires_at > ?",
                (owner, id_, now),
            )
            if not rows:
                return None
            ((key, version, size, system),) = rows
            turns = await run("SELECT content FROM session_turns WHERE session = ? ORDER BY number", (key,))
        return Reading(key, version, size, Remembered(system, await apart(size, _loaded, turns)))

    async def write(
        self, owner: str, id_: str, before: Reading | None, change: Writing, now: float, expires_at: float
    ) -> None:
        """All of it or nothing; committed when this returns. Raises `SessionChanged`."""
        async with self._database.transaction() as run:
            key = await (_claim(run, owner, before) if before else _make(run, owner, id_, now))
            await run("DELETE FROM session_turns WHERE session = ? AND number >= ?", (key, change.kept))
            for number, content in enumerate(change.turns, change.kept):
                await run(
                    "INSERT INTO session_turns (session, number, content) VALUES (?, ?, ?)", (key, number, content)
                )
            await run(
                "UPDATE sessions SET version = version + 1, used_at = ?, expires_at = ?, turns = ?, system = ?, "
                "bytes = ? + (SELECT coalesce(sum(length(content)), 0) FROM session_turns WHERE session = key) "
                "WHERE owner = ? AND key = ?",
                (
                    *(now, expires_at, change.kept + len(change.turns), change.system),
                    *(len(change.system.encode()), owner, key),
                ),
            )

    async def touch(self, owner: str, key: int, now: float, expires_at: float) -> None:
        """It was used, and nothing came of it."""
        await self._database.run(
            "UPDATE sessions SET used_at = ?, expires_at = ? WHERE owner = ? AND key = ?", (now, expires_at, owner, key)
        )

    async def delete(self, owner: str, id_: str, now: float) -> bool:
        """False where there is none, or no more."""
        return bool(
            await self._database.run(
                "DELETE FROM sessions WHERE owner = ? AND id = ? AND expires_at > ? RETURNING key", (owner, id_, now)
            )
        )

    async def info(self, owner: str, id_: str, now: float) -> SessionInfo | None:
        rows = await self._database.run(
            "SELECT id, created_at, used_at, expires_at, turns FROM sessions "
            "WHERE owner = ? AND id = ? AND expires_at > ?",
            (owner, id_, now),
        )
        return SessionInfo(*rows[0]) if rows else None

    async def infos(self, owner: str, now: float, most: int) -> list[SessionInfo]:
        """Those used last, the latest first."""
        rows = await self._database.run(
            "SELECT id, created_at, used_at, expires_at, turns FROM sessions "
            "WHERE owner = ? AND expires_at > ? ORDER BY used_at DESC, key DESC LIMIT ?",
            (owner, now, most),
        )
        return [SessionInfo(*row) for row in rows]

    async def totals(self, owner: str, now: float) -> Totals:
        ((active, expired, turns, size, next_expiry),) = await self._database.run(
            "SELECT count(*) FILTER (WHERE live), count(*) FILTER (WHERE NOT live), "
            "coalesce(sum(turns) FILTER (WHERE live), 0), coalesce(sum(bytes) FILTER (WHERE live), 0), "
            "coalesce(min(expires_at) FILTER (WHERE live), 0) "
            "FROM (SELECT turns, bytes, expires_at, expires_at > ? AS live FROM sessions WHERE owner = ?)",
            (now, owner),
        )
        return Totals(active, expired, turns, size, next_expiry)

    async def keepers(self, now: float, most: int) -> list[Keeper]:
        """The keys that have sessions, those with the most first."""
        rows = await self._database.run(
            "SELECT owner, count(*), sum(turns), sum(bytes), max(used_at) FROM sessions WHERE expires_at > ? "
            "GROUP BY owner ORDER BY count(*) DESC, owner LIMIT ?",
            (now, most),
        )
        return [Keeper(*row) for row in rows]

    async def sweep(self, now: float, in_use: Collection[int]) -> int:
        """Take the expired ones off the disk, but for those that a request has at the moment. Returns how many."""
        swept = 0
        while True:
            gone = await self._database.run(
                "DELETE FROM sessions WHERE key IN (SELECT key FROM sessions WHERE expires_at <= ? "
                "AND key NOT IN (SELECT value FROM json_each(?)) LIMIT ?) RETURNING key",
                (now, orjson.dumps(list(in_use)).decode(), _SWEPT_AT_ONCE),
            )
            swept += len(gone)
            if len(gone) < _SWEPT_AT_ONCE:
                return swept


def _loaded(rows: Iterable[tuple[bytes]]) -> tuple[Turn, ...]:
    return tuple(load(content) for (content,) in rows)


async def _claim(run: Run, owner: str, before: Reading) -> int:
    rows = await run(
        "SELECT key FROM sessions WHERE owner = ? AND key = ? AND version = ?", (owner, before.key, before.version)
    )
    if not rows:
        raise SessionChanged
    return before.key


async def _make(run: Run, owner: str, id_: str, now: float) -> int:
    await run("DELETE FROM sessions WHERE owner = ? AND id = ? AND expires_at <= ?", (owner, id_, now))
    rows = await run(
        "INSERT INTO sessions (owner, id, created_at, used_at, expires_at) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT DO NOTHING RETURNING key",
        (owner, id_, now, now, now),
    )
    if not rows:
        raise SessionChanged
    ((key,),) = rows
    return int(key)
