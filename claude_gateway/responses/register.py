"""Responses that are kept: what a request goes on from, what of its answer is stored, what is asked of it later."""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import orjson

from claude_gateway.access.seal import Seal
from claude_gateway.dialects.openai_responses.answer import Answer, WireEvent
from claude_gateway.dialects.openai_responses.items import NO_PAST, Item, Past, Said
from claude_gateway.dialects.openai_responses.kept_items import kept_in, kept_items
from claude_gateway.dialects.openai_responses.parse import ParsedResponse
from claude_gateway.errors import ApiError
from claude_gateway.prompt.conversation import bad
from claude_gateway.prompt.thoughts import seal
from claude_gateway.stores.responses import UNFINISHED, Link, Part, ResponseStore, Stored
from workers.events import Event
from workers.job_size import turns_bytes
from workers.large_jobs import over

# What a request may refer to: each response is read whole.
_MOST_REFERRED = 1_000
_MOST_READ = 64 * 2**20
_ANSWERED = ("completed", "incomplete")
# A field of the stored object that nobody is shown.
_THOUGHTS = "thoughts"
_STOPPED = {"code": "server_error", "message": "The gateway was stopped while it made this response."}


@dataclass(frozen=True, slots=True)
class Memory:
    """What a request goes on from: as the dialect reads it, and as the store has it, up to the response `parent`."""

    past: Past = NO_PAST
    chain: tuple[Link, ...] = ()
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A request while it is answered: whose it is, what it asks, what it goes on from."""

    owner: str
    parsed: ParsedResponse
    memory: Memory


class Responses:
    """The stored responses of every key. `seal_key` marks what callers keep for us; `now` is the clock of the epoch."""

    def __init__(self, store: ResponseStore, seal_key: bytes, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._seal_key = seal_key
        self._now = now

    def sealer(self, owner: str) -> Seal:
        return Seal(self._seal_key, owner)

    async def recall(self, owner: str, previous: str | None, references: Sequence[str]) -> Memory:
        """Raises `ApiError` 400 for a response that is not there, not this key's, or has no answer to go on from."""
        chain = await self._chain(owner, previous) if previous else ()
        said = Said(
            tuple(text for link in chain for text in link.system), tuple(turn for link in chain for turn in link.turns)
        )
        items, size = await self._referred(owner, references)
        return Memory(Past(said, items, size + turns_bytes(said.messages)), chain, previous or None)

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
        """Say of what a gateway that is gone was still making that it failed; returns how many those were."""
        unfinished = await self._store.unfinished()
        for owner, stored in unfinished:
            failed = {**orjson.loads(stored.object), "status": "failed", "error": _STOPPED}
            await self._store.finish(owner, replace(stored, status="failed", object=orjson.dumps(failed)), None)
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

    async def shown(self, owner: str, id_: str) -> dict[str, Any]:
        """The response as its caller knows it. Raises `ApiError` 404, for another key's as for none."""
        return _without_thoughts(await self._part(owner, id_, "object"))

    async def input_items(self, owner: str, id_: str) -> list[dict[str, Any]]:
        """What it was made of, the first one first. Raises `ApiError` 404."""
        items: list[dict[str, Any]] = orjson.loads(await self._part(owner, id_, "items"))
        return items

    async def log(self, owner: str, id_: str) -> tuple[dict[str, Any], bytes | None]:
        """The response, and the log of one made in the background. Raises `ApiError` 404."""
        found = await self._store.get(owner, id_, self._now())
        if found is None:
            raise _unknown(id_)
        return _without_thoughts(found.object), found.events

    async def delete(self, owner: str, id_: str) -> None:
        """Raises `ApiError` 404."""
        if not await self._store.delete(owner, id_, self._now()):
            raise _unknown(id_)

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
            found = _with_thoughts(stored) if part == "object" else orjson.loads(stored)
            items |= {item["id"]: item for item in found if item["id"] in wanted}
        return items, read


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
