"""Responses that are kept: what a request goes on from, what of its answer is stored, what is asked of it later."""

import asyncio
import time
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import orjson

from claude_gateway.access.seal import Seal
from claude_gateway.dialects.openai_responses.answer import Answer, WireEvent
from claude_gateway.dialects.openai_responses.items import NO_PAST, Item, Past, Said
from claude_gateway.dialects.openai_responses.kept_items import kept_in, kept_items
from claude_gateway.dialects.openai_responses.parse import ParsedResponse
from claude_gateway.errors import ApiError
from claude_gateway.loaded_memory import NOTHING_HELD, Held, LoadedMemory
from claude_gateway.prompt.conversation import bad
from claude_gateway.prompt.thoughts import seal
from claude_gateway.stores.damage import UNREADABLE, tell, text
from claude_gateway.stores.responses import UNFINISHED, ChainTooLarge, Link, Part, ResponseStore, Stored
from workers.events import Event
from workers.job_size import turns_bytes
from workers.large_jobs import apart, over

T = TypeVar("T")
# What a request may refer to: each response is read whole.
_MOST_REFERRED = 1_000
_MOST_READ = 64 * 2**20
_ANSWERED = ("completed", "incomplete")
# A field of the stored object that nobody is shown.
_THOUGHTS = "thoughts"
_STOPPED = {"code": "server_error", "message": "The gateway was stopped while it made this response."}


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Memory:
    """What a request goes on from: as the dialect reads it, and as the store has it, up to the response `parent`."""

    past: Past = NO_PAST
    chain: tuple[Link, ...] = ()
    parent: str | None = None
    held: Held = NOTHING_HELD

    def release(self) -> None:
        """Nothing of it is needed any more. To release it twice changes nothing."""
        self.held.release()


@dataclass(frozen=True, slots=True)
class Asked:
    """A request while it is answered: whose it is, what it asks, what it goes on from."""

    owner: str
    parsed: ParsedResponse
    memory: Memory


class Responses:
    """The stored responses of every key. `seal_key` marks what callers keep for us; `now` is the clock of the epoch."""

    def __init__(
        self,
        store: ResponseStore,
        seal_key: bytes,
        now: Callable[[], float] = time.time,
        memory: LoadedMemory | None = None,
    ) -> None:
        self._store = store
        self._memory = memory or LoadedMemory()
        self._seal_key = seal_key
        self._now = now

    def sealer(self, owner: str) -> Seal:
        return Seal(self._seal_key, owner)

    async def recall(self, owner: str, previous: str | None, references: Sequence[str]) -> Memory:
        """Raises `ApiError`: 400 for a response that is not there, not this key's, or has no answer to go on from; 503
        where there is no room in memory. Room is held until what is returned is released, or gone."""
        held = await self._memory.hold(owner, await self._size(owner, previous, references))
        try:
            chain = await self._chain(owner, previous) if previous else ()
            said = Said(
                tuple(text for link in chain for text in link.system),
                tuple(turn for link in chain for turn in link.turns),
            )
            items, size = await self._referred(owner, references)
            past = Past(said, items, size + turns_bytes(said.messages))
            memory = Memory(past, chain, previous or None, held)
        except BaseException:
            held.release()
            raise
        # For a request that ends before it could release it.
        weakref.finalize(memory, _release, asyncio.get_running_loop(), held).atexit = False
        return memory

    async def keep(self, asked: Asked, answer: Answer) -> None:
        """What was asked and answered, committed when this returns."""
        stored = await over(asked.parsed.job, self._stored, asked, answer)
        await self._store.add(
            asked.owner,
            stored,
            _link(asked, answer),
            asked.memory.parent,
            asked.memory.chain,
            self._now(),
        )

    async def finish(self, asked: Asked, answer: Answer, events: bytes) -> None:
        """What a response that was kept when it was queued became."""
        response = answer.response
        is_answered = response["status"] in _ANSWERED
        await self._store.finish(
            asked.owner,
            Stored(response["id"], response["status"], self._object(asked, answer), b"", events),
            answer.reply() if is_answered else None,
        )

    async def recover(self) -> int:
        """Say of what a gateway that is gone was still making that it failed, and delete what it had yet to delete;
        returns how many failed."""
        unfinished = await self._store.unfinished()
        for owner, stored in unfinished:
            try:
                failed = {**orjson.loads(stored.object), "status": "failed", "error": _STOPPED}
            except UNREADABLE as error:
                tell(f"the response {stored.id!r:.80}", error)
                await self._store.give_up(stored.id)
                continue
            await self._store.finish(owner, replace(stored, status="failed", object=orjson.dumps(failed)), None)
        await self._store.delete_unneeded()
        return len(unfinished)

    async def record(
        self, asked: Asked, answer: Answer, events: AsyncGenerator[Event, None]
    ) -> AsyncGenerator[Sequence[WireEvent], None]:
        """The wire events of an answer; it is stored before the last of them is passed on. An answer that fails, or
        whose reader leaves, is not."""
        async with aclosing(events):
            async for event in events:
                told = answer.feed(event)
                if answer.is_whole and asked.parsed.store:
                    yield told[:-1]
                    await self.keep(asked, answer)
                    told = told[-1:]
                yield told

    @asynccontextmanager
    async def room(self, owner: str, id_: str) -> AsyncIterator[None]:
        """Room in memory for a stored response, for the length of a `with`. Raises `ApiError` 503."""
        held = await self._memory.hold(owner, await self._store.size(owner, [id_]))
        try:
            yield
        finally:
            held.release()

    async def shown(self, owner: str, id_: str) -> dict[str, Any]:
        """The response as its caller knows it. Raises `ApiError` 404, for another key's as for none."""
        return await self._read(id_, await self._part(owner, id_, "object"), _without_thoughts)

    async def input_items(self, owner: str, id_: str) -> list[dict[str, Any]]:
        """What it was made of, the first one first. Raises `ApiError` 404."""
        return await self._read(id_, await self._part(owner, id_, "items"), _item_list)

    async def require(self, owner: str, id_: str) -> None:
        """Raises `ApiError` 404 where the key has no such response."""
        if not await self._store.exists(owner, id_, self._now()):
            raise _unknown(id_)

    async def log(self, owner: str, id_: str) -> bytes | None:
        """The packed log of a response made in the background; None for one that was not, or that failed with the
        gateway that made it. Raises `ApiError` 404."""
        await self.require(owner, id_)
        return await self._store.part(owner, id_, "events", self._now())

    async def delete(self, owner: str, id_: str) -> None:
        """Raises `ApiError` 404."""
        if not await self._store.delete(owner, id_, self._now()):
            raise _unknown(id_)

    async def _read(self, id_: str, stored: bytes, read: Callable[[bytes], T]) -> T:
        """Raises `ApiError` 500 for what cannot be read."""
        try:
            return await apart(len(stored), read, stored)
        except UNREADABLE as error:
            raise damaged(id_, error) from None

    async def _part(self, owner: str, id_: str, part: Part) -> bytes:
        found = await self._store.part(owner, id_, part, self._now())
        if found is None:
            raise _unknown(id_)
        return found

    def _stored(self, asked: Asked, answer: Answer) -> Stored:
        id_: str = answer.response["id"]
        return Stored(id_, answer.response["status"], self._object(asked, answer), _items(asked, id_))

    def _object(self, asked: Asked, answer: Answer) -> bytes:
        """With its thoughts, sealed, for those who refer to its items, whether its caller wanted to see them or not."""
        sealer = self.sealer(asked.owner)
        hidden = {} if asked.parsed.sealed else answer.thoughts()
        thoughts = {id_: seal([thought], sealer) for id_, thought in hidden.items()}
        return orjson.dumps(answer.response | ({_THOUGHTS: thoughts} if thoughts else {}))

    async def _size(self, owner: str, previous: str | None, references: Sequence[str]) -> int:
        """How many bytes are read for a request that goes on from this. Raises `ApiError` 400 for too many."""
        size = 0
        if references:
            ids = [id_ for id_, _ in list(dict.fromkeys(map(kept_in, references)))[:_MOST_REFERRED]]
            size = min(_MOST_READ, await self._store.size(owner, ids))
        try:
            return size + (await self._store.chain_size(owner, previous, self._now()) if previous else 0)
        except ChainTooLarge:
            raise _no_previous(previous or "", "ends a conversation that is too large to go on from") from None

    async def _chain(self, owner: str, previous: str) -> tuple[Link, ...]:
        found = await self._store.chain(owner, previous, self._now())
        status = found[0] if found else None
        if status in UNFINISHED:
            raise _no_previous(previous, "has not been answered yet")
        if found is None:
            raise _no_previous(previous, "is not stored here")
        if status not in _ANSWERED:
            raise _no_previous(previous, f"is {status}: there is no answer to go on from")
        return tuple(found[1])

    async def _referred(self, owner: str, ids: Sequence[str]) -> tuple[dict[str, Item], int]:
        """The stored items of these ids, and how many bytes were read; what is not there is left out."""
        wanted = set(ids)
        sources = list(dict.fromkeys(map(kept_in, ids)))
        items: dict[str, Item] = {}
        read = 0
        for id_, part in sources[:_MOST_REFERRED]:
            stored = await self._store.part(owner, id_, part, self._now())
            if stored is None:
                continue
            if (read := read + len(stored)) > _MOST_READ:
                raise bad("input", f"refers to more than {_MOST_READ} bytes of stored responses")
            found: Sequence[Item] = await self._read(id_, stored, _with_thoughts if part == "object" else _item_list)
            items |= {item["id"]: item for item in found if item["id"] in wanted}
        return items, read


def _release(loop: asyncio.AbstractEventLoop, held: Held) -> None:
    """Called in whatever thread lets go of what was loaded."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(held.release)


def _link(asked: Asked, answer: Answer) -> Link:
    """What the request and its answer add to the conversation."""
    reply = answer.reply()
    return Link(asked.parsed.said.system, (*asked.parsed.said.messages, *([reply] if reply else ())))


def _without_thoughts(stored: bytes) -> dict[str, Any]:
    response: dict[str, Any] = orjson.loads(stored)
    response.pop(_THOUGHTS, None)
    return response


def _with_thoughts(stored: bytes) -> list[Item]:
    """The output, each thought in its item."""
    response = orjson.loads(stored)
    thoughts = response.get(_THOUGHTS, {})
    return [
        {**item, "encrypted_content": thoughts[item["id"]]} if item["id"] in thoughts else item
        for item in response["output"]
    ]


def _item_list(stored: bytes) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = orjson.loads(stored)
    for item in items:
        text(item["id"])
    return items


def damaged(id_: str, error: Exception) -> ApiError:
    """What its caller is told of a stored response that cannot be read; it is named in the log."""
    tell(f"the response {id_!r:.80}", error)
    message = f"The stored response {id_[:80]!r} is damaged and cannot be read. It can be deleted."
    return ApiError(500, "api_error", message, code="response_damaged", param="response_id")


def _unknown(id_: str) -> ApiError:
    return ApiError(
        404,
        "not_found_error",
        f"There is no stored response {id_[:80]!r}.",
        code="response_not_found",
        param="response_id",
    )


def _no_previous(id_: str, why: str) -> ApiError:
    message = f"previous_response_id: the response {id_[:80]!r} {why}"
    return ApiError(400, "validation_error", message, code="previous_response_not_found", param="previous_response_id")


def _items(asked: Asked, response_id: str) -> bytes:
    return orjson.dumps(kept_items(asked.parsed.items, response_id))
