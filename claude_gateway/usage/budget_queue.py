"""Queue for the jobs of a key that has almost spent its daily budget.

When a job starts, the gateway reserves the estimated spending of the job. It starts the next job of the same key only
if the sum of the spent and the reserved amounts is less than the budget of the key. So the jobs of a key with plenty of
budget never wait for each other. Near the end of the budget, the jobs run one after another. When a job ends, the
gateway releases the reserved amount and counts the actual spending instead.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from claude_gateway.auth.models import NO_BUDGET, Budget
from claude_gateway.usage.budget import ReservedSpend, Spend, check_budget, is_within_budget
from workers.core.errors import ErrorKind, WorkerError, shutting_down

_RETRY_AFTER_SECONDS = 5.0


class BudgetReservation:
    """Reserves a part of a key's daily budget for one job, and releases it when the job has ended."""

    def __init__(self, queue: "BudgetQueue", key_id: str) -> None:
        self._queue = queue
        self._key_id = key_id
        self._reserved: Spend | None = None

    async def reserve(self, budget: Budget, spend: Spend, deadline: float) -> None:
        """Wait until the budget of the key allows another job, then reserve the estimated spending of the job.

        Args:
            budget: Daily budget of the key.
            spend: Estimated spending of the job.
            deadline: Time at which the request times out, on the clock of the event loop.

        Raises:
            ApiError: The key has spent its budget of today (status 429).
            WorkerError: QUEUE_FULL if too many jobs of the key wait, QUEUE_TIMEOUT or TIMEOUT if the job has waited too
                long, SHUTTING_DOWN if the gateway is shutting down.
        """
        if budget != NO_BUDGET:
            await self._queue.wait_for_budget(self._key_id, budget, deadline)
            self._reserved = spend
            self._queue.reserved_spend.add(self._key_id, spend)

    def release(self) -> None:
        """Release the budget reserved for the job, once the job has ended and its actual spending is known."""
        if self._reserved is not None:
            self._queue.reserved_spend.remove(self._key_id, self._reserved)
            self._reserved = None
        self._queue.wake_first_waiter(self._key_id)


class BudgetQueue:
    """Queue in which a job waits as long as the running jobs of the same key may use up the key's daily budget.

    The jobs of one key start in the order of their arrival.

    Args:
        get_spend: Function that returns what a key has spent today.
        now: Function that returns the current time, in seconds since the epoch.
        max_waiting: Maximum count of jobs of one key that wait at the same time.
        timeout_seconds: Maximum time for which a job waits.
    """

    def __init__(
        self,
        get_spend: Callable[[str], Spend],
        now: Callable[[], float],
        max_waiting: int = 100,
        timeout_seconds: float = 60.0,
    ) -> None:
        self.reserved_spend = ReservedSpend()
        self._get_spend = get_spend
        self._now = now
        self._max_waiting = max_waiting
        self._timeout_seconds = timeout_seconds
        self._waiters: dict[str, deque[asyncio.Future[None]]] = {}
        self._retry_after: float | None = None

    @property
    def waiting_count(self) -> int:
        """Count of the waiting jobs of all keys together."""
        return sum(map(len, self._waiters.values()))

    @contextmanager
    def reservation(self, key_id: str) -> Iterator[BudgetReservation]:
        """Yield a `BudgetReservation` for one job, and release the reserved budget at the end of the `with` block."""
        reservation = BudgetReservation(self, key_id)
        try:
            yield reservation
        finally:
            reservation.release()

    def reject_waiters(self, retry_after: float) -> None:
        """Reject all waiting jobs and all jobs that arrive later, because the gateway is shutting down."""
        self._retry_after = retry_after
        for key_id in list(self._waiters):
            self.wake_first_waiter(key_id)

    async def wait_for_budget(self, key_id: str, budget: Budget, deadline: float) -> None:
        """Wait until the budget of the key allows one more job. Raises the errors of `BudgetReservation.reserve`."""
        if not self._waiters.get(key_id) and self._can_start(key_id, budget):
            return
        loop = asyncio.get_running_loop()
        waiters = self._waiters.setdefault(key_id, deque())
        if len(waiters) >= self._max_waiting:
            raise WorkerError(
                ErrorKind.QUEUE_FULL,
                "Too many requests of this key wait for its running requests, which may use up its budget "
                "(MAX_QUEUED_JOBS).",
                retry_after=_RETRY_AFTER_SECONDS,
            )
        waiter = loop.create_future()
        waiters.append(waiter)
        try:
            async with asyncio.timeout_at(min(deadline, loop.time() + self._timeout_seconds)):
                await waiter
                while not self._can_start(key_id, budget):
                    waiter = waiters[0] = loop.create_future()
                    await waiter
        except TimeoutError:
            if loop.time() >= deadline:
                raise WorkerError(ErrorKind.TIMEOUT, "The request took too long; it was still waiting.") from None
            raise WorkerError(
                ErrorKind.QUEUE_TIMEOUT,
                "The request waited too long for running requests of this key, which may use up its budget "
                "(QUEUE_TIMEOUT_SECONDS).",
                retry_after=_RETRY_AFTER_SECONDS,
            ) from None
        finally:
            waiters.remove(waiter)
            if not waiters:
                del self._waiters[key_id]
            # Wake the next waiting job only after this job has reserved its estimated spending, so that the next job's
            # budget check includes the reserved amount.
            loop.call_soon(self.wake_first_waiter, key_id)

    def wake_first_waiter(self, key_id: str) -> None:
        """Wake the first waiting job of a key, so that it checks the budget again."""
        waiters = self._waiters.get(key_id)
        if waiters and not waiters[0].done():
            waiters[0].set_result(None)

    def _can_start(self, key_id: str, budget: Budget) -> bool:
        """Return whether the sum of a key's spent and reserved amounts is less than the daily budget of the key.

        Raises:
            ApiError: The key has spent its budget of today (status 429).
            WorkerError: SHUTTING_DOWN if the gateway is shutting down.
        """
        if self._retry_after is not None:
            raise shutting_down(self._retry_after)
        spent = self._get_spend(key_id)
        check_budget(budget, spent, self._now())
        return is_within_budget(budget, spent + self.reserved_spend.total(key_id))
