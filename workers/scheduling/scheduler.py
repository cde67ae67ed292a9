"""Limited, fair queue in which jobs wait for the workers of a pool.

A job holds a slot from its start until its last event.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, TypeVar

from workers.core.errors import ErrorKind, Limit, WorkerError, shutting_down
from workers.core.job import ChatJob
from workers.core.settings import QueueSettings
from workers.host.large_job_threads import run_for_job
from workers.scheduling.active_keys import ActiveKeys
from workers.scheduling.fair_queue import FairQueue
from workers.scheduling.wait_estimate import MeanDuration, RetryTimes, round_wait_seconds

_INITIAL_JOB_SECONDS = 1.0
# The maximum number of rejected jobs whose clients get different retry times.
_MAX_RETRY_TIMES = 1_000
# While several API keys send jobs, the maximum number of waiting jobs of one key is this factor times the number of
# free positions in the queue. So one key can fill four fifths of the queue, and two keys can fill four ninths each. If
# a client sends a rejected job again, the queue admits the job, however many jobs the other keys have sent in the
# meantime.
_FAIR_SHARE_FACTOR = 4
# The time for which a key counts as active after the estimated end of its wait.
_RETRY_GRACE_SECONDS = 30.0
J = TypeVar("J")
J_contra = TypeVar("J_contra", contravariant=True)
W_co = TypeVar("W_co", covariant=True)
# A function that raises an error if a job must not start. The job ends with this error.
StartGuard = Callable[[], Awaitable[None]]


class LeasablePool(Protocol[J_contra, W_co]):
    """A pool that leases its workers to jobs. The scheduler passes each job to this pool."""

    def lease(self, job: J_contra, deadline: float) -> AbstractAsyncContextManager[W_co]:
        """Lease a worker to a job during a `with` block."""
        ...

    def expect(self, job: ChatJob) -> AbstractContextManager[None]:
        """Announce during a `with` block that a job waits for a slot."""
        ...


@dataclass(frozen=True, slots=True)
class JobSlot(Generic[J, W_co]):
    """A slot that a job holds.

    Attributes:
        job: The job in the form that the pool needs. It is prepared only once, even if several workers try the job.
        lease: A function that leases a worker to the job. If the worker fails, the next call leases another worker.
    """

    job: J
    lease: Callable[[], AbstractAsyncContextManager[W_co]]


@dataclass(frozen=True, slots=True)
class JobCounts:
    """The number of jobs that run, and the number of jobs that wait for a slot."""

    running: int
    waiting: int


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    """A job that waits for a slot.

    Attributes:
        granted: A future that is done when the job has its slot or was rejected.
        queued_at: The start of the wait, by the clock of the event loop.
    """

    granted: asyncio.Future[None]
    queued_at: float


class Scheduler(Generic[J, W_co]):
    """Gives each free slot to the next job.

    API keys get slots in turn, the jobs of a key in the order of their arrival.

    Args:
        pool: The pool of workers.
        prepare: A function that prepares a job once the job has its slot. For a large job, it runs in a thread.
        slot_count: The maximum number of jobs that run at the same time.
        settings: The limits of the queue.
    """

    def __init__(
        self,
        pool: LeasablePool[J, W_co],
        prepare: Callable[[ChatJob], J],
        slot_count: int,
        settings: QueueSettings,
    ) -> None:
        self._pool = pool
        self._prepare = prepare
        self._slot_count = slot_count
        self._free_count = slot_count
        self._settings = settings
        self._queue: FairQueue[_Waiter] = FairQueue()
        self._active_keys = ActiveKeys()
        # The times at which rejected clients should retry, by the clock of the event loop.
        self._retry_times = RetryTimes(_MAX_RETRY_TIMES)
        self._mean_job = MeanDuration(_INITIAL_JOB_SECONDS)

    @property
    def waiting_count(self) -> int:
        """The number of jobs that wait for a slot."""
        return len(self._queue)

    @property
    def running_count(self) -> int:
        """The number of jobs that hold a slot."""
        return self._slot_count - self._free_count

    def reject_waiters(self, retry_after: float) -> None:
        """Reject every waiting job, because the gateway shuts down. Running jobs continue."""
        while self._queue:
            granted = self._queue.pop().granted
            if not granted.done():
                granted.set_exception(shutting_down(retry_after))

    @asynccontextmanager
    async def acquire_slot(self, job: ChatJob, deadline: float, check: StartGuard) -> AsyncIterator[JobSlot[J, W_co]]:
        """Wait for a slot for the job, and hold the slot during a `with` block.

        Args:
            job: The job.
            deadline: The end of the job's time, by the clock of the event loop.
            check: A function that is awaited when the job has its slot, before the pool starts a process for the job or
                takes one from another key. It raises an error if the job must not start.

        Raises:
            WorkerError: QUEUE_FULL at once if the queue is full. QUEUE_TIMEOUT after the longest allowed wait.
                SHUTTING_DOWN if the gateway shuts down during the wait. Also the errors of the pool and of `check`.
        """
        await self._wait_for_slot(job, deadline)
        try:
            await check()
            started_at = time.monotonic()
            try:
                prepared = await run_for_job(job, self._prepare, job)
                yield JobSlot(prepared, partial(self._pool.lease, prepared, deadline))
            finally:
                self._mean_job.add(time.monotonic() - started_at)
        finally:
            self._release_slot()

    async def _wait_for_slot(self, job: ChatJob, deadline: float) -> None:
        if self._free_count:
            self._free_count -= 1
            return
        key_id = job.key_id
        loop = asyncio.get_running_loop()
        self._admit(key_id, loop.time())
        waiter = _Waiter(loop.create_future(), loop.time())
        self._queue.push(key_id, waiter)
        try:
            with self._pool.expect(job):
                async with asyncio.timeout_at(min(deadline, loop.time() + self._settings.timeout_seconds)):
                    await waiter.granted
        except BaseException as error:
            if not self._queue.remove(key_id, waiter) and _is_granted(waiter.granted):
                self._release_slot()  # the job got its slot at the same time as its wait ended
            if isinstance(error, TimeoutError) and loop.time() >= deadline:
                raise WorkerError(ErrorKind.TIMEOUT, "The request took too long; it was still waiting.") from None
            if isinstance(error, TimeoutError):
                raise WorkerError(
                    ErrorKind.QUEUE_TIMEOUT,
                    "The request waited too long for a free worker.",
                    retry_after=self._assign_retry_after(loop.time()),
                    limit=Limit.QUEUE_TIMEOUT,
                ) from None
            raise

    def _admit(self, key_id: str, now: float) -> None:
        """Admit a job to the queue, or raise an error.

        While several API keys send jobs, each key may use only a part of the queue. The queue may still become full.
        Then the key with the most waiting jobs loses its newest job to a key with fewer jobs, unless the newest job has
        waited too long to be evicted.

        Raises:
            WorkerError: QUEUE_FULL if the job is not admitted. An evicted job gets the same error.
        """
        wait = self._estimate_wait_seconds()
        has_competitors = self._active_keys.touch(key_id, now, now + wait + _RETRY_GRACE_SECONDS)
        free_positions = self._settings.max_waiting_jobs - len(self._queue)
        fair_share = _FAIR_SHARE_FACTOR * free_positions
        if free_positions > 0 and not (has_competitors and self._queue.count(key_id) >= fair_share):
            return
        queue_full = WorkerError(
            ErrorKind.QUEUE_FULL,
            "Too many requests are waiting.",
            retry_after=self._assign_retry_after(now),
            limit=Limit.QUEUED_JOBS,
        )
        evictable_since = now - self._settings.evictable_seconds
        evicted = (
            self._queue.evict_newest(key_id, lambda waiter: waiter.queued_at > evictable_since)
            if free_positions <= 0
            else None
        )
        if evicted is None:
            raise queue_full
        if not evicted.granted.done():
            evicted.granted.set_exception(queue_full)

    def _release_slot(self) -> None:
        """Give the slot to the next waiting job.

        A slot is never free while a job waits, so no new job can start before a waiting job.
        """
        while self._queue:
            granted = self._queue.pop().granted
            if not granted.done():
                granted.set_result(None)
                return
        self._free_count += 1

    def _assign_retry_after(self, now: float) -> float:
        """Return the seconds after which a rejected client should retry.

        The wait is longer if other rejected clients have not retried yet, so that not all of them retry at the same
        time.
        """
        wait = self._estimate_wait_seconds(len(self._retry_times.list_pending(now)))
        self._retry_times.add(now + wait)
        return wait

    def _estimate_wait_seconds(self, extra_count: int = 0) -> float:
        """Estimate the wait of a job that arrives now, in seconds, from the duration of recent jobs."""
        jobs_ahead = len(self._queue) + 1 + extra_count
        return round_wait_seconds(jobs_ahead * self._mean_job.seconds / self._slot_count)


def _is_granted(future: asyncio.Future[None]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None
