"""One session for the length of one request: what Claude remembers of it, and what of the answer is kept."""

import math
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Protocol

from claude_gateway.errors import ApiError
from claude_gateway.prompt.conversation import NOTHING, Remembered
from claude_gateway.sessions.replies import Replies
from claude_gateway.stores.sessions import Reading, SessionChanged, SessionStore, Writing
from claude_gateway.stores.turns import dump
from workers.continuation import Reply
from workers.events import Event, Finished
from workers.job import ChatJob, RedactedThought, Thought, Turn
from workers.large_jobs import over


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """`ttl`: seconds after its last use at which a session is gone. The rest: what a key may have remembered."""

    ttl: float
    per_key: int
    bytes_each: int
    bytes_per_key: int


class Session(Protocol):
    """What a request's dialect and answer need of it."""

    @property
    def remembered(self) -> Remembered: ...

    def record(self, job: ChatJob, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """The events of the job, which goes on from what is remembered."""
        ...


class NoSession:
    """That of a request that names none. `replies` is None where no answer is sent back by itself."""

    def __init__(self, replies: Replies | None = None, owner: str = "") -> None:
        self._replies = replies
        self.remembered = Remembered(reply=replies.of(owner)) if replies else NOTHING

    def record(self, job: ChatJob, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        return _noting(self._replies, job, events) if self._replies and thinks_and_calls(job) else events


NO_SESSION: Session = NoSession()


def thinks_and_calls(job: ChatJob) -> bool:
    return bool(job.tools) and job.tuning.thinking != "off"


async def _noting(replies: Replies, job: ChatJob, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
    reply = Reply()
    async with aclosing(events):
        async for event in events:
            reply.feed(event)
            if isinstance(event, Finished):
                replies.add(job, reply.turn())
            yield event


class OpenSession:
    def __init__(
        self,
        store: SessionStore,
        limits: SessionLimits,
        now: Callable[[], float],
        owner: str,
        id_: str,
        before: Reading | None,
        replies: Replies,
    ) -> None:
        self._store = store
        self._limits = limits
        self._now = now
        self._owner = owner
        self._id = id_
        self._before = before
        self._replies = replies
        self._written = False

    @property
    def remembered(self) -> Remembered:
        reply = self._replies.of(self._owner)
        if self._before is None:
            return replace(NOTHING, reply=reply)
        return replace(self._before.remembered, size=self._before.bytes, reply=reply)

    async def record(self, job: ChatJob, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """What was asked and answered is stored before `Finished` is passed on; an answer that fails, that is left, or
        that the model refused is not: the session stands where it stood.

        Raises `ApiError`: before anything is asked, 413 and 429 where there is no room for more; instead of
        `Finished`, 409 where somebody deleted or changed the session meanwhile.
        """
        async with aclosing(events):
            known = self.remembered.turns
            sound = known[: self._before.sound] if self._before else ()
            kept, turns, more = await over(job, _change, known, sound, job.turns)
            await self._check_room(more)
            reply = Reply()
            async for event in events:
                reply.feed(event)
                if isinstance(event, Finished) and event.stop_reason != "refusal":
                    said = reply.turn()
                    if thinks_and_calls(job):
                        self._replies.add(job, said)
                    await self._write(Writing(job.system, kept, [*turns, *map(dump, _worth_keeping(said))]))
                yield event

    async def begin(self) -> None:
        """Without a word said in it. Raises `ApiError` 429 where there is no room for another."""
        await self._check_room(0)
        await self._write(Writing("", 0, []))

    async def end(self) -> None:
        """A use of which nothing came still is one."""
        if self._before is not None and not self._written:
            now = self._now()
            await self._store.touch(self._owner, self._before.key, now, now + self._limits.ttl)

    async def _check_room(self, more: int) -> None:
        limits = self._limits
        if (self._before.bytes if self._before else 0) + more > limits.bytes_each:
            raise ApiError(
                413,
                "request_too_large",
                "The session would be larger than a session may be (SESSION_MAX_MIB). Begin another one.",
                code="session_too_large",
            )
        now = self._now()
        totals = await self._store.totals(self._owner, now)
        if (self._before is None and totals.active >= limits.per_key) or totals.bytes + more > limits.bytes_per_key:
            raise ApiError(
                429,
                "rate_limit_exceeded",
                f"This key has {totals.active} sessions, and no more may be remembered for it "
                "(SESSION_LIMIT, SESSIONS_MAX_MIB). Delete one, or wait until one expires.",
                code="too_many_sessions",
                retry_after=max(1, math.ceil(totals.next_expiry - now)),
            )

    async def _write(self, change: Writing) -> None:
        now = self._now()
        try:
            await self._store.write(self._owner, self._id, self._before, change, now, now + self._limits.ttl)
        except SessionChanged:
            raise ApiError(
                409,
                "validation_error",
                "The session was deleted or changed while this request was answered; the answer is not remembered.",
                code="session_changed",
            ) from None
        self._written = True


def _change(known: Sequence[Turn], sound: Sequence[Turn], turns: Sequence[Turn]) -> tuple[int, list[bytes], int]:
    """How many turns stay, those that follow as they are stored, and how many bytes more that is. Only the `sound` ones
    of those that are known may stay."""
    kept = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(sound, turns, strict=False)))
    new = [dump(turn) for turn in turns[kept:]]
    return kept, new, sum(map(len, new)) - sum(len(dump(turn)) for turn in known[kept:])


def _worth_keeping(reply: Turn | None) -> list[Turn]:
    """A turn of nothing but thoughts would be refused when it came again."""
    said = reply and any(not isinstance(block, Thought | RedactedThought) for block in reply.blocks)
    return [reply] if reply and said else []
