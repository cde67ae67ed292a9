"""Read and write stored responses in the database.

Every query for a client filters by the id of the client's key. The current time is a parameter of the methods. A stored
response contains the messages that it added to its conversation (a `ChainLink`), and the id of the response that it
continues, its parent. So the responses in a conversation form a chain. For each new response, the gateway writes only
one link of the chain, even if the chain is long.

Clients cannot retrieve a response any more if a client has deleted it, if it has expired, or if the gateway has evicted
it because its key exceeds the limits. As long as a later response continues such a response, the gateway only hides the
earlier response and keeps the messages in it. It deletes these messages together with the last response that continues
them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import orjson

from claude_gateway.sessions.turn_codec import decode_turn, encode_turn
from claude_gateway.storage.database import Database, Execute, Row
from claude_gateway.storage.row_reader import read_rows, require_bytes, require_texts
from workers.core.job import Turn
from workers.core.job_size import estimate_turns_bytes
from workers.host.large_job_threads import run_for_size

# Maximum number of responses in one conversation. Real conversations are much shorter. The limit also ends a query that
# would otherwise follow a loop in a damaged chain.
_MAX_CHAIN_LINKS = 5_000
# Limits on the deletions in one transaction, because other writers wait for the transaction.
_MAX_DELETED_PER_TRANSACTION = 100
_MAX_DELETED_BYTES_PER_TRANSACTION = 4 * 2**20
_MAX_EXPIRED_PER_CLEANUP = 10
# SQL expression for the size of a response. SQLite computes the size from the lengths in the row header. The column
# `bytes` has the same value, but SQLite stores this column after the large columns. To read the column, SQLite would
# have to read all large columns.
_SIZE_SQL = (
    "coalesce(length(object), 0) + coalesce(length(items), 0) + coalesce(length(events), 0) + length(system) "
    "+ length(turns)"
)
UNFINISHED_STATUSES = ("queued", "in_progress")
ResponsePart = Literal["object", "items", "events"]
_FROM_ONE_RESPONSE_SQL = "FROM responses WHERE key_id = ? AND id = ? AND object IS NOT NULL AND expires_at > ?"
_PART_SQL: dict[ResponsePart, str] = {
    "object": f"SELECT object {_FROM_ONE_RESPONSE_SQL}",
    "items": f"SELECT items {_FROM_ONE_RESPONSE_SQL}",
    "events": f"SELECT events {_FROM_ONE_RESPONSE_SQL}",
}
_DELETE_SQL = (
    "WITH RECURSIVE requested AS MATERIALIZED (SELECT value AS id FROM json_each(?1)), "  # noqa: S608
    f"deletable (id, parent, size) AS (SELECT id, parent, {_SIZE_SQL} FROM responses "
    "WHERE id IN (SELECT id FROM requested) AND (?2 OR object IS NULL) "
    "AND NOT EXISTS (SELECT 1 FROM responses AS later WHERE later.parent = responses.id) "
    f"UNION SELECT responses.id, responses.parent, deletable.size + {_SIZE_SQL} "
    "FROM deletable JOIN responses ON responses.id = deletable.parent "
    "WHERE (object IS NULL OR (?2 AND responses.id IN (SELECT id FROM requested))) AND deletable.size < ?3 "
    "AND NOT EXISTS "
    "(SELECT 1 FROM responses AS later WHERE later.parent = responses.id AND later.id != deletable.id)) "
    "DELETE FROM responses WHERE id IN (SELECT id FROM deletable LIMIT ?4) RETURNING id, parent"
)
_NEXT_LINK_SQL = (
    "SELECT r.id, r.parent, depth + 1 FROM responses r "
    "JOIN chain ON r.id = chain.parent WHERE r.key_id = ? AND depth < ?"
)
_CHAIN_SQL = (
    "WITH RECURSIVE chain (id, parent, depth) AS ("
    f"SELECT id, parent, 0 {_FROM_ONE_RESPONSE_SQL} UNION ALL {_NEXT_LINK_SQL})"
)
_FROM_CHAIN_SQL = "FROM chain JOIN responses USING (id)"
# The gateway does not load a conversation that is larger than this. The limit is far above the context window of any
# model.
_MAX_CHAIN_BYTES = 64 * 2**20


class ChainTooLarge(Exception):
    """Raised if a stored conversation is too large to be loaded and continued."""


@dataclass(frozen=True, slots=True)
class ChainLink:
    """The messages that one response added to its conversation. A conversation is a chain of such links.

    `system` contains texts in the system prompt, and `turns` contains the turns, oldest first.
    """

    system: tuple[str, ...]
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response as it is stored in the database.

    Attributes:
        id: Id of the response.
        status: Status of the response, such as `completed`.
        object: The response object, as JSON.
        items: The input items of the request, as JSON.
        events: Stored form of the event log; None if there is no log. Only background responses have a log.
    """

    id: str
    status: str
    object: bytes
    items: bytes
    events: bytes | None = None


@dataclass(frozen=True, slots=True)
class ResponseLimits:
    """Limits on the stored responses of one key.

    Attributes:
        ttl_seconds: Time after which a response expires.
        max_responses: Maximum count of responses.
        max_bytes: Maximum size of all responses of the key together.
    """

    ttl_seconds: float
    max_responses: int
    max_bytes: int


class ResponseStore:
    """Reads and writes stored responses, and deletes responses that have expired or exceed the limits of their key."""

    def __init__(self, database: Database, limits: ResponseLimits) -> None:
        self._database = database
        self._limits = limits

    async def add(
        self,
        key_id: str,
        response: StoredResponse,
        link: ChainLink,
        parent_id: str | None,
        previous_links: Sequence[ChainLink],
        now: float,
    ) -> None:
        """Store a new response and commit it. If the key then exceeds its limits, evict its oldest responses.

        Args:
            key_id: Id of the key that the response belongs to.
            response: The response.
            link: Messages that the response adds to its conversation.
            parent_id: Id of the response that the new response continues; None if the conversation is new.
            previous_links: Messages of the conversation up to the parent. If the parent has been deleted, the method
                stores these messages with the new response.
            now: Current time, in seconds since the epoch.
        """
        turns = await run_for_size(estimate_turns_bytes(link.turns), _encode_turns, link.turns)
        async with self._database.transaction() as run:
            if parent_id is not None and not await run(
                "SELECT 1 FROM responses WHERE key_id = ? AND id = ?", (key_id, parent_id)
            ):
                parent_id, link = None, _join_links([*previous_links, link])
                turns = await run_for_size(estimate_turns_bytes(link.turns), _encode_turns, link.turns)
            await run(
                "INSERT INTO responses (id, key_id, parent, created_at, expires_at, status, object, items, events, "
                "system, turns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(response.id, key_id, parent_id, now, now + self._limits.ttl_seconds, response.status),
                    *(response.object, response.items, response.events, orjson.dumps(link.system), turns),
                ),
            )
        await self._enforce_limits(key_id, response.id)
        await self._delete_expired(now)

    async def finish(self, key_id: str, response: StoredResponse, reply: Turn | None) -> bool:
        """Store the result of a background response. Until now, the database contains only the queued response.

        Args:
            key_id: Id of the key that the response belongs to.
            response: The response. The method ignores its `items`.
            reply: Reply of the model, as a turn of the conversation; None if the response has no reply.

        Returns:
            Whether the response still exists.
        """
        reply_turn = _encode_turns([reply]) if reply else b""
        async with self._database.transaction() as run:
            rows = await run(
                "UPDATE responses SET status = ?, object = ?, events = ?, turns = CAST(turns || ? AS BLOB) "
                "WHERE key_id = ? AND id = ? AND object IS NOT NULL RETURNING id",
                (response.status, response.object, response.events, reply_turn, key_id, response.id),
            )
        await self._enforce_limits(key_id, response.id)
        return bool(rows)

    async def get(self, key_id: str, id_: str, now: float) -> StoredResponse | None:
        """Return a stored response, or None if the key has no such response."""
        rows = await self._database.read(
            f"SELECT id, status, object, items, events {_FROM_ONE_RESPONSE_SQL}", (key_id, id_, now)
        )
        return StoredResponse(*rows[0]) if rows else None

    async def get_part(self, key_id: str, id_: str, part: ResponsePart, now: float) -> bytes | None:
        """Return one part of a stored response without reading the whole response, which may have several megabytes.

        Returns:
            The part; None if the key has no such response, or if the response has no such part.
        """
        rows = await self._database.read(_PART_SQL[part], (key_id, id_, now))
        stored = rows[0][0] if rows else None
        return stored if stored is None or isinstance(stored, bytes) else str(stored).encode()

    async def exists(self, key_id: str, id_: str, now: float) -> bool:
        """Return whether the key has a stored response with the id `id_`."""
        return bool(await self._database.read(f"SELECT 1 {_FROM_ONE_RESPONSE_SQL}", (key_id, id_, now)))

    async def get_chain(self, key_id: str, id_: str, now: float) -> tuple[str, list[ChainLink]] | None:
        """Return the status of a response, and the messages of its conversation up to this response.

        Returns:
            The status, and a list with one `ChainLink` for each response in the conversation, oldest first. None if the
            key has no response with the id `id_`.
        """
        rows = await self._database.read(
            f"{_CHAIN_SQL} SELECT id, status, system, turns {_FROM_CHAIN_SQL} ORDER BY depth DESC",
            (key_id, id_, now, key_id, _MAX_CHAIN_LINKS),
        )
        if not rows:
            return None
        size = sum(len(turns) for *_, turns in rows if isinstance(turns, bytes))
        return rows[-1][1], await run_for_size(size, _read_links, rows)

    async def get_chain_size(self, key_id: str, id_: str, now: float) -> int:
        """Return the count of bytes that `get_chain` would read for a response.

        Raises:
            ChainTooLarge: The conversation is too large to be loaded.
        """
        ((size,),) = await self._database.read(
            f"{_CHAIN_SQL} SELECT coalesce(sum(length(system) + length(turns)), 0) {_FROM_CHAIN_SQL}",
            (key_id, id_, now, key_id, _MAX_CHAIN_LINKS),
        )
        if size > _MAX_CHAIN_BYTES:
            raise ChainTooLarge
        return int(size)

    async def get_size(self, key_id: str, ids: Sequence[str]) -> int:
        """Return the total size in bytes of the response objects and input items of the responses with these ids."""
        ((size,),) = await self._database.read(
            "SELECT coalesce(sum(coalesce(length(object), 0) + coalesce(length(items), 0)), 0) FROM responses "
            "WHERE key_id = ? AND id IN (SELECT value FROM json_each(?))",
            (key_id, orjson.dumps(list(ids)).decode()),
        )
        return int(size)

    async def delete(self, key_id: str, id_: str, now: float) -> bool:
        """Delete a response, and return whether the response existed.

        If a later response continues the deleted response, the method only hides the response and keeps its messages.
        """
        async with self._database.transaction() as run:
            if not await run(f"SELECT 1 {_FROM_ONE_RESPONSE_SQL}", (key_id, id_, now)):
                return False
            remaining_ids = await _delete_or_hide(run, [id_])
        await self._delete_unreferenced(remaining_ids)
        return True

    async def delete_unreferenced(self) -> None:
        """Delete hidden responses that no later response continues.

        Such responses remain in the database if a gateway process stops while it deletes responses.
        """
        rows = await self._database.read(
            "SELECT id FROM responses WHERE object IS NULL "
            "AND NOT EXISTS (SELECT 1 FROM responses AS later WHERE later.parent = responses.id)"
        )
        for start in range(0, len(rows), _MAX_DELETED_PER_TRANSACTION):
            await self._delete_unreferenced([id_ for (id_,) in rows[start : start + _MAX_DELETED_PER_TRANSACTION]])

    async def mark_failed(self, id_: str) -> None:
        """Set the status of a response to `failed`, without changing the stored data, which may be damaged."""
        await self._database.execute("UPDATE responses SET status = 'failed' WHERE id = ?", (id_,))

    async def list_unfinished(self) -> list[tuple[str, StoredResponse]]:
        """Return the responses that an earlier gateway process had not finished when the process exited.

        Returns:
            A pair of key id and response for each unfinished response.
        """
        rows = await self._database.read(
            "SELECT key_id, id, status, object, items FROM responses WHERE status IN (?, ?) AND object IS NOT NULL",
            UNFINISHED_STATUSES,
        )
        return [(key_id, StoredResponse(*columns)) for key_id, *columns in rows]

    async def _enforce_limits(self, key_id: str, newest_id: str) -> None:
        """Delete the oldest responses of a key until the key does not exceed its limits.

        The method uses a transaction for each batch of responses, so that other writers can run between two batches.
        """
        while True:
            async with self._database.transaction() as run:
                ((count, size),) = await run(
                    "SELECT count(*), coalesce(sum(bytes), 0) FROM responses WHERE key_id = ?", (key_id,)
                )
                count, size = count - self._limits.max_responses, size - self._limits.max_bytes
                oldest = []
                if count > 0 or size > 0:
                    oldest = await run(
                        f"SELECT id, {_SIZE_SQL} FROM responses WHERE key_id = ? AND id != ? AND object IS NOT NULL "  # noqa: S608
                        "AND status NOT IN (?, ?) ORDER BY created_at LIMIT ?",
                        (key_id, newest_id, *UNFINISHED_STATUSES, _MAX_DELETED_PER_TRANSACTION),
                    )
                remaining_ids = await _delete_or_hide(run, _select_deletable(oldest, count, size))
            if not oldest:
                return
            await self._delete_unreferenced(remaining_ids)

    async def _delete_expired(self, now: float) -> None:
        """Delete a limited number of the responses that have expired."""
        async with self._database.transaction() as run:
            expired = await run(
                f"SELECT id, {_SIZE_SQL} FROM responses WHERE object IS NOT NULL AND expires_at <= ? "  # noqa: S608
                "AND status NOT IN (?, ?) LIMIT ?",
                (now, *UNFINISHED_STATUSES, _MAX_EXPIRED_PER_CLEANUP),
            )
            remaining_ids = await _delete_or_hide(run, _select_deletable(expired, _MAX_EXPIRED_PER_CLEANUP, 0))
        await self._delete_unreferenced(remaining_ids)

    async def _delete_unreferenced(self, ids: Sequence[str]) -> None:
        """Delete hidden responses that no later response continues, and hidden responses before them in the chain."""
        while ids:
            async with self._database.transaction() as run:
                ids = await _delete_rows(run, ids, include_visible=False)


def _select_deletable(rows: Sequence[Row], count: int, size: int) -> list[str]:
    """Return the ids of the responses to delete in order to free `count` responses and `size` bytes.

    The function selects responses from the first row on. It stops early if it reaches the limit on the bytes that one
    transaction deletes.

    Args:
        rows: Id and size in bytes of each response.
        count: Number of responses to delete.
        size: Number of bytes to delete.
    """
    ids: list[str] = []
    selected_bytes = 0
    for id_, row_bytes in rows:
        if (len(ids) >= count and selected_bytes >= size) or selected_bytes >= _MAX_DELETED_BYTES_PER_TRANSACTION:
            break
        ids.append(id_)
        selected_bytes += row_bytes
    return ids


async def _delete_or_hide(execute: Execute, ids: Sequence[str]) -> list[str]:
    """Delete the responses that no later response continues, and hide the others.

    Returns:
        Ids of responses to check in the next transaction. That transaction deletes them if they are hidden and no later
        response continues them.
    """
    if not ids:
        return []
    remaining_ids = await _delete_rows(execute, ids, include_visible=True)
    await execute(
        "UPDATE responses SET object = NULL, items = NULL, events = NULL WHERE id IN (SELECT value FROM json_each(?))",
        (orjson.dumps(ids).decode(),),
    )
    return remaining_ids


async def _delete_rows(execute: Execute, ids: Sequence[str], *, include_visible: bool) -> list[str]:
    """Delete the given responses that no later response continues, and then the hidden responses before them.

    A response is hidden if it was deleted while a later response continued it. The database then keeps its messages
    until no response continues it. The function stops when it reaches the limits on the deletions in one transaction.

    Args:
        execute: Function that runs a statement in the transaction.
        ids: Ids of the responses to delete.
        include_visible: Whether to also delete those of the given responses that are not hidden.

    Returns:
        Ids of the responses to pass to the next call; an empty list if this call deleted nothing.
    """
    rows = await execute(
        _DELETE_SQL,
        (orjson.dumps(ids).decode(), include_visible, _MAX_DELETED_BYTES_PER_TRANSACTION, _MAX_DELETED_PER_TRANSACTION),
    )
    deleted = {id_ for id_, _ in rows}
    parents = {parent for _, parent in rows if parent is not None}
    return list((parents | set(ids)) - deleted) if deleted else []


def _read_links(rows: Sequence[Row]) -> list[ChainLink]:
    return [read_chain_link(link, system, turns) for link, _, system, turns in rows]


def _join_links(links: Sequence[ChainLink]) -> ChainLink:
    return ChainLink(
        tuple(text for link in links for text in link.system), tuple(turn for link in links for turn in link.turns)
    )


def _encode_turns(turns: Iterable[Turn]) -> bytes:
    """Encode each turn as a line, so that further turns can be appended to the result."""
    return b"".join(encode_turn(turn) + b"\n" for turn in turns)


def read_chain_link(id_: str, system: object, turns: object) -> ChainLink:
    """Convert the stored messages of a response to a `ChainLink`. Skip and log damaged texts and turns."""
    label = f"the response {id_!r:.80}"
    system_texts = read_rows(
        [system],
        lambda stored: require_texts(orjson.loads(require_bytes(stored))),
        lambda _: f"the system prompt of {label}",
    )
    lines = read_rows(
        [turns], lambda stored: require_bytes(stored).split(b"\n"), lambda _: f"the conversation of {label}"
    )
    decoded_turns = read_rows(
        [line for stored_lines in lines for line in stored_lines if line], decode_turn, lambda _: f"a turn of {label}"
    )
    return ChainLink(next(iter(system_texts), ()), tuple(decoded_turns))
