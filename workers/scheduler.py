"""The bounded, fair queue in front of the pool. A slot is held from the first wait to the last event."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, TypeVar

from workers.errors import ErrorKind, WorkerError, stopping
from workers.fair_queue import FairQueue
from workers.job import ChatJob
from workers.rivals import Rivals
from workers.settings import QueueSettings

_SMOOTHING = 0.2
# So many refused jobs are told times of their own.
_MOST_TOLD = 1_000
# Where keys compete, one may have so many times as many waiting jobs as there are places left: alone at four fifths of
# the queue, two of them at four ninths each. So a key that comes back finds a place, whatever others sent meanwhile.
_SHARE = 4
# Beyond the moment for which it was told to come back.
_BACK_WITHIN_SECONDS = 30.0
W = TypeVar("W", covariant=True)
# Raises what the job ends in that may not be begun.
Check = Callable[[], Awaitable[None]]


class Lender(Protocol[W]):
    """A pool, as far as this module needs one."""

    def lease(self, job: ChatJob, deadline: float) -> AbstractAsyncContextManager[W]: ...


@dataclass(frozen=True, slots=True, eq=False)
class _Turn:
    """Who waits, and since when by the loop's clock."""

    comes: asyncio.Future[None]
    since: float


class Scheduler(Generic[W]):
    """Hands each free slot to the job whose turn it is, first come first served, the keys in turns."""

    def __init__(self, pool: Lender[W], slots: int, settings: QueueSettings) -> None:
        self._pool = pool
        self._slots = slots
        self._free = slots
        self._settings = settings
        self._queue: FairQueue[_Turn] = FairQueue()
        self._rivals = Rivals()
        # When those that were refused were told to come back, by the loop's clock.
        self._told: list[float] = []
        self._mean_job_seconds = 1.0

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def running(self) -> int:
        return self._slots - self._free

    def refuse_waiting(self, retry_after: float) -> None:
        """The gateway stops: what waits will not be begun. What runs is not touched."""
        while self._queue:
            turn = self._queue.pop().comes
            if not turn.done():
                turn.set_exception(stopping(retry_after))

    @asynccontextmanager
    async def slot(
        self, job: ChatJob, deadline: float, check: Check
    ) -> AsyncIterator[Callable[[], AbstractAsyncContextManager[W]]]:
        """A slot for the job, once it is its turn; yields what gives it a worker, and another where that one failed.
        `deadline` is in the loop's clock. `check` is made once the job has its slot, before any process is taken from
        another owner or started for it.

        Raises `WorkerError`: QUEUE_FULL at once, QUEUE_TIMEOUT after the longest wait, STOPPING where waiting was of no
        use any more, and what the pool or `check` raises.
        """
        await self._take_slot(job.owner, deadline)
        try:
            await check()
            began = time.monotonic()
            try:
                yield partial(self._pool.lease, job, deadline)
            finally:
                took = time.monotonic() - began
                self._mean_job_seconds += _SMOOTHING * (took - self._mean_job_seconds)
        finally:
            self._hand_on_slot()

    @asynccontextmanager
    async def worker(self, job: ChatJob, deadline: float, check: Check) -> AsyncIterator[W]:
        """A worker for the job, in a slot that is held as long. Raises `WorkerError` as `slot` does."""
        async with self.slot(job, deadline, check) as lease, lease() as worker:
            yield worker

    async def _take_slot(self, owner: str, deadline: float) -> None:
        if self._free:
            self._free -= 1
            return
        loop = asyncio.get_running_loop()
        self._require_place(owner, loop.time())
        turn = _Turn(loop.create_future(), loop.time())
        self._queue.push(owner, turn)
        try:
            async with asyncio.timeout_at(min(deadline, loop.time() + self._settings.timeout)):
                await turn.comes
        except BaseException as error:
            if not self._queue.remove(owner, turn) and _is_granted(turn.comes):
                self._hand_on_slot()  # the slot came in the very moment that nobody wanted it any more
            if isinstance(error, TimeoutError) and loop.time() >= deadline:
                raise WorkerError(ErrorKind.TIMEOUT, "The request took too long; it was still waiting.") from None
            if isinstance(error, TimeoutError):
                raise WorkerError(
                    ErrorKind.QUEUE_TIMEOUT,
                    "The request waited too long for a free worker (QUEUE_TIMEOUT_SECONDS, CHAT_WORKERS).",
                    retry_after=self._turn_of_next(loop.time()),
                ) from None
            raise

    def _require_place(self, owner: str, now: float) -> None:
        """Where keys compete, each has a share of the queue. If one key's jobs fill it all the same, it is not full for
        another: the newest of the many gives way, if it has only just come. Raises."""
        wait = self._expected_wait()
        compete = self._rivals.came(owner, now, now + wait + _BACK_WITHIN_SECONDS)
        left = self._settings.limit - len(self._queue)
        if left > 0 and not (compete and self._queue.count(owner) >= _SHARE * left):
            return
        message = "Too many requests are waiting (QUEUE_LIMIT, CHAT_WORKERS)."
        full = WorkerError(ErrorKind.QUEUE_FULL, message, retry_after=self._turn_of_next(now))
        may_go = now - self._settings.refusable
        crowded_out = self._queue.crowd_out(owner, lambda turn: turn.since > may_go) if left <= 0 else None
        if crowded_out is None:
            raise full
        if not crowded_out.comes.done():
            crowded_out.comes.set_exception(full)

    def _hand_on_slot(self) -> None:
        """To whoever is next; a slot is never free while somebody waits, so nobody can overtake."""
        while self._queue:
            turn = self._queue.pop().comes
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _turn_of_next(self, now: float) -> float:
        """The expected wait behind those that were refused and told to come back: not all are to come at once."""
        self._told = [moment for moment in self._told if moment > now]
        wait = self._expected_wait(len(self._told))
        if len(self._told) < _MOST_TOLD:
            self._told.append(now + wait)
        return wait

    def _expected_wait(self, others: int = 0) -> float:
        """Seconds until a request that comes now would get a worker, by the length of recent jobs."""
        ahead = len(self._queue) + 1 + others
        return max(1.0, math.ceil(ahead * self._mean_job_seconds / self._slots))


def _is_granted(turn: asyncio.Future[None]) -> bool:
    return turn.done() and not turn.cancelled() and turn.exception() is None
