"""Classes that give one request the stored conversation of a session, and that store the new turns of the request."""

import math
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Protocol

from claude_gateway.core.errors import ApiError
from claude_gateway.dialects.common.content.conversation import EMPTY_HISTORY, SessionHistory
from claude_gateway.sessions.session_store import SessionChange, SessionChanged, SessionSnapshot, SessionStore
from claude_gateway.sessions.thinking_cache import ThinkingCache
from claude_gateway.sessions.turn_codec import encode_turn
from workers.conversation.prefix_keys import ReplyBuilder
from workers.core.events import EventStream, Finished
from workers.core.job import ChatJob, RedactedThinkingBlock, ThinkingBlock, Turn
from workers.host.large_job_threads import run_for_job


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Limits on the number and size of sessions.

    Attributes:
        ttl_seconds: Time after the last use of a session at which the session expires.
        max_sessions_per_key: Maximum number of sessions that one key may have.
        max_bytes_per_session: Maximum number of bytes that the gateway stores for one session.
        max_bytes_per_key: Maximum number of bytes that the gateway stores for all sessions of one key together.
    """

    ttl_seconds: float
    max_sessions_per_key: int
    max_bytes_per_session: int
    max_bytes_per_key: int


class Session(Protocol):
    """Interface of the session that a request uses."""

    @property
    def history(self) -> SessionHistory:
        """The stored conversation that the request continues."""
        ...

    def persist_stream(self, job: ChatJob, batches: EventStream) -> EventStream:
        """Yield the events of a job unchanged. Store the conversation before the last event."""
        ...


class NoSession:
    """Session object for a request without a session id. It stores nothing in the database.

    Args:
        thinking_cache: Cache for replies with thinking; None if the gateway does not cache replies.
        key_id: Id of the API key with which the client sent the request.
    """

    def __init__(self, thinking_cache: ThinkingCache | None = None, key_id: str = "") -> None:
        self._thinking_cache = thinking_cache
        self.history = (
            SessionHistory(find_reply=thinking_cache.lookup_for_key(key_id)) if thinking_cache else EMPTY_HISTORY
        )

    def persist_stream(self, job: ChatJob, batches: EventStream) -> EventStream:
        """Return the events of a job unchanged, and add the reply to the thinking cache."""
        return (
            _cache_thinking(self._thinking_cache, job, batches)
            if self._thinking_cache and uses_thinking_and_tools(job)
            else batches
        )


NO_SESSION: Session = NoSession()


def uses_thinking_and_tools(job: ChatJob) -> bool:
    """Return whether the reply to a job may contain thinking and a call to a client tool."""
    return bool(job.tools) and job.params.thinking != "off"


async def _cache_thinking(thinking_cache: ThinkingCache, job: ChatJob, batches: EventStream) -> EventStream:
    reply = ReplyBuilder()
    async with aclosing(batches):
        async for batch in batches:
            for event in batch:
                reply.feed(event)
            if isinstance(batch[-1], Finished):
                thinking_cache.add(job, reply.build())
            yield batch


class OpenSession:
    """Session object for a request with a session id. It stores the conversation in the database.

    Args:
        store: Stored sessions.
        limits: Limits on the number and size of sessions.
        now: Returns the current time in epoch seconds.
        key_id: Id of the key to which the session belongs.
        id_: Id of the session.
        snapshot: State of the session that the service loaded from the store; None if the session does not exist yet.
        thinking_cache: Cache for replies with thinking.
    """

    def __init__(
        self,
        store: SessionStore,
        limits: SessionLimits,
        now: Callable[[], float],
        key_id: str,
        id_: str,
        snapshot: SessionSnapshot | None,
        thinking_cache: ThinkingCache,
    ) -> None:
        self._store = store
        self._limits = limits
        self._now = now
        self._key_id = key_id
        self._id = id_
        self._snapshot = snapshot
        self._thinking_cache = thinking_cache
        self._is_written = False

    @property
    def history(self) -> SessionHistory:
        """The stored conversation."""
        find_reply = self._thinking_cache.lookup_for_key(self._key_id)
        if self._snapshot is None:
            return replace(EMPTY_HISTORY, find_reply=find_reply)
        return replace(self._snapshot.history, size_bytes=self._snapshot.size_bytes, find_reply=find_reply)

    async def persist_stream(self, job: ChatJob, batches: EventStream) -> EventStream:
        """Yield the events of a job unchanged, and store the conversation before `Finished`.

        If the reply fails, the client disconnects or the model refuses, the session does not change.

        Raises:
            ApiError: 413 or 429 before the job runs, if the new turns would exceed a limit; or 409 instead of
                `Finished`, if another request has deleted or changed the session.
        """
        async with aclosing(batches):
            stored_turns = self.history.turns
            intact_turns = stored_turns[: self._snapshot.intact_turn_count] if self._snapshot else ()
            kept_count, new_turns, additional_bytes = await run_for_job(
                job, _diff_turns, stored_turns, intact_turns, job.turns
            )
            await self._check_limits(additional_bytes)
            reply_builder = ReplyBuilder()
            async for batch in batches:
                for event in batch:
                    reply_builder.feed(event)
                last = batch[-1]
                if isinstance(last, Finished) and last.stop_reason != "refusal":
                    if events_before := batch[:-1]:
                        yield events_before  # the client does not wait for the database
                    reply = reply_builder.build()
                    if uses_thinking_and_tools(job):
                        self._thinking_cache.add(job, reply)
                    reply_turns = map(encode_turn, _storable_turns(reply))
                    await self._write(SessionChange(job.system, kept_count, [*new_turns, *reply_turns]))
                    batch = (last,)
                yield batch

    async def create(self) -> None:
        """Create an empty session in the database.

        Raises:
            ApiError: 429 if the key has too many sessions.
        """
        await self._check_limits(0)
        await self._write(SessionChange("", 0, []))

    async def close(self) -> None:
        """Postpone the expiry of the session at the end of a request, even if the request has stored nothing."""
        if self._snapshot is not None and not self._is_written:
            now = self._now()
            await self._store.touch(self._key_id, self._snapshot.row_id, now, now + self._limits.ttl_seconds)

    async def _check_limits(self, additional_bytes: int) -> None:
        limits = self._limits
        if (self._snapshot.size_bytes if self._snapshot else 0) + additional_bytes > limits.max_bytes_per_session:
            raise ApiError(
                413,
                "request_too_large",
                "The session would exceed the maximum size (MAX_SESSION_HISTORY_MIB). Start a new session.",
                code="session_too_large",
            )
        now = self._now()
        totals = await self._store.get_totals(self._key_id, now)
        if (
            self._snapshot is None and totals.active_count >= limits.max_sessions_per_key
        ) or totals.size_bytes + additional_bytes > limits.max_bytes_per_key:
            raise ApiError(
                429,
                "rate_limit_exceeded",
                f"This key has {totals.active_count} sessions, and the gateway stores no further data for it "
                "(MAX_SESSIONS_PER_KEY, MAX_SESSION_HISTORY_PER_KEY_MIB). "
                "Delete a session, or wait until one expires.",
                code="too_many_sessions",
                retry_after=max(1, math.ceil(totals.next_expires_at - now)),
            )

    async def _write(self, change: SessionChange) -> None:
        now = self._now()
        try:
            await self._store.write(self._key_id, self._id, self._snapshot, change, now, now + self._limits.ttl_seconds)
        except SessionChanged:
            raise ApiError(
                409,
                "validation_error",
                "The session was deleted or changed while this request was running. The reply was not stored.",
                code="session_conflict",
            ) from None
        self._is_written = True


def _diff_turns(
    stored_turns: Sequence[Turn], intact_turns: Sequence[Turn], turns: Sequence[Turn]
) -> tuple[int, list[bytes], int]:
    """Find the stored turns that the session can keep, by comparing the stored turns with the turns of a job.

    The session can only keep stored turns that come before the first turn that the gateway could not read.

    Args:
        stored_turns: All stored turns that the gateway could read.
        intact_turns: The stored turns before the first turn that the gateway could not read.
        turns: The turns of the job.

    Returns:
        The number of stored turns to keep, the encoded turns that replace the other stored turns, and the number of
        bytes by which the stored conversation grows.
    """
    kept_count = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(intact_turns, turns, strict=False)))
    new_turns = [encode_turn(turn) for turn in turns[kept_count:]]
    replaced_bytes = sum(len(encode_turn(turn)) for turn in stored_turns[kept_count:])
    return kept_count, new_turns, sum(map(len, new_turns)) - replaced_bytes


def _storable_turns(reply: Turn | None) -> list[Turn]:
    """Return a list with the reply, or an empty list if there is no reply or if the reply contains only thinking.

    If a later request contained a turn with only thinking, the API would reject the request.
    """
    if reply and any(not isinstance(block, ThinkingBlock | RedactedThinkingBlock) for block in reply.blocks):
        return [reply]
    return []
