"""The stored responses of every key, in the database. Each question names its owner; time comes from outside.

A response keeps what it added to its conversation, and which response it went on from: a chain of any length is
written one link a turn. One that is deleted, or goes by age or for want of room, is none for whoever asks; what it
added stays for as long as a later response goes on from it, and goes with the last of those.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import orjson

from claude_gateway.stores.damage import bytes_of, readable, texts
from claude_gateway.stores.db import Database, Row, Run
from claude_gateway.stores.turns import dump, load
from workers.job import Turn
from workers.job_size import turns_bytes
from workers.large_jobs import apart

# Far more than a conversation may have; a loop in the chain could not be, and would end here.
_LONGEST_CHAIN = 5_000
# So much goes in one transaction, for others wait behind it.
_MAX_FORGOTTEN = 100
_MAX_FORGOTTEN_BYTES = 4 * 2**20
_SWEPT_AT_ONCE = 10
# Told from the head of a row: the column `bytes` stands behind all that it counts, and would be read with it.
_SIZE = (
    "coalesce(length(object), 0) + coalesce(length(items), 0) + coalesce(length(events), 0) + length(system) "
    "+ length(turns)"
)
UNFINISHED = ("queued", "in_progress")
Part = Literal["object", "items", "events"]
_OF_ONE = "FROM responses WHERE owner = ? AND id = ? AND object IS NOT NULL AND expires_at > ?"
_PARTS: dict[Part, str] = {
    "object": f"SELECT object {_OF_ONE}",
    "items": f"SELECT items {_OF_ONE}",
    "events": f"SELECT events {_OF_ONE}",
}
_DELETE = (
    "WITH RECURSIVE wanted AS MATERIALIZED (SELECT value AS id FROM json_each(?1)), gone (id, parent, size) AS ("  # noqa: S608
    f"SELECT id, parent, {_SIZE} FROM responses WHERE id IN (SELECT id FROM wanted) AND (?2 OR object IS NULL) "
    "AND NOT EXISTS (SELECT 1 FROM responses AS later WHERE later.parent = responses.id) "
    f"UNION SELECT responses.id, responses.parent, gone.size + {_SIZE} "
    "FROM gone JOIN responses ON responses.id = gone.parent "
    "WHERE (object IS NULL OR (?2 AND responses.id IN (SELECT id FROM wanted))) AND gone.size < ?3 "
    "AND NOT EXISTS (SELECT 1 FROM responses AS later WHERE later.parent = responses.id AND later.id != gone.id)) "
    "DELETE FROM responses WHERE id IN (SELECT id FROM gone LIMIT ?4) RETURNING id, parent"
)
_CHAIN = (
    "WITH RECURSIVE chain (id, parent, depth) AS ("  # noqa: S608 - all from here
    f"SELECT id, parent, 0 {_OF_ONE} "
    "UNION ALL SELECT r.id, r.parent, depth + 1 FROM responses r JOIN chain ON r.id = chain.parent "
    "WHERE r.owner = ? AND depth < ?)"
)
_OF_CHAIN = "FROM chain JOIN responses USING (id)"
# Far more than any model reads; more of it is not taken into memory.
_MAX_CHAIN_BYTES = 64 * 2**20


class ChainTooLarge(Exception):
    """The responses of a conversation are too large together to go on from."""


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
        """Committed when this returns; the oldest have gone where there was no room. `before` is the chain up to
        `parent`: it is written too where the parent went meanwhile."""
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
        await self._make_room(owner, response.id)
        await self._sweep(now)

    async def finish(self, owner: str, response: Stored, reply: Turn | None) -> bool:
        """What a response in the background became; False where it was deleted meanwhile."""
        more = _dumped([reply]) if reply else b""
        async with self._database.transaction() as run:
            rows = await run(
                "UPDATE responses SET status = ?, object = ?, events = ?, turns = CAST(turns || ? AS BLOB) "
                "WHERE owner = ? AND id = ? AND object IS NOT NULL RETURNING id",
                (response.status, response.object, response.events, more, owner, response.id),
            )
        await self._make_room(owner, response.id)
        return bool(rows)

    async def get(self, owner: str, id_: str, now: float) -> Stored | None:
        rows = await self._database.read(f"SELECT id, status, object, items, events {_OF_ONE}", (owner, id_, now))
        return Stored(*rows[0]) if rows else None

    async def part(self, owner: str, id_: str, part: Part, now: float) -> bytes | None:
        """Its object, its input items or its log alone, for all of it may be of some megabytes; None where there is
        none."""
        rows = await self._database.read(_PARTS[part], (owner, id_, now))
        stored = rows[0][0] if rows else None
        return stored if stored is None or isinstance(stored, bytes) else str(stored).encode()

    async def exists(self, owner: str, id_: str, now: float) -> bool:
        return bool(await self._database.read(f"SELECT 1 {_OF_ONE}", (owner, id_, now)))

    async def chain(self, owner: str, id_: str, now: float) -> tuple[str, list[Link]] | None:
        """The status of a response, and the links that lead to it, the first one first."""
        rows = await self._database.read(
            f"{_CHAIN} SELECT id, status, system, turns {_OF_CHAIN} ORDER BY depth DESC",
            (owner, id_, now, owner, _LONGEST_CHAIN),
        )
        if not rows:
            return None
        size = sum(len(turns) for *_, turns in rows if isinstance(turns, bytes))
        return rows[-1][1], await apart(size, _links, rows)

    async def chain_size(self, owner: str, id_: str, now: float) -> int:
        """How many bytes `chain` would read. Raises `ChainTooLarge`."""
        ((size,),) = await self._database.read(
            f"{_CHAIN} SELECT coalesce(sum(length(system) + length(turns)), 0) {_OF_CHAIN}",
            (owner, id_, now, owner, _LONGEST_CHAIN),
        )
        if size > _MAX_CHAIN_BYTES:
            raise ChainTooLarge
        return int(size)

    async def size(self, owner: str, ids: Sequence[str]) -> int:
        """How many bytes the objects and the input of these responses have."""
        ((size,),) = await self._database.read(
            "SELECT coalesce(sum(coalesce(length(object), 0) + coalesce(length(items), 0)), 0) FROM responses "
            "WHERE owner = ? AND id IN (SELECT value FROM json_each(?))",
            (owner, orjson.dumps(list(ids)).decode()),
        )
        return int(size)

    async def delete(self, owner: str, id_: str, now: float) -> bool:
        """False where there is none, or no more."""
        async with self._database.transaction() as run:
            if not await run(f"SELECT 1 {_OF_ONE}", (owner, id_, now)):
                return False
            left = await _forget(run, [id_])
        await self._delete_unneeded(left)
        return True

    async def delete_unneeded(self) -> None:
        """Delete what a gateway left behind that was stopped while it deleted."""
        rows = await self._database.read(
            "SELECT id FROM responses WHERE object IS NULL "
            "AND NOT EXISTS (SELECT 1 FROM responses AS later WHERE later.parent = responses.id)"
        )
        for at in range(0, len(rows), _MAX_FORGOTTEN):
            await self._delete_unneeded([id_ for (id_,) in rows[at : at + _MAX_FORGOTTEN]])

    async def give_up(self, id_: str) -> None:
        """It failed, whatever else is known of it."""
        await self._database.run("UPDATE responses SET status = 'failed' WHERE id = ?", (id_,))

    async def unfinished(self) -> list[tuple[str, Stored]]:
        """What a gateway that is gone was still making, with its owner."""
        rows = await self._database.read(
            "SELECT owner, id, status, object, items FROM responses WHERE status IN (?, ?) AND object IS NOT NULL",
            UNFINISHED,
        )
        return [(owner, Stored(*rest)) for owner, *rest in rows]

    async def _make_room(self, owner: str, newest: str) -> None:
        """Others write between two slices."""
        while True:
            async with self._database.transaction() as run:
                ((count, size),) = await run(
                    "SELECT count(*), coalesce(sum(bytes), 0) FROM responses WHERE owner = ?", (owner,)
                )
                count, size = count - self._room.responses, size - self._room.bytes
                oldest = []
                if count > 0 or size > 0:
                    oldest = await run(
                        f"SELECT id, {_SIZE} FROM responses WHERE owner = ? AND id != ? AND object IS NOT NULL "  # noqa: S608
                        "AND status NOT IN (?, ?) ORDER BY created_at LIMIT ?",
                        (owner, newest, *UNFINISHED, _MAX_FORGOTTEN),
                    )
                left = await _forget(run, _first(oldest, count, size))
            if not oldest:
                return
            await self._delete_unneeded(left)

    async def _sweep(self, now: float) -> None:
        """Take off the disk what has expired, some of it."""
        async with self._database.transaction() as run:
            expired = await run(
                f"SELECT id, {_SIZE} FROM responses WHERE object IS NOT NULL AND expires_at <= ? "  # noqa: S608
                "AND status NOT IN (?, ?) LIMIT ?",
                (now, *UNFINISHED, _SWEPT_AT_ONCE),
            )
            left = await _forget(run, _first(expired, _SWEPT_AT_ONCE, 0))
        await self._delete_unneeded(left)

    async def _delete_unneeded(self, ids: Sequence[str]) -> None:
        """Delete those of these that nobody sees any more and no later response goes on from, and what led to them."""
        while ids:
            async with self._database.transaction() as run:
                ids = await _delete(run, ids, seen_too=False)


def _first(rows: Sequence[Row], count: int, size: int) -> list[str]:
    """The first of these responses, of which `count` and `size` bytes are to go, as far as one transaction may take
    them."""
    ids: list[str] = []
    taken = 0
    for id_, bytes_ in rows:
        if (len(ids) >= count and taken >= size) or taken >= _MAX_FORGOTTEN_BYTES:
            break
        ids.append(id_)
        taken += bytes_
    return ids


async def _forget(run: Run, ids: Sequence[str]) -> list[str]:
    """Nobody sees them any more; they go where no later response goes on from them. Returns what is yet to be
    deleted, if nothing goes on from it either."""
    if not ids:
        return []
    left = await _delete(run, ids, seen_too=True)
    await run(
        "UPDATE responses SET object = NULL, items = NULL, events = NULL WHERE id IN (SELECT value FROM json_each(?))",
        (orjson.dumps(ids).decode(),),
    )
    return left


async def _delete(run: Run, ids: Sequence[str], *, seen_too: bool) -> list[str]:
    """Delete those of these responses that no later one goes on from, and what led to them and nobody sees, as far as
    one transaction may. Returns those to go on with. `seen_too`: also those that can be seen until now."""
    rows = await run(_DELETE, (orjson.dumps(ids).decode(), seen_too, _MAX_FORGOTTEN_BYTES, _MAX_FORGOTTEN))
    deleted = {id_ for id_, _ in rows}
    parents = {parent for _, parent in rows if parent is not None}
    return list((parents | set(ids)) - deleted) if deleted else []


def _links(rows: Sequence[Row]) -> list[Link]:
    return [read_link(link, system, turns) for link, _, system, turns in rows]


def _joined(links: Sequence[Link]) -> Link:
    return Link(
        tuple(text for link in links for text in link.system), tuple(turn for link in links for turn in link.turns)
    )


def _dumped(turns: Iterable[Turn]) -> bytes:
    """A line each, so that more can be put behind them."""
    return b"".join(dump(turn) + b"\n" for turn in turns)


def read_link(id_: str, system: object, turns: object) -> Link:
    """A link as far as it can be read: a text or a turn that cannot is left out, and named in the log."""
    name = f"the response {id_!r:.80}"
    said = readable([system], lambda one: texts(orjson.loads(bytes_of(one))), lambda _: f"the system prompt of {name}")
    lines = readable([turns], lambda one: bytes_of(one).split(b"\n"), lambda _: f"the conversation of {name}")
    found = readable([line for one in lines for line in one if line], load, lambda _: f"a turn of {name}")
    return Link(next(iter(said), ()), tuple(found))
