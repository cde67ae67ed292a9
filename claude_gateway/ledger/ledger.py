"""Every job of every key, once: begun before a worker has it, ended before its caller has the last byte.

What happens to a job is noted at once, which survives a killed process, and written soon: what gathers meanwhile is
one statement. Where nothing can be noted, it is written before the job goes on.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from claude_gateway.access.keys import Key
from claude_gateway.ledger.budget import Spending, Spent, require
from claude_gateway.ledger.days import DAY, day_of, midnight
from claude_gateway.ledger.entry import BEGUN, OK, VISIT, Entry, Unwritten, Visit
from claude_gateway.ledger.usage import NOTHING_USED, Question, Report
from claude_gateway.stores.db import StoreFailing
from workers.errors import ErrorKind
from workers.events import Started, Usage
from workers.job import ChatJob

_log = logging.getLogger(__name__)

SWEEP_SECONDS = 3_600.0
# Held while the disk cannot be written; more are forgotten, the oldest first.
_MOST_HELD = 10_000
_MOST_GROUPS = 10_000
# For so long what was noted may gather.
_PAUSE_SECONDS = 0.25
# And for so long where it could not be written.
_RETRY_SECONDS = 5.0
# These jobs were turned away as they came: nothing of them ran, nor waited.
_NEVER_BEGUN = [kind.name.lower() for kind in (ErrorKind.QUEUE_FULL, ErrorKind.TOO_MANY_AT_ONCE)]


class Watcher(Protocol):
    """Told of each job that has ended, and of each cost."""

    def job_ended(self, entry: Entry) -> None: ...
    def cost_told(self, entry: Entry, usd: float) -> None: ...


class Store(Protocol):
    def note(self, entry: Entry) -> bool: ...
    async def write(self, entries: Sequence[Entry]) -> None: ...
    async def close_lost(self) -> int: ...
    async def last_id(self) -> int: ...
    async def spent_since(self, moment: float) -> list[tuple[str, int, float]]: ...
    async def usage(self, asked: Question, most: int) -> Report: ...
    async def sweep(self, before: float) -> int: ...


class Nowhere:
    """A store that keeps nothing."""

    def note(self, entry: Entry) -> bool:  # noqa: ARG002 - as others take it
        return True

    async def write(self, entries: Sequence[Entry]) -> None:
        pass

    async def close_lost(self) -> int:
        return 0

    async def last_id(self) -> int:
        return 0

    async def spent_since(self, moment: float) -> list[tuple[str, int, float]]:  # noqa: ARG002 - as others take it
        return []

    async def usage(self, asked: Question, most: int) -> Report:  # noqa: ARG002
        return Report((), NOTHING_USED)

    async def sweep(self, before: float) -> int:  # noqa: ARG002
        return 0


class Ledger:
    """`now` is in seconds of the epoch, `clock` only goes forward. `watchers` are told on the event loop."""

    def __init__(
        self,
        store: Store | None = None,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        watchers: Sequence[Watcher] = (),
    ) -> None:
        self._store = store or Nowhere()
        self._now = now
        self._clock = clock
        self._watchers = watchers
        self._last_id = 0
        self._is_open = True
        self._spending = Spending()
        self._pending: dict[int, Entry] = {}
        self._hurry = asyncio.Event()
        self._failing = False
        self._lost = 0
        self._next: asyncio.Task[None] | None = None
        self._running: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def kept(self, days: float) -> AsyncIterator[None]:
        """Taken up where it was left, swept of what is older than `days`, and whole on the disk at the end."""
        if lost := await self._store.close_lost():
            _log.info("%d jobs were lost with the gateway that ran them", lost)
        self._last_id = await self._store.last_id()
        today = midnight(day_of(self._now()))
        for owner, tokens, usd in await self._store.spent_since(today):
            self._spending.add(owner, today, tokens, usd)
        sweeping = asyncio.create_task(self._sweep_for_ever(days))
        try:
            yield
        finally:
            sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await sweeping
            await self.flushed()
            self._is_open = False
            await self._give_up()

    def open(self, job: ChatJob) -> Entry:
        """A job comes; nothing is written before it is begun."""
        self._last_id += 1
        visit = VISIT.get() or Visit()
        entry = Entry(
            id=self._last_id,
            owner=job.owner,
            visit=visit,
            number=len(visit.entries) + 1,
            tools=job.work is not None,
            model=job.model,
            begun_at=self._now(),
            came=self._clock(),
        )
        visit.entries.append(entry)
        return entry

    def next(self, entry: Entry) -> None:
        """It waited, and now it is its turn: from here on it is a job, also where it may not be begun any more."""
        entry.is_next = True

    async def begin(self, entry: Entry) -> None:
        """A worker is about to have it. On record when this returns."""
        entry.attempts += 1
        if entry.attempts == 1:
            entry.taken = self._clock()
            await self._record(entry)

    def accepted(self, entry: Entry, event: Started) -> None:
        """The upstream has taken it, maybe not for the first time."""
        entry.used_before, entry.used = entry.usage, event.usage
        entry.model = event.model

    def shown(self, entry: Entry) -> None:
        """Something of the answer is there."""
        if entry.shown is None:
            entry.shown = self._clock()

    async def finish(self, entry: Entry, used: Usage) -> None:
        """Answered. On record when this returns: whoever has his answer is in the ledger."""
        entry.used = used
        await self.end(entry, OK)

    async def end(self, entry: Entry, result: str) -> None:
        """On record when this returns. Only the first end counts."""
        if self._ended(entry, result):
            await self._record(entry)

    def leave(self, entry: Entry, result: str) -> None:
        """Nobody reads on, nor waits for this."""
        if self._ended(entry, result):
            self._note(entry)

    def cost(self, entry: Entry, usd: float) -> None:
        """Told before the end, or soon after it; of each attempt."""
        entry.cost = (entry.cost or 0.0) + usd
        self._spending.add(entry.owner, entry.begun_at, 0, usd)
        for watcher in self._watchers:
            watcher.cost_told(entry, usd)
        if entry.result != BEGUN and self._is_open:
            self._note(entry)

    def spent(self, owner: str) -> Spent:
        """Today. Jobs that still run are not in it."""
        return self._spending.of(owner, self._now())

    def require_budget(self, key: Key) -> None:
        """Raises `ApiError` 429 where the key has spent what it may today."""
        require(key.budget, self.spent(key.id), self._now())

    async def usage(self, asked: Question) -> Report:
        await self.flushed()
        return await self._store.usage(asked, _MOST_GROUPS)

    @property
    def unwritten(self) -> Unwritten:
        return Unwritten(len(self._pending) if self._failing else 0, self._lost)

    async def flushed(self) -> None:
        """Whatever happened so far is written, as far as the disk takes it."""
        self._hurry.set()
        for task in (self._running, self._next):
            if task is not None:
                await asyncio.wait([task])

    def _ended(self, entry: Entry, result: str) -> bool:
        """Whether it is this that ends it, and there is something to write."""
        if entry.result != BEGUN:
            return False
        entry.result = result
        entry.ended = self._clock()
        self._spending.add(entry.owner, entry.begun_at, entry.tokens, 0.0)
        for watcher in self._watchers:
            watcher.job_ended(entry)
        return entry.is_next or result not in _NEVER_BEGUN

    async def _record(self, entry: Entry) -> None:
        # The answers go on: a gateway that cannot count is of more use than one that cannot speak.
        if not self._note(entry) and self._next is not None and not self._failing:
            await asyncio.shield(self._next)

    def _note(self, entry: Entry) -> bool:
        """Whether it is on record. It is written soon, or else now."""
        self._pending[entry.id] = entry
        if self._next is None:
            self._write_after(_RETRY_SECONDS if self._failing else _PAUSE_SECONDS)
        noted = self._store.note(entry)
        if not noted and not self._failing:
            self._hurry.set()
        return noted

    def _write_after(self, seconds: float) -> None:
        self._hurry.clear()
        self._next = asyncio.create_task(self._write(self._running, seconds))

    async def _write(self, before: asyncio.Task[None] | None, pause: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._hurry.wait()
        if before is not None and not before.done():
            await asyncio.wait([before])
        self._running, self._next = self._next, None
        batch, self._pending = self._pending, {}
        try:
            await self._store.write(list(batch.values()))
        except StoreFailing as error:
            self._hold(batch, error)
        else:
            if self._failing:
                _log.warning("the ledger is written again; %d lines had waited", len(batch))
            self._failing = False

    def _hold(self, batch: dict[int, Entry], error: StoreFailing) -> None:
        """They wait until the disk takes them, the newest at least."""
        if not self._failing:
            _log.error("lines of the ledger could not be written, and wait: %s", error)
        self._failing = True
        held = batch | self._pending
        given_up = list(held.values())[:-_MOST_HELD]
        for entry in given_up:
            del held[entry.id]
        self._count_lost(given_up, f"more than {_MOST_HELD} wait")
        self._pending = held
        if self._next is None:
            self._write_after(_RETRY_SECONDS)

    async def _give_up(self) -> None:
        """At the end: what could not be written may still be noted, for the next gateway to write."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.wait([self._next])
        unnoted = [entry for entry in self._pending.values() if not self._store.note(entry)]
        self._count_lost(unnoted, "the disk took them to the end neither there nor beside it")

    def _count_lost(self, entries: Sequence[Entry], why: str) -> None:
        lost = [entry for entry in entries if entry.result != BEGUN]  # the others come again when they end
        if lost:
            self._lost += len(lost)
            tokens, usd = sum(entry.tokens for entry in lost), sum(entry.cost or 0.0 for entry in lost)
            told = (len(lost), tokens, usd, why)
            _log.error("%d jobs, of %d tokens and %.4f US dollars, are lost to the ledger: %s", *told)

    async def _sweep_for_ever(self, days: float) -> None:
        while True:
            try:
                await self._store.sweep(midnight(day_of(self._now() - days * DAY)))
            except Exception:
                _log.exception("the ledger could not be swept")
            await asyncio.sleep(SWEEP_SECONDS)
