"""Jobs of a key with a budget are let in as far as the budget reaches; the others wait until those have ended.

A job reserves what it is expected to spend. The next one is let in while what is spent and what is reserved together
are less than the budget, so the jobs of a key with plenty never wait for each other, and at the end of a budget they
run one after another. What is really spent replaces the reservation when the job has ended.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from claude_gateway.access.keys import NO_BUDGET, Budget
from claude_gateway.ledger.budget import Reservations, Spent, has_room, require
from workers.errors import ErrorKind, WorkerError, stopping

_RETRY_SECONDS = 5.0


class BudgetTicket:
    """The reservation of one job, from its arrival to its end."""

    def __init__(self, queue: "BudgetQueue", owner: str) -> None:
        self._queue = queue
        self._owner = owner
        self._reserved: Spent | None = None

    async def reserve(self, budget: Budget, expected: Spent, deadline: float) -> None:
        """Wait until the budget has room for the job, and reserve what it is expected to spend. `deadline` is in the
        loop's clock.

        Raises `ApiError` 429 where the budget is spent; `WorkerError` QUEUE_FULL, QUEUE_TIMEOUT, TIMEOUT, STOPPING.
        """
        if budget != NO_BUDGET:
            await self._queue.wait_for_room(self._owner, budget, deadline)
            self._reserved = expected
            self._queue.reservations.add(self._owner, expected)

    def release(self) -> None:
        """The job has ended, and what it spent is known."""
        if self._reserved is not None:
            self._queue.reservations.remove(self._owner, self._reserved)
            self._reserved = None
        self._queue.wake(self._owner)


class BudgetQueue:
    """First come, first served within a key. `spent_of` says what a key has spent today, `now` is in seconds of the
    epoch; at most `limit` jobs of a key wait, each for at most `timeout` seconds."""

    def __init__(
        self, spent_of: Callable[[str], Spent], now: Callable[[], float], limit: int = 100, timeout: float = 60.0
    ) -> None:
        self.reservations = Reservations()
        self._spent_of = spent_of
        self._now = now
        self._limit = limit
        self._timeout = timeout
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._retry_after: float | None = None

    @property
    def waiting(self) -> int:
        return sum(map(len, self._waiting.values()))

    @contextmanager
    def ticket(self, owner: str) -> Iterator[BudgetTicket]:
        """For the length of a job."""
        ticket = BudgetTicket(self, owner)
        try:
            yield ticket
        finally:
            ticket.release()

    def refuse_waiting(self, retry_after: float) -> None:
        """The gateway stops: what waits will not be begun."""
        self._retry_after = retry_after
        for owner in list(self._waiting):
            self.wake(owner)

    async def wait_for_room(self, owner: str, budget: Budget, deadline: float) -> None:
        """Raises as `BudgetTicket.reserve` does."""
        if not self._waiting.get(owner) and self._has_room(owner, budget):
            return
        loop = asyncio.get_running_loop()
        line = self._waiting.setdefault(owner, deque())
        if len(line) >= self._limit:
            raise WorkerError(
                ErrorKind.QUEUE_FULL,
                "Too many requests of this key wait for others of it, which may use up its budget (QUEUE_LIMIT).",
                retry_after=_RETRY_SECONDS,
            )
        woken = loop.create_future()
        line.append(woken)
        try:
            async with asyncio.timeout_at(min(deadline, loop.time() + self._timeout)):
                await woken
                while not self._has_room(owner, budget):
                    woken = line[0] = loop.create_future()
                    await woken
        except TimeoutError:
            if loop.time() >= deadline:
                raise WorkerError(ErrorKind.TIMEOUT, "The request took too long; it was still waiting.") from None
            raise WorkerError(
                ErrorKind.QUEUE_TIMEOUT,
                "The request waited too long for others of this key, which may use up its budget "
                "(QUEUE_TIMEOUT_SECONDS).",
                retry_after=_RETRY_SECONDS,
            ) from None
        finally:
            line.remove(woken)
            if not line:
                del self._waiting[owner]
            # The next one looks for itself, behind whatever this one reserves before it waits again.
            loop.call_soon(self.wake, owner)

    def wake(self, owner: str) -> None:
        """Have the first that waits look again."""
        line = self._waiting.get(owner)
        if line and not line[0].done():
            line[0].set_result(None)

    def _has_room(self, owner: str, budget: Budget) -> bool:
        """Raises `ApiError` 429 where the budget is spent, `WorkerError` STOPPING."""
        if self._retry_after is not None:
            raise stopping(self._retry_after)
        spent = self._spent_of(owner)
        require(budget, spent, self._now())
        return has_room(budget, spent + self.reservations.of(owner))
