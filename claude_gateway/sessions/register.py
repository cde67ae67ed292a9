"""Every conversation that Claude remembers: opened for one request at a time, listed, forgotten, swept."""

import asyncio
import logging
import time
import unicodedata
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Protocol

from claude_gateway.errors import ApiError
from claude_gateway.loaded_memory import LoadedMemory
from claude_gateway.prompt.conversation import bad
from claude_gateway.sessions.lines import Lines, LineTooLong
from claude_gateway.sessions.replies import Replies
from claude_gateway.sessions.session import NoSession, OpenSession, Session, SessionLimits
from claude_gateway.stores.sessions import Keeper, Reading, SessionInfo, SessionStore, Totals

_log = logging.getLogger(__name__)

SWEEP_SECONDS = 300.0
_LONGEST_ID = 256
_MOST_LISTED = 1_000
_MOST_KEEPERS = 100
_BUSY_RETRY_SECONDS = 5


class Work(Protocol):
    """What sessions have beside their words: directories, and processes that work in them."""

    async def drop(self, owner: str, name: str) -> None:
        """The session is no more."""
        ...

    async def keep_only(self, names: Collection[tuple[str, str]]) -> None:
        """There are no sessions but these, of owner and id."""
        ...


class _NoWork:
    async def drop(self, owner: str, name: str) -> None:
        pass

    async def keep_only(self, names: Collection[tuple[str, str]]) -> None:
        pass


class Sessions:
    """The sessions of every key. `lines` keep the requests of one session apart; `now` is in seconds of the epoch."""

    def __init__(
        self,
        store: SessionStore,
        limits: SessionLimits,
        lines: Lines,
        now: Callable[[], float] = time.time,
        work: Work | None = None,
        memory: LoadedMemory | None = None,
    ) -> None:
        self.limits = limits
        self._store = store
        self._lines = lines
        self._now = now
        self._work = work or _NoWork()
        self._memory = memory or LoadedMemory()
        self._in_use: set[int] = set()
        self._replies = Replies()

    @asynccontextmanager
    async def open(self, owner: str, id_: str | None) -> AsyncIterator[Session]:
        """The session for the length of a `with`, once nobody else has it; a `NoSession` without an id.

        Raises `ApiError`: 400 for what is no id, 409 where others have the session for too long; `WorkerError`
        STOPPING.
        """
        if not id_:
            yield NoSession(self._replies, owner)
            return
        check_id(id_)
        try:
            async with self._lines.turn(owner, id_), self._read(owner, id_) as before:
                session = OpenSession(self._store, self.limits, self._now, owner, id_, before, self._replies)
                with self._not_swept(before):
                    try:
                        yield session
                    finally:
                        await session.end()
        except LineTooLong:
            raise ApiError(
                409,
                "validation_error",
                "Other requests of this session are still being answered.",
                code="session_busy",
                retry_after=_BUSY_RETRY_SECONDS,
            ) from None

    @asynccontextmanager
    async def _read(self, owner: str, id_: str) -> AsyncIterator[Reading | None]:
        """What is remembered, which is in memory for the length of a `with`. Raises `ApiError` 503."""
        held = await self._memory.hold(owner, await self._store.size(owner, id_, self._now()))
        try:
            yield await self._store.read(owner, id_, self._now())
        finally:
            held.release()

    def refuse_waiting(self, retry_after: float) -> None:
        """The gateway stops: who waits for a session is told so at once, and when to come again."""
        self._lines.refuse_waiting(retry_after)

    @contextmanager
    def _not_swept(self, reading: Reading | None) -> Iterator[None]:
        """An answer may take longer than the session would have lived on."""
        if reading is None:
            yield
            return
        self._in_use.add(reading.key)
        try:
            yield
        finally:
            self._in_use.discard(reading.key)

    async def infos(self, owner: str) -> list[SessionInfo]:
        """Those used last."""
        return await self._store.infos(owner, self._now(), _MOST_LISTED)

    async def totals(self, owner: str) -> Totals:
        return await self._store.totals(owner, self._now())

    async def keepers(self) -> list[Keeper]:
        """The keys that have sessions, those with the most first."""
        return await self._store.keepers(self._now(), _MOST_KEEPERS)

    async def info(self, owner: str, id_: str) -> SessionInfo:
        """Raises `ApiError` 404, for another key's session as for none."""
        found = await self._store.info(owner, id_, self._now())
        if found is None:
            raise _unknown()
        return found

    async def make(self, owner: str, id_: str) -> None:
        """The session, empty, unless there is one."""
        if await self._store.info(owner, id_, self._now()) is None:
            session = OpenSession(self._store, self.limits, self._now, owner, id_, None, self._replies)
            await session.begin()

    async def forget(self, owner: str, id_: str) -> None:
        """Raises `ApiError` 404. A request that has it is not waited for: its answer ends in a 409."""
        if not await self._store.delete(owner, id_, self._now()):
            raise _unknown()
        await self._work.drop(owner, id_)

    async def sweep(self) -> int:
        """Take off the disk what has expired; returns how many sessions that were."""
        swept = await self._store.sweep(self._now(), self._in_use)
        await self._work.keep_only(await self._store.names())
        return swept

    @asynccontextmanager
    async def swept(self) -> AsyncIterator[None]:
        """Swept at once and every `SWEEP_SECONDS`, for the length of a `with`."""
        task = asyncio.create_task(self._sweep_for_ever())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _sweep_for_ever(self) -> None:
        while True:
            try:
                await self.sweep()
            except Exception:
                _log.exception("expired sessions could not be swept")
            await asyncio.sleep(SWEEP_SECONDS)


def check_id(id_: str) -> None:
    """Raises `ApiError` 400 for what is no session's id."""
    if len(id_) > _LONGEST_ID or any(unicodedata.category(letter) == "Cc" for letter in id_):
        raise bad("session_id", f"must be of at most {_LONGEST_ID} characters, without control characters")


def _unknown() -> ApiError:
    return ApiError(404, "not_found_error", "There is no such session.", code="session_not_found")
