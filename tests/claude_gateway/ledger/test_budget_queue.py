"""Who waits for the budget of a key, and for how long."""

import asyncio
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from claude_gateway.access.keys import NO_BUDGET, Budget
from claude_gateway.errors import ApiError
from claude_gateway.ledger.budget import Spent
from claude_gateway.ledger.budget_queue import BudgetQueue
from tests.workers.helpers import later, soon
from workers.errors import ErrorKind, WorkerError

BUDGET = Budget(tokens=10)
JOB = Spent(6)


@dataclass
class Ledger:
    """What each key has spent."""

    sums: defaultdict[str, Spent] = field(default_factory=lambda: defaultdict(Spent))

    def __call__(self, owner: str) -> Spent:
        return self.sums[owner]


class Job:
    """One that runs until it is told to end."""

    def __init__(self, queue: BudgetQueue, owner: str = "ann", budget: Budget = BUDGET) -> None:
        self.runs = asyncio.Event()
        self.end = asyncio.Event()
        self.task = asyncio.create_task(self._live(queue, owner, budget))

    async def _live(self, queue: BudgetQueue, owner: str, budget: Budget) -> None:
        with queue.ticket(owner) as ticket:
            await ticket.reserve(budget, JOB, later())
            self.runs.set()
            await self.end.wait()


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


def a_queue(ledger: Ledger | None = None, limit: int = 9, timeout: float = 10.0) -> BudgetQueue:
    return BudgetQueue(ledger or Ledger(), lambda: 0.0, limit, timeout)


async def test_jobs_run_together_as_far_as_the_budget_reaches_and_then_in_their_order() -> None:
    queue = a_queue()
    jobs = [Job(queue) for _ in range(4)]
    await settle()
    assert [job.runs.is_set() for job in jobs] == [True, True, False, False]

    jobs[1].end.set()
    await settle()
    assert [job.runs.is_set() for job in jobs] == [True, True, True, False]

    for job in jobs:
        job.end.set()
    await soon(asyncio.gather(*(job.task for job in jobs)))
    assert queue.waiting == 0


async def test_those_that_wait_are_refused_when_the_budget_is_spent() -> None:
    ledger = Ledger()
    queue = a_queue(ledger)
    jobs = [Job(queue) for _ in range(5)]
    await settle()

    ledger.sums["ann"] = Spent(10)
    jobs[0].end.set()
    results = await soon(asyncio.gather(*(job.task for job in jobs[2:]), return_exceptions=True))

    assert [getattr(one, "code", None) for one in results] == ["budget_spent"] * 3
    jobs[1].end.set()
    await soon(asyncio.gather(jobs[0].task, jobs[1].task))


async def test_a_key_waits_for_no_other_and_one_without_a_budget_for_nobody() -> None:
    queue = a_queue()
    jobs = [Job(queue), Job(queue), Job(queue), Job(queue, "bob"), *(Job(queue, "free", NO_BUDGET) for _ in range(9))]
    await settle()

    assert [job.runs.is_set() for job in jobs] == [True, True, False, *[True] * 10]
    for job in jobs:
        job.end.set()
    await soon(asyncio.gather(*(job.task for job in jobs)))


async def test_one_that_leaves_while_it_waits_holds_up_nobody() -> None:
    queue = a_queue()
    jobs = [Job(queue) for _ in range(4)]
    await settle()

    jobs[2].task.cancel()
    jobs[0].end.set()
    await settle()

    assert jobs[3].runs.is_set()
    for job in jobs:
        job.end.set()
    with suppress(asyncio.CancelledError):
        await soon(asyncio.gather(*(job.task for job in jobs)))


async def test_so_many_wait_and_so_long() -> None:
    queue = a_queue(limit=1, timeout=0.0)
    running = [Job(queue), Job(queue)]
    await settle()

    waiting, refused = Job(queue), Job(queue)
    results = await soon(asyncio.gather(waiting.task, refused.task, return_exceptions=True))

    assert [getattr(one, "kind", None) for one in results] == [ErrorKind.QUEUE_TIMEOUT, ErrorKind.QUEUE_FULL]
    for job in running:
        job.end.set()
    await soon(asyncio.gather(*(job.task for job in running)))


async def test_a_gateway_that_stops_refuses_those_that_wait() -> None:
    queue = a_queue()
    jobs = [Job(queue) for _ in range(4)]
    await settle()

    queue.refuse_waiting(3.0)

    for job in jobs[2:]:
        with pytest.raises(WorkerError) as raised:
            await soon(job.task)
        assert (raised.value.kind, raised.value.retry_after) == (ErrorKind.STOPPING, 3.0)
    for job in jobs[:2]:
        job.end.set()
    await soon(asyncio.gather(jobs[0].task, jobs[1].task))


async def test_a_spent_budget_is_told_at_once() -> None:
    ledger = Ledger()
    ledger.sums["ann"] = Spent(10)

    with pytest.raises(ApiError) as raised:
        await soon(Job(a_queue(ledger)).task)
    assert (raised.value.status, raised.value.code) == (429, "budget_spent")
