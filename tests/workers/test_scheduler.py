import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workers.helpers import a_job, allowed, later, soon, until
from workers.errors import ErrorKind, WorkerError
from workers.job import ChatJob
from workers.scheduler import Scheduler
from workers.settings import QueueSettings


class OpenPool:
    """In the pool's place: a worker for whoever asks. Notes who asked, and how many at a time."""

    def __init__(self, failure: WorkerError | None = None) -> None:
        self.served: list[str] = []
        self.busy = 0
        self.most_busy = 0
        self._failure = failure

    @asynccontextmanager
    async def lease(self, job: ChatJob, deadline: float) -> AsyncIterator[str]:
        if self._failure:
            raise self._failure
        self.served.append(job.owner)
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        try:
            yield "a worker"
        finally:
            self.busy -= 1


def a_scheduler(
    slots: int = 1,
    limit: int = 100,
    timeout: float = 10,
    pool: OpenPool | None = None,
    refusable: float = 3600,
) -> tuple[Scheduler, OpenPool]:
    pool = pool or OpenPool()
    return Scheduler(pool, slots, QueueSettings(limit, timeout, refusable)), pool  # type: ignore[arg-type]


async def serve(scheduler: Scheduler, owner: str, *, until_set: asyncio.Event | None = None) -> None:
    async with scheduler.worker(a_job(owner=owner), later(), allowed):
        if until_set:
            await until_set.wait()


async def queued(scheduler: Scheduler, *owners: str) -> list[asyncio.Task[None]]:
    """One job of each owner, waiting in this order."""
    tasks = []
    for owner in owners:
        before = scheduler.waiting
        tasks.append(asyncio.create_task(serve(scheduler, owner)))
        await until(lambda before=before: scheduler.waiting > before)  # type: ignore[misc]
    return tasks


async def failure_of(scheduler: Scheduler, deadline: float | None = None, owner: str = "ann") -> WorkerError:
    with pytest.raises(WorkerError) as caught:
        async with scheduler.worker(a_job(owner=owner), later() if deadline is None else deadline, allowed):
            pass
    return caught.value


async def test_a_free_slot_is_given_at_once() -> None:
    scheduler, _ = a_scheduler()
    async with scheduler.worker(a_job(), later(), allowed) as worker:
        assert worker == "a worker"
        assert (scheduler.running, scheduler.waiting) == (1, 0)
    assert scheduler.running == 0


@pytest.mark.promise("queue.fair")
async def test_a_key_with_many_jobs_delays_another_key_by_one_job() -> None:
    scheduler, pool = a_scheduler()
    async with scheduler.worker(a_job(owner="ann"), later(), allowed):
        tasks = await queued(scheduler, "ann", "ann", "ann", "bob")
    await soon(asyncio.gather(*tasks))
    assert pool.served == ["ann", "ann", "bob", "ann", "ann"]


async def test_never_more_jobs_run_than_there_are_slots() -> None:
    scheduler, pool = a_scheduler(slots=2)
    gate = asyncio.Event()
    tasks = [asyncio.create_task(serve(scheduler, "ann", until_set=gate)) for _ in range(6)]
    await until(lambda: scheduler.waiting == 4)
    assert scheduler.running == 2
    gate.set()
    await soon(asyncio.gather(*tasks))
    assert (pool.most_busy, len(pool.served), scheduler.running) == (2, 6, 0)


async def test_nobody_overtakes_who_waits() -> None:
    scheduler, pool = a_scheduler()
    async with scheduler.worker(a_job(owner="first"), later(), allowed):
        [waiting] = await queued(scheduler, "waiting")
    await asyncio.gather(waiting, serve(scheduler, "newcomer"))
    assert pool.served == ["first", "waiting", "newcomer"]


async def test_the_slot_is_held_until_the_worker_is_given_back() -> None:
    scheduler, pool = a_scheduler()
    async with scheduler.worker(a_job(owner="ann"), later(), allowed):
        [waiting] = await queued(scheduler, "bob")
        assert pool.served == ["ann"]
    await soon(waiting)
    assert pool.most_busy == 1


@pytest.mark.promise("queue.full")
async def test_a_full_queue_refuses_at_once_and_tells_when_to_come_back() -> None:
    scheduler, _ = a_scheduler(slots=2, limit=4)
    gate = asyncio.Event()
    tasks = [asyncio.create_task(serve(scheduler, "ann", until_set=gate)) for _ in range(6)]
    await until(lambda: scheduler.waiting == 4)
    failure = await failure_of(scheduler)
    assert failure.kind is ErrorKind.QUEUE_FULL
    # A job is taken for a second long before one was seen: five of them on two slots.
    assert failure.retry_after == math.ceil(5 / 2)
    # The next ones that are refused come behind it, not all at once.
    assert [(await failure_of(scheduler)).retry_after for _ in range(4)] == [3, 4, 4, 5]
    gate.set()
    await soon(asyncio.gather(*tasks))


async def test_a_queue_full_of_one_key_s_jobs_has_room_for_another_key() -> None:
    scheduler, _ = a_scheduler(slots=1, limit=3)
    gate = asyncio.Event()
    ann = [asyncio.create_task(serve(scheduler, "ann", until_set=gate)) for _ in range(4)]
    await until(lambda: scheduler.waiting == 3)
    bob = asyncio.create_task(serve(scheduler, "bob", until_set=gate))
    (crowded_out,), _ = await asyncio.wait(ann, return_when=asyncio.FIRST_COMPLETED)
    assert crowded_out is ann[-1]
    failure = crowded_out.exception()
    assert isinstance(failure, WorkerError)
    assert failure.kind is ErrorKind.QUEUE_FULL
    assert failure.retry_after
    assert scheduler.waiting == 3
    gate.set()
    await soon(asyncio.gather(*ann[:-1], bob))


async def test_who_has_waited_so_long_that_his_answer_has_begun_gives_way_to_nobody() -> None:
    scheduler, _ = a_scheduler(slots=1, limit=3, refusable=0)
    gate = asyncio.Event()
    ann = [asyncio.create_task(serve(scheduler, "ann", until_set=gate)) for _ in range(4)]
    await until(lambda: scheduler.waiting == 3)
    failure = await failure_of(scheduler)
    assert failure.kind is ErrorKind.QUEUE_FULL
    gate.set()
    await soon(asyncio.gather(*ann))


async def test_a_key_that_was_turned_away_finds_a_place_when_it_comes_back_whatever_the_other_sent_meanwhile() -> None:
    scheduler, pool = a_scheduler(slots=1, limit=10, refusable=0)
    gates = [asyncio.Event() for _ in range(12)]
    ann = [asyncio.create_task(serve(scheduler, "ann", until_set=gate)) for gate in gates[:11]]
    await until(lambda: scheduler.waiting == 10)
    assert (await failure_of(scheduler, owner="bob")).kind is ErrorKind.QUEUE_FULL

    for gate in gates[:2]:
        gate.set()
    await until(lambda: scheduler.waiting == 8)
    assert (await failure_of(scheduler, owner="ann")).kind is ErrorKind.QUEUE_FULL
    bob = asyncio.create_task(serve(scheduler, "bob"))
    await until(lambda: scheduler.waiting == 9)
    for gate in gates:
        gate.set()
    await soon(asyncio.gather(*ann, bob))

    assert pool.served.index("bob") == 4


async def test_a_key_alone_has_the_whole_queue() -> None:
    scheduler, _ = a_scheduler(slots=1, limit=10)
    gate = asyncio.Event()
    tasks = [asyncio.create_task(serve(scheduler, "ann", until_set=gate)) for _ in range(11)]
    await until(lambda: scheduler.waiting == 10)
    gate.set()
    await soon(asyncio.gather(*tasks))


async def test_without_a_queue_a_free_slot_is_still_given() -> None:
    scheduler, _ = a_scheduler(limit=0)
    async with scheduler.worker(a_job(), later(), allowed):
        failure = await failure_of(scheduler)
        assert failure.kind is ErrorKind.QUEUE_FULL
        assert failure.retry_after == 1
    await serve(scheduler, "ann")


@pytest.mark.promise("queue.late")
async def test_a_job_that_waited_too_long_is_told_when_to_come_back_and_leaves_the_queue() -> None:
    scheduler, _ = a_scheduler(timeout=0)
    async with scheduler.worker(a_job(), later(), allowed):
        failure = await failure_of(scheduler)
        assert failure.kind is ErrorKind.QUEUE_TIMEOUT
        assert failure.retry_after is not None
        assert failure.retry_after >= 1
        assert scheduler.waiting == 0


async def test_a_job_does_not_wait_past_its_own_deadline() -> None:
    scheduler, _ = a_scheduler(timeout=1e6)
    async with scheduler.worker(a_job(), later(), allowed):
        failure = await soon(failure_of(scheduler, asyncio.get_running_loop().time()))
        assert failure.kind is ErrorKind.TIMEOUT


async def test_a_caller_who_leaves_the_queue_is_passed_over() -> None:
    scheduler, pool = a_scheduler()
    async with scheduler.worker(a_job(owner="ann"), later(), allowed):
        left, stays = await queued(scheduler, "bob", "eve")
        left.cancel()
        await asyncio.wait({left})
        assert scheduler.waiting == 1
    await soon(stays)
    assert pool.served == ["ann", "eve"]
    assert scheduler.running == 0


async def test_a_caller_who_leaves_the_moment_his_slot_comes_hands_it_on() -> None:
    scheduler, pool = a_scheduler()
    async with scheduler.worker(a_job(owner="ann"), later(), allowed):
        left, stays = await queued(scheduler, "bob", "eve")
    left.cancel()  # the slot is his already, but he has not run since
    await asyncio.wait({left})
    assert left.cancelled()
    await soon(stays)
    assert pool.served == ["ann", "eve"]
    assert scheduler.running == 0


async def test_a_caller_who_leaves_just_before_the_slot_is_free_does_not_take_it_along() -> None:
    scheduler, pool = a_scheduler()
    async with scheduler.worker(a_job(owner="ann"), later(), allowed):
        left, stays = await queued(scheduler, "bob", "eve")
        left.cancel()  # he has not run since, so he is in the queue still
    await soon(stays)
    assert pool.served == ["ann", "eve"]
    assert scheduler.running == 0


async def test_a_caller_who_leaves_while_he_is_served_frees_the_slot() -> None:
    scheduler, pool = a_scheduler()
    running = asyncio.create_task(serve(scheduler, "ann", until_set=asyncio.Event()))
    await until(lambda: pool.busy == 1)
    running.cancel()
    await asyncio.wait({running})
    assert (scheduler.running, pool.busy) == (0, 0)


async def test_a_pool_that_fails_frees_the_slot() -> None:
    failure = WorkerError(ErrorKind.START_FAILED, "no")
    scheduler, _ = a_scheduler(pool=OpenPool(failure))
    assert await failure_of(scheduler) is failure
    assert scheduler.running == 0


async def test_a_job_that_needs_another_worker_keeps_its_slot() -> None:
    scheduler, pool = a_scheduler()
    async with scheduler.slot(a_job(owner="ann"), later(), allowed) as lease:
        waiting = asyncio.create_task(serve(scheduler, "ben"))
        await until(lambda: scheduler.waiting == 1)
        for _ in range(2):
            async with lease():
                assert pool.busy == 1
        assert pool.served == ["ann", "ann"]
    await soon(waiting)
    assert pool.served == ["ann", "ann", "ben"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=8), st.integers(1, 3))
def test_whoever_leaves_and_whenever_every_slot_comes_back(callers: list[tuple[str, bool]], slots: int) -> None:
    async def scenario() -> None:
        scheduler, pool = a_scheduler(slots=slots)
        gate = asyncio.Event()
        tasks = [(asyncio.create_task(serve(scheduler, key, until_set=gate)), leaves) for key, leaves in callers]
        await until(lambda: scheduler.waiting + scheduler.running == len(callers))
        gate.set()
        for task, leaves in tasks:
            if leaves:
                task.cancel()
                await asyncio.sleep(0)
        await soon(asyncio.gather(*(task for task, _ in tasks), return_exceptions=True))
        assert (scheduler.running, scheduler.waiting, pool.busy) == (0, 0, 0)
        assert pool.most_busy <= slots

    asyncio.run(scenario())


async def test_a_gateway_that_stops_refuses_what_waits_and_leaves_what_runs() -> None:
    scheduler, pool = a_scheduler()
    done = asyncio.Event()
    running = asyncio.create_task(serve(scheduler, "a", until_set=done))
    await until(lambda: scheduler.running == 1)
    waiting = await queued(scheduler, "a", "b")

    scheduler.refuse_waiting(7)

    for refused in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(refused, WorkerError)
        assert (refused.kind, refused.retry_after) == (ErrorKind.STOPPING, 7)
    done.set()
    await running
    assert pool.served == ["a"]
    assert (scheduler.running, scheduler.waiting) == (0, 0)


async def test_a_job_that_may_not_begin_any_more_touches_no_worker_and_passes_its_slot_on() -> None:
    scheduler, pool = a_scheduler()
    held = asyncio.Event()
    running = asyncio.create_task(serve(scheduler, "ann", until_set=held))
    await until(lambda: pool.busy == 1)

    async def refuse() -> None:
        raise PermissionError

    async def barred() -> None:
        async with scheduler.worker(a_job(owner="bob"), later(), refuse):
            pass

    refused = asyncio.create_task(barred())
    await until(lambda: scheduler.waiting == 1)
    (after,) = await queued(scheduler, "eve")
    held.set()

    with pytest.raises(PermissionError):
        await soon(refused)
    await soon(asyncio.gather(running, after))
    assert pool.served == ["ann", "eve"]
    assert scheduler.running == 0
