"""Jobs that wait for the budget of their key."""

import asyncio
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from claude_gateway.auth.models import NO_BUDGET, Budget
from claude_gateway.core.errors import ApiError
from claude_gateway.usage.budget import Spend
from claude_gateway.usage.budget_queue import BudgetQueue
from tests.workers.helpers import far_deadline, with_timeout
from workers.core.errors import ErrorKind, WorkerError

BUDGET = Budget(tokens_per_day=10)
JOB_SPEND = Spend(6)


@dataclass
class SpendByKey:
    """The spend of each key."""

    sums: defaultdict[str, Spend] = field(default_factory=lambda: defaultdict(Spend))

    def __call__(self, key_id: str) -> Spend:
        return self.sums[key_id]


class EndableJob:
    """A job that runs until the test ends it."""

    def __init__(self, queue: BudgetQueue, key_id: str = "ann", budget: Budget = BUDGET) -> None:
        self.is_running = asyncio.Event()
        self.end = asyncio.Event()
        self.task = asyncio.create_task(self._run(queue, key_id, budget))

    async def _run(self, queue: BudgetQueue, key_id: str, budget: Budget) -> None:
        with queue.reservation(key_id) as reservation:
            await reservation.reserve(budget, JOB_SPEND, far_deadline())
            self.is_running.set()
            await self.end.wait()


async def settle() -> None:
    """Let every task run as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


def create_queue(spend: SpendByKey | None = None, limit: int = 9, timeout: float = 10.0) -> BudgetQueue:
    return BudgetQueue(spend or SpendByKey(), lambda: 0.0, limit, timeout)


async def test_jobs_run_concurrently_within_the_budget_and_then_in_order() -> None:
    queue = create_queue()
    jobs = [EndableJob(queue) for _ in range(4)]
    await settle()
    assert [job.is_running.is_set() for job in jobs] == [True, True, False, False]

    jobs[1].end.set()
    await settle()
    assert [job.is_running.is_set() for job in jobs] == [True, True, True, False]

    for job in jobs:
        job.end.set()
    await with_timeout(asyncio.gather(*(job.task for job in jobs)))
    assert queue.waiting_count == 0


async def test_waiting_jobs_are_rejected_when_the_budget_is_spent() -> None:
    spend = SpendByKey()
    queue = create_queue(spend)
    jobs = [EndableJob(queue) for _ in range(5)]
    await settle()

    spend.sums["ann"] = Spend(10)
    jobs[0].end.set()
    results = await with_timeout(asyncio.gather(*(job.task for job in jobs[2:]), return_exceptions=True))

    assert [getattr(result, "code", None) for result in results] == ["budget_exceeded"] * 3
    jobs[1].end.set()
    await with_timeout(asyncio.gather(jobs[0].task, jobs[1].task))


async def test_waits_only_for_jobs_of_the_same_key_and_only_with_a_budget() -> None:
    queue = create_queue()
    jobs = [
        EndableJob(queue),
        EndableJob(queue),
        EndableJob(queue),
        EndableJob(queue, "bob"),
        *(EndableJob(queue, "free", NO_BUDGET) for _ in range(9)),
    ]
    await settle()

    assert [job.is_running.is_set() for job in jobs] == [True, True, False, *[True] * 10]
    for job in jobs:
        job.end.set()
    await with_timeout(asyncio.gather(*(job.task for job in jobs)))


async def test_cancelled_waiter_does_not_block_others() -> None:
    queue = create_queue()
    jobs = [EndableJob(queue) for _ in range(4)]
    await settle()

    jobs[2].task.cancel()
    jobs[0].end.set()
    await settle()

    assert jobs[3].is_running.is_set()
    for job in jobs:
        job.end.set()
    with suppress(asyncio.CancelledError):
        await with_timeout(asyncio.gather(*(job.task for job in jobs)))


async def test_limits_count_and_time_of_waiting_jobs() -> None:
    queue = create_queue(limit=1, timeout=0.0)
    running = [EndableJob(queue), EndableJob(queue)]
    await settle()

    waiting, rejected = EndableJob(queue), EndableJob(queue)
    results = await with_timeout(asyncio.gather(waiting.task, rejected.task, return_exceptions=True))

    assert [getattr(result, "kind", None) for result in results] == [ErrorKind.QUEUE_TIMEOUT, ErrorKind.QUEUE_FULL]
    for job in running:
        job.end.set()
    await with_timeout(asyncio.gather(*(job.task for job in running)))


async def test_shutdown_rejects_waiting_jobs() -> None:
    queue = create_queue()
    jobs = [EndableJob(queue) for _ in range(4)]
    await settle()

    queue.reject_waiters(3.0)

    for job in jobs[2:]:
        with pytest.raises(WorkerError) as raised:
            await with_timeout(job.task)
        assert (raised.value.kind, raised.value.retry_after) == (ErrorKind.SHUTTING_DOWN, 3.0)
    for job in jobs[:2]:
        job.end.set()
    await with_timeout(asyncio.gather(jobs[0].task, jobs[1].task))


async def test_spent_budget_is_rejected_immediately() -> None:
    spend = SpendByKey()
    spend.sums["ann"] = Spend(10)

    with pytest.raises(ApiError) as raised:
        await with_timeout(EndableJob(create_queue(spend)).task)
    assert (raised.value.status, raised.value.code) == (429, "budget_exceeded")
