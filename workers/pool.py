"""A bounded pool of workers: boots spares ahead of need, recovers, recycles, replaces and backs off."""

import asyncio
import itertools
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass

from workers import rss
from workers.affinity import Phase, Replace, Take, View, choose
from workers.continuation import beginnings
from workers.errors import ErrorKind, WorkerError, stopping
from workers.job import ChatJob
from workers.large_jobs import over
from workers.observer import UNOBSERVED, End, Observer
from workers.roster import Post
from workers.settings import PoolSettings
from workers.worker import Worker, end

_log = logging.getLogger(__name__)

# Reading /proc for every short job would cost more than it tells: a job adds a fraction of a MiB.
_JOBS_BETWEEN_WEIGHINGS = 8
# It takes microseconds of a thread. Where others hold every thread, no worker is kept from its next job by that.
_WEIGHING_SECONDS = 0.5


@dataclass(slots=True, eq=False)
class _Seat:
    """A worker's place in the pool, and all that the pool notes of it."""

    id: int
    worker: Worker
    phase: Phase = Phase.BOOTING
    owner: str | None = None
    last_used: float = 0.0

    def view(self) -> View:
        worker = self.worker
        return View(
            self.id,
            self.phase,
            self.owner,
            worker.model,
            worker.had_system,
            self.last_used,
            worker.standing.end,
            worker.standing.before_newest,
        )


class Pool:
    """`start`, then `lease` for each job, then `close`. Holds no lock while a process boots or streams."""

    def __init__(
        self, new_worker: Callable[[], Worker], settings: PoolSettings, observer: Observer = UNOBSERVED
    ) -> None:
        self._new_worker = new_worker
        self._observer = observer
        self._settings = settings
        self._seats: dict[int, _Seat] = {}
        self._ids = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._endings: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._backoff = 0.0
        self._refilling = False
        self._started = False
        self._closing = False
        self.last_failure: WorkerError | None = None

    async def start(self) -> None:
        """Return when the first worker is ready; the others follow. Raises `WorkerError` when none starts."""
        self._refill()
        while not any(seat.phase is Phase.READY for seat in self._seats.values()):
            self._fail_fast()
            await self._change()
        self._started = True

    async def close(self) -> None:
        """End every process and wait for each."""
        self._closing = True
        self._notify()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for seat in list(self._seats.values()):
            self._end(seat)
        await asyncio.gather(*self._endings)

    @asynccontextmanager
    async def lease(self, job: ChatJob, deadline: float) -> AsyncIterator[Worker]:
        """A worker for one job, alone. At most `workers` leases may be held at a time: the scheduler's slots.

        Raises `WorkerError`: START_FAILED when no process can be started, TIMEOUT past the deadline.
        """
        seat = await self._acquire(job, deadline)
        seat.phase, seat.owner = Phase.BUSY, job.owner
        self._notify()
        self._refill()
        try:
            yield seat.worker
        finally:
            seat.last_used = time.monotonic()
            if seat.id in self._seats and not self._closing:
                seat.phase = Phase.RECOVERING
                self._spawn(self._recover(seat))

    def phases(self) -> Counter[Phase]:
        """How many workers are in each phase."""
        return Counter(seat.phase for seat in self._seats.values())

    def roster(self) -> list[Post]:
        """Every process, the oldest first."""
        return [
            Post("chat", seat.worker.pid, seat.phase.name.lower(), seat.owner, seat.worker.model, seat.worker.jobs)
            for seat in self._seats.values()
        ]

    def ready_worker(self) -> Worker | None:
        """Any worker past its boot, to ask what the CLI said of itself then."""
        booted = (seat.worker for seat in self._seats.values() if seat.phase is not Phase.BOOTING)
        return next(booted, None)

    async def _acquire(self, job: ChatJob, deadline: float) -> _Seat:
        try:
            async with asyncio.timeout_at(deadline):
                before = await over(job, beginnings, job)
                while True:
                    if self._closing:
                        raise stopping()
                    views = [seat.view() for seat in self._seats.values()]
                    match choose(job, before, views, self._settings.workers):
                        case Take(seat_id):
                            return self._seats[seat_id]
                        case Replace(seat_id):
                            self._retire(self._seats[seat_id], "needed", "its place is needed by another key or job")
                        case _:
                            self._fail_fast()
                            await self._change()
        except TimeoutError:
            raise WorkerError(ErrorKind.TIMEOUT, "No worker became ready in time.") from None

    def _fail_fast(self) -> None:
        """A job does not wait for processes that fail to start."""
        if (failure := self.last_failure) is not None and not self._seats:
            raise WorkerError(failure.kind, failure.message, detail=failure.detail)

    def _refill(self) -> None:
        """Boot until the pool is full, one boot task at a time per missing worker; wait out a back-off first."""
        if self._closing or self._refilling:
            return
        missing = self._settings.workers + self._settings.spares - len(self._seats)
        if missing <= 0:
            return
        if self._backoff:
            self._refilling = True
            self._spawn(self._refill_later())
            return
        for _ in range(missing):
            seat = _Seat(next(self._ids), self._new_worker())
            self._seats[seat.id] = seat
            self._spawn(self._boot(seat))

    async def _refill_later(self) -> None:
        await asyncio.sleep(self._backoff)
        self._refilling = False
        # One try, not a whole pool of them: its outcome decides how to go on.
        seat = _Seat(next(self._ids), self._new_worker())
        self._seats[seat.id] = seat
        await self._boot(seat)

    async def _boot(self, seat: _Seat) -> None:
        try:
            await self._booted(seat.worker)
        except WorkerError as error:
            self._end(seat)
            self.last_failure = error
            if not self._refilling:  # those that fail together count once
                self._backoff = min(self._settings.longest_backoff, self._backoff * 2 or self._settings.first_backoff)
            # While the pool starts, `start` raises the same; a line of its own would say it twice.
            level = logging.WARNING if self._started else logging.DEBUG
            _log.log(level, "a worker did not start, next try in %.1f s: %s %s", self._backoff, error, error.detail)
        else:
            self._backoff = 0.0
            self.last_failure = None
            seat.phase = Phase.READY
            self._spawn(self._watch(seat))
        self._notify()
        self._refill()

    async def _booted(self, worker: Worker) -> None:
        """Boot; whatever goes wrong is a `WorkerError`, so that nobody waits for a worker that never comes."""
        began = time.monotonic()
        try:
            await worker.boot(self._settings.boot_timeout)
            self._observer.booted("chat", time.monotonic() - began)
        except WorkerError:
            raise
        except Exception as error:
            _log.exception("booting a worker failed in an unforeseen way")
            raise WorkerError(ErrorKind.START_FAILED, "Claude Code could not be started.") from error

    async def _watch(self, seat: _Seat) -> None:
        """Notice a worker that ends while nobody uses it."""
        status = await seat.worker.ended()
        if seat.id in self._seats:
            self._end(seat)  # whatever it left behind in its group goes too
            self._observer.ended("chat", "died")
            _log.warning("worker %d ended with status %d", seat.worker.pid, status)
            self._notify()
            self._refill()

    async def _recover(self, seat: _Seat) -> None:
        """Make a worker fit for its next job, or end it: the caller of the last one has his answer already."""
        try:
            await seat.worker.recover(self._settings.recover_timeout)
        except WorkerError as error:
            self._retire(seat, "unfit", f"it did not recover: {error} {error.detail}")
            return
        except Exception:
            _log.exception("recovering a worker failed in an unforeseen way")
            self._retire(seat, "unfit", "it did not recover")
            return
        if worn := await self._worn(seat.worker):
            self._retire(seat, "worn", worn)
        elif seat.id in self._seats:
            seat.phase = Phase.READY
            self._notify()

    async def _worn(self, worker: Worker) -> str | None:
        limits = self._settings
        if worker.jobs >= limits.max_jobs:
            return f"it has done {worker.jobs} jobs"
        if time.monotonic() - worker.born >= limits.max_age:
            return f"it is older than {limits.max_age:.0f} s"
        if (worker.jobs - 1) % _JOBS_BETWEEN_WEIGHINGS:
            return None
        try:
            async with asyncio.timeout(_WEIGHING_SECONDS):
                used = await rss.mebibytes(worker.pid)
        except TimeoutError:
            return None  # the next time will do
        return f"it holds {used} MiB" if used >= limits.max_rss_mib else None

    def _retire(self, seat: _Seat, why: End, reason: str) -> None:
        if seat.id not in self._seats:
            return
        _log.info("ending worker %d: %s", seat.worker.pid, reason)
        self._observer.ended("chat", why)
        self._end(seat)
        self._notify()
        self._refill()

    def _end(self, seat: _Seat) -> None:
        self._seats.pop(seat.id, None)
        seat.worker.kill()
        _keep(self._endings, end(seat.worker))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        _keep(self._tasks, work)

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _change(self) -> None:
        await self._changed.wait()


def _keep(tasks: set[asyncio.Task[None]], work: Coroutine[None, None, None]) -> None:
    """Run in the background, held until it is done: the loop itself holds tasks only weakly."""
    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
