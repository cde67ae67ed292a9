"""The sessions of every key, in the database. Each statement names its owner; time comes from outside.

An expired session is none for whoever asks, and stays on the disk until it is swept.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from claude_gateway.prompt.conversation import Remembered
from claude_gateway.stores.damage import UNREADABLE, count, moment, readable, tell, text
from claude_gateway.stores.db import Database, Row, Run
from claude_gateway.stores.turns import load
from workers.job import Turn
from workers.large_jobs import apart

# So much goes in one transaction, for others wait behind it.
_SWEPT_AT_ONCE = 50
_SWEPT_BYTES_AT_ONCE = 4 * 2**20


class SessionChanged(Exception):
    """The session is not any more what it was when it was read."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A session as it stood at a moment: what is written goes on from exactly this. `sound` are its first turns up to
    one that cannot be read: the numbers of later ones are not those that they have in the store."""

    key: int
    version: int
    bytes: int
    remembered: Remembered
    sound: int


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
        async with self._database.snapshot() as run:
            return [(owner, id_) for owner, id_ in await run("SELECT owner, id FROM sessions", ())]

    async def size(self, owner: str, id_: str, now: float) -> int:
        """How many bytes it has; 0 where there is none, or no more."""
        rows = await self._database.read(
            "SELECT bytes FROM sessions WHERE owner = ? AND id = ? AND expires_at > ?", (owner, id_, now)
        )
        return rows[0][0] if rows and isinstance(rows[0][0], int) else 0

    async def read(self, owner: str, id_: str, now: float) -> Reading | None:
        """The session with every turn; None where there is none, or no more."""
        async with self._database.snapshot() as run:
            rows = await run(
                "SELECT key, version, bytes, system FROM sessions WHERE owner = ? AND id = ? AND expires_at > ?",
                (owner, id_, now),
            )
            if not rows:
                return None
            ((key, version, size, system),) = rows
            turns = await run("SELECT number, content FROM session_turns WHERE session = ? ORDER BY number", (key,))
        loaded, sound = await apart(size, _read_turns, owner, id_, turns)
        return Reading(key, version, count(size), Remembered(text(system), loaded), sound)

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
        rows = await self._database.read(
            "SELECT id, created_at, used_at, expires_at, turns FROM sessions "
            "WHERE owner = ? AND id = ? AND expires_at > ?",
            (owner, id_, now),
        )
        return next(iter(readable(rows, read_info, partial(name_session, owner))), None)

    async def infos(self, owner: str, now: float, most: int) -> list[SessionInfo]:
        """Those used last, the latest first."""
        rows = await self._database.read(
            "SELECT id, created_at, used_at, expires_at, turns FROM sessions "
            "WHERE owner = ? AND expires_at > ? ORDER BY used_at DESC, key DESC LIMIT ?",
            (owner, now, most),
        )
        return readable(rows, read_info, partial(name_session, owner))

    async def totals(self, owner: str, now: float) -> Totals:
        ((active, expired, turns, size, next_expiry),) = await self._database.read(
            "SELECT count(*) FILTER (WHERE live), count(*) FILTER (WHERE NOT live), "
            "coalesce(sum(turns) FILTER (WHERE live), 0), coalesce(sum(bytes) FILTER (WHERE live), 0), "
            "coalesce(min(expires_at) FILTER (WHERE live), 0) "
            "FROM (SELECT turns, bytes, expires_at, expires_at > ? AS live FROM sessions WHERE owner = ?)",
            (now, owner),
        )
        return Totals(active, expired, int(turns), int(size), next_expiry if isinstance(next_expiry, float) else 0)

    async def keepers(self, now: float, most: int) -> list[Keeper]:
        """The keys that have sessions, those with the most first."""
        rows = await self._database.read(
            "SELECT owner, count(*), sum(turns), sum(bytes), max(used_at) FROM sessions WHERE expires_at > ? "
            "GROUP BY owner ORDER BY count(*) DESC, owner LIMIT ?",
            (now, most),
        )
        return readable(rows, _read_keeper, lambda row: f"a session of the key {row[0]!r:.80}")

    async def sweep(self, now: float, in_use: Collection[int]) -> int:
        """Take the expired ones off the disk, but for those that a request has at the moment. Returns how many."""
        swept = 0
        while True:
            async with self._database.transaction() as run:
                expired = await run(
                    "SELECT key, bytes FROM sessions WHERE expires_at <= ? "
                    "AND key NOT IN (SELECT value FROM json_each(?)) ORDER BY expires_at LIMIT ?",
                    (now, orjson.dumps(list(in_use)).decode(), _SWEPT_AT_ONCE),
                )
                keys = [key for key, _ in expired if isinstance(key, int)][: _slice([size for _, size in expired])]
                await run(
                    "DELETE FROM sessions WHERE key IN (SELECT value FROM json_each(?))", (orjson.dumps(keys).decode(),)
                )
            swept += len(keys)
            if len(expired) < _SWEPT_AT_ONCE and len(keys) == len(expired):
                return swept


def _slice(sizes: Sequence[Any]) -> int:
    """How many of these sessions go in one transaction: at least one."""
    taken = 0
    for at, size in enumerate(sizes, 1):
        taken += size if isinstance(size, int) else 0
        if taken >= _SWEPT_BYTES_AT_ONCE:
            return at
    return len(sizes)


def read_info(row: Row) -> SessionInfo:
    """Raises one of `damage.UNREADABLE`."""
    id_, created_at, used_at, expires_at, turns = row
    return SessionInfo(text(id_), moment(created_at), moment(used_at), moment(expires_at), count(turns))


def name_session(owner: str, row: Row) -> str:
    return f"the session {row[0]!r:.80} of the key {owner!r:.80}"


def _read_keeper(row: Row) -> Keeper:
    owner, sessions, turns, size, used_at = row
    return Keeper(text(owner), count(sessions), int(turns), int(size), moment(used_at))


def _read_turns(owner: str, id_: str, rows: Sequence[Row]) -> tuple[tuple[Turn, ...], int]:
    """The turns that can be read, and how many of them stand before the first that cannot."""
    found: list[Turn] = []
    sound = 0
    for number, content in rows:
        try:
            found.append(load(content))
        except UNREADABLE as error:
            tell(f"the turn {number} of the session {id_!r:.80} of the key {owner!r:.80}", error)
        else:
            sound += sound == number == len(found) - 1
    return tuple(found), sound


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
