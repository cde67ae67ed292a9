"""The stored responses of every key, in the database. Each question names its owner; time comes from outside.

A response keeps what it added to its conversation, and which response it went on from: a chain of any length is
written one link a turn. One that is deleted, or goes by age or for want of room, is none for whoever asks; what it
added stays for as long as a later response goes on from it, and goes with the last of those.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import orjson

from claude_gateway.stores.db import Database, Run
from claude_gateway.stores.turns import dump, load
from workers.job import Turn
from workers.job_size import turns_bytes
from workers.large_jobs import apart

# Far more than a conversation may have; a loop in the chain could not be, and would end here.
_LONGEST_CHAIN = 5_000
# So many go in one transaction: nobody is to wait for long behind a sweep.
_SWEPT_AT_ONCE = 10
UNFINISHED = ("queued", "in_progress")
Part = Literal["object", "items"]
_OF_ONE = "FROM responses WHERE owner = ? AND id = ? AND object IS NOT NULL AND expires_at > ?"
_PARTS: dict[Part, str] = {"object": f"SELECT object {_OF_ONE}", "items": f"SELECT items {_OF_ONE}"}


@dataclass(frozen=True, slots=True)
class Link:
    """What one response added to its conversation: texts of the system prompt, and messages in their order."""

    system: tuple[str, ...]
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """A response as it is kept. `object` and `items` are JSON, `events` the log of one made in the background."""

    id: str
    status: str
    object: bytes
    items: bytes
    events: bytes | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """What one key may have stored, and for how many seconds."""

    ttl: float
    responses: int
    bytes: int


class ResponseStore:
    def __init__(self, database: Database, room: Room) -> None:
        self._database = database
        self._room = room

    async def add(
        self, owner: str, response: Stored, link: Link, parent: str | None, before: Sequence[Link], now: float
    ) -> None:
        """Committed when this returns; the oldest go where there is no room. `before` is the chain up to `parent`: it
        is written too where the parent went meanwhile."""
        turns = await apart(turns_bytes(link.turns), _dumped, link.turns)
        async with self._database.transaction() as run:
            if parent is not None and not await run(
                "SELECT 1 FROM responses WHERE owner = ? AND id = ?", (owner, parent)
            ):
                parent, link = None, _joined([*before, link])
                turns = await apart(turns_bytes(link.turns), _dumped, link.turns)
            await run(
                "INSERT INTO responses (id, owner, parent, created_at, expires_at, status, object, items, events, "
                "system, turns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(response.id, owner, parent, now, now + self._room.ttl, response.status),
                    *(response.object, response.items, response.events, orjson.dumps(link.system), turns),
                ),
            )
            await self._make_room(run, owner, response.id)
            await _sweep(run, now)

    async def finish(self, owner: str, response: Stored, reply: Turn | None) -> bool:
        """What a response in the background became; False where it was deleted meanwhile."""
        more = _dumped([reply]) if reply else b""
        async with self._database.transaction() as run:
            rows = await run(
                "UPDATE responses SET status = ?, object = ?, events = ?, turns = CAST(turns || ? AS BLOB) "
                "WHERE owner = ? AND id = ? AND object IS NOT NULL RETURNING id",
                (response.status, response.object, response.events, more, owner, response.id),
            )
            await self._make_room(run, owner, response.id)
        return bool(rows)

    async def get(self, owner: str, id_: str, now: float) -> Stored | None:
        rows = await self._database.run(f"SELECT id, status, object, items, events {_OF_ONE}", (owner, id_, now))
        return Stored(*rows[0]) if rows else None

    async def part(self, owner: str, id_: str, part: Part, now: float) -> bytes | None:
        """Its object or its input items alone: all of it may be of some megabytes."""
        rows = await self._database.run(_PARTS[part], (owner, id_, now))
        return bytes(rows[0][0]) if rows else None

    async def chain(self, owner: str, id_: str, now: float) -> tuple[str, list[Link]] | None:
        """The status of a response, and the links that lead to it, the first one first."""
        rows = await self._database.run(
            "WITH RECURSIVE chain (id, parent, depth) AS ("
            "SELECT id, parent, 0 FROM responses WHERE owner = ? AND id = ? AND object IS NOT NULL AND expires_at > ? "
            "UNION ALL SELECT r.id, r.parent, depth + 1 FROM responses r JOIN chain ON r.id = chain.parent "
            "WHERE r.owner = ? AND depth < ?) "
            "SELECT status, system, turns FROM chain JOIN responses USING (id) ORDER BY depth DESC",
            (owner, id_, now, owner, _LONGEST_CHAIN),
        )
        if not rows:
            return None
        size = sum(len(turns) for _, _, turns in rows)
        return rows[-1][0], await apart(size, _links, rows)

    async def delete(self, owner: str, id_: str, now: float) -> bool:
        """False where there is none, or no more."""
        async with self._database.transaction() as run:
            if rows := await run(f"SELECT 1 {_OF_ONE}", (owner, id_, now)):
                await _forget(run, id_)
        return bool(rows)

    async def unfinished(self) -> list[tuple[str, Stored]]:
        """What a gateway that is gone was still making, with its owner."""
        rows = await self._database.run(
            "SELECT owner, id, status, object, items FROM responses WHERE status IN (?, ?) AND object IS NOT NULL",
            UNFINISHED,
        )
        return [(owner, Stored(*rest)) for owner, *rest in rows]

    async def _make_room(self, run: Run, owner: str, newest: str) -> None:
        while True:
            ((count, size),) = await run(
                "SELECT count(*), coalesce(sum(bytes), 0) FROM responses WHERE owner = ?", (owner,)
            )
            if count <= self._room.responses and size <= self._room.bytes:
                return
            oldest = await run(
                "SELECT id FROM responses WHERE owner = ? AND id != ? AND object IS NOT NULL "
                "AND status NOT IN (?, ?) ORDER BY created_at LIMIT 1",
                (owner, newest, *UNFINISHED),
            )
            if not oldest:
                return
            await _forget(run, oldest[0][0])


async def _sweep(run: Run, now: float) -> None:
    """Take off the disk what has expired."""
    expired = await run(
        "SELECT id FROM responses WHERE object IS NOT NULL AND expires_at <= ? AND status NOT IN (?, ?) LIMIT ?",
        (now, *UNFINISHED, _SWEPT_AT_ONCE),
    )
    for (id_,) in expired:
        await _forget(run, id_)


async def _forget(run: Run, id_: str | None) -> None:
    """Nobody sees it any more; it goes, and what led to it, where no later response goes on from them."""
    await run("UPDATE responses SET object = NULL, items = NULL, events = NULL WHERE id = ?", (id_,))
    while id_ is not None:
        rows = await run(
            "DELETE FROM responses WHERE id = ? AND object IS NULL "
            "AND NOT EXISTS (SELECT 1 FROM responses later WHERE later.parent = responses.id) RETURNING parent",
            (id_,),
        )
        id_ = rows[0][0] if rows else None


def _links(rows: Iterable[tuple[str, bytes, bytes]]) -> list[Link]:
    return [Link(tuple(orjson.loads(system)), _loaded(turns)) for _, system, turns in rows]


def _joined(links: Sequence[Link]) -> Link:
    return Link(
        tuple(text for link in links for text in link.system), tuple(turn for link in links for turn in link.turns)
    )


def _dumped(turns: Iterable[Turn]) -> bytes:
    """A line each, so that more can be put behind them."""
    return b"".join(dump(turn) + b"\n" for turn in turns)


def _loaded(stored: bytes) -> tuple[Turn, ...]:
    return tuple(load(line) for line in stored.split(b"\n") if line)
