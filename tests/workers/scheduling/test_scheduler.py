import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workers.helpers import acquire_worker, always_allow, far_deadline, make_job, wait_until, with_timeout
from workers.core.errors import ErrorKind, WorkerError
from workers.core.job import ChatJob
from workers.core.settings import QueueSettings
from workers.scheduling.scheduler import Scheduler


class UnboundedPool:
    """A pool that has a worker for every job, and that counts its leases.

    Attributes:
        served: The keys of the jobs, in the order of their leases.
        expected: The keys of the jobs that wait for a slot.
        busy: Number of present leases.
        most_busy: Highest number of leases at a time.
    """

    def __init__(self, failure: WorkerError | None = None) -> None:
        self.served: list[str] = []
        self.expected: list[str] = []
        self.busy = 0
        self.most_busy = 0
        self._failure = failure

    @contextmanager
    def expect(self, job: ChatJob) -> Iterator[None]:
        self.expected.append(job.key_id)
        yield
        self.expected.remove(job.key_id)

    @asynccontextmanager
    async def lease(self, job: ChatJob, deadline: float) -> AsyncIterator[str]:
        if self._failure:
            raise self._failure
        self.served.append(job.key_id)
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        try:
            yield "a worker"
        finally:
            self.busy -= 1


def make_scheduler(
    slots: int = 1,
    limit: int = 100,
    timeout: float = 10,
    pool: UnboundedPool | None = None,
    evictable_seconds: float = 3600,
) -> tuple[Scheduler, UnboundedPool]:
    pool = pool or UnboundedPool()
    return Scheduler(pool, lambda job: job, slots, QueueSettings(limit, timeout, evictable_seconds)), pool  # type: ignore[arg-type]


async def serve(scheduler: Scheduler, key_id: str, *, until_set: asyncio.Event | None = None) -> None:
    async with acquire_worker(scheduler, make_job(key_id=key_id), far_deadline(), always_allow):
        if until_set:
            await until_set.wait()


async def queue_jobs(scheduler: Scheduler, *key_ids: str) -> list[asyncio.Task[None]]:
    """Start one job of each key and wait until the jobs wait in this order."""
    tasks = []
    for key_id in key_ids:
        before = scheduler.waiting_count
        tasks.append(asyncio.create_task(serve(scheduler, key_id)))
        await wait_until(lambda before=before: scheduler.waiting_count > before)  # type: ignore[misc]
    return tasks


async def failure_of(scheduler: Scheduler, deadline: float | None = None, key_id: str = "ann") -> WorkerError:
    with pytest.raises(WorkerError) as caught:
        async with acquire_worker(
            scheduler, make_job(key_id=key_id), far_deadline() if deadline is None else deadline, always_allow
        ):
            pass
    return caught.value


async def test_job_gets_a_free_slot_at_once() -> None:
    scheduler, _ = make_scheduler()
    async with acquire_worker(scheduler, make_job(), far_deadline(), always_allow) as worker:
        assert worker == "a worker"
        assert (scheduler.running_count, scheduler.waiting_count) == (1, 0)
    assert scheduler.running_count == 0


@pytest.mark.promise("queue.fair")
async def test_key_with_many_jobs_delays_another_key_by_one_job() -> None:
    scheduler, pool = make_scheduler()
    async with acquire_worker(scheduler, make_job(key_id="ann"), far_deadline(), always_allow):
        tasks = await queue_jobs(scheduler, "ann", "ann", "ann", "bob")
    await with_timeout(asyncio.gather(*tasks))
    assert pool.served == ["ann", "ann", "bob", "ann", "ann"]


async def test_runs_at_most_as_many_jobs_as_there_are_slots() -> None:
    scheduler, pool = make_scheduler(slots=2)
    gate = asyncio.Event()
    tasks = [asyncio.create_task(serve(scheduler, "ann", until_set=gate)) for _ in range(6)]
    await wait_until(lambda: scheduler.waiting_count == 4)
    assert scheduler.running_count == 2
    gate.set()
    await with_timeout(asyncio.gather(*tasks))
    assert (pool.most_busy, len(pool.served), scheduler.running_count) == (2, 6, 0)


async def test_new_job_does_not_overtake_a_waiting_job() -> None:
    scheduler, pool = make_scheduler()
    async with acquire_worker(scheduler, make_job(key_id="first"), far_deadline(), always_allow):
        [waiting] = await queue_jobs(scheduler, "waiting")
    await asyncio.gather(waiting, serve(scheduler, "newcomer"))
    assert pool.served == ["first", "waiting", "newcomer"]


async def test_job_holds_its_slot_until_its_lease_ends() -> None:
    scheduler, pool = make_scheduler()
    async with acquire_worker(scheduler, make_job(key_id="ann"), far_deadline(), always_allow):
        [waiting] = await queue_jobs(scheduler, "bob")
        assert pool.served == ["ann"]
    await with_timeout(waiting)
    assert pool.most_busy == 1


@pytest.mark.promise("queue.full")
async def test_full_queue_rejects_a_job_at_once_with_a_retry_time() -> None:
    scheduler, _ = make_scheduler(slots=2, limit=4)
    gate = asyncio.Event()
    tasks = [asyncio.create_task(serve(scheduler, "ann", until_set=gate)) for _ in range(6)]
    await wait_until(lambda: scheduler.waiting_count == 4)
    failure = await failure_of(scheduler)
    assert failure.kind is ErrorKind.QUEUE_FULL
    # Before any job has ended, the scheduler assumes one second for a job: five of them in two slots.
    assert failure.retry_after == math.ceil(5 / 2)
    # The next clients that are rejected retry later than this one, not all at once.
    assert [(await failure_of(scheduler)).retry_after for _ in range(4)] == [3, 4, 4, 5]
    gate.set()
    await with_timeout(asyncio.gather(*tasks))


async def test_full_queue_of_one_key_evicts_its_newest_job_for_another_key() -> None:
    scheduler, _ = make_scheduler(slots=1, limit=3)
    gate = asyncio.Event()
    ann = [asyncio.create_task(serve(scheduler, "ann", until_set=gate)) for _ in range(4)]
    await wait_until(lambda: scheduler.waiting_count == 3)
    bob = asyncio.create_task(serve(scheduler, "bob", until_set=gate))
    (evicted,), _ = await asyncio.wait(ann, return_when=asyncio.FIRST_COMPLETED)
    assert evicted is ann[-1]
    failure = evicted.exception()
    assert isinstance(failure, WorkerError)
    assert failure.kind is ErrorKind.QUEUE_FULL
    assert failure.retry_after
    assert scheduler.waiting_count == 3
    gate.set()
    await with_timeout(asyncio.gather(*ann[:-1], bob))


async def test_does_not_evict_a_job_that_has_waited_longer_than_the_evictable_time() -> None:
    scheduler, _ = make_scheduler(slots=1, limit=3, evictable_seconds=0)
    gate = asyncio.Event()
    ann = [asyncio.create_task(serve(scheduler, "ann", until_set=gate)) for _ in range(4)]
    await wait_until(lambda: scheduler.waiting_count == 3)
    failure = await failure_of(scheduler)
    assert failure.kind is ErrorKind.QUEUE_FULL
    gate.set()
    await with_timeout(asyncio.gather(*ann))


async def test_rejected_key_is_admitted_when_it_retries_although_another_key_sent_more_jobs() -> None:
    scheduler, pool = make_scheduler(slots=1, limit=10, evictable_seconds=0)
    gates = [asyncio.Event() for _ in range(12)]
    ann = [asyncio.create_task(serve(scheduler, "ann", until_set=gate)) for gate in gates[:11]]
    await wait_until(lambda: scheduler.waiting_count == 10)
    assert (await failure_of(scheduler, key_id="bob")).kind is ErrorKind.QUEUE_FULL

    for gate in gates[:2]:
        gate.set()
    await wait_until(lambda: scheduler.waiting_count == 8)
    assert (await failure_of(scheduler, key_id="ann")).kind is ErrorKind.QUEUE_FULL
    bob = asyncio.create_task(serve(scheduler, "bob"))
    await wait_until(lambda: scheduler.waiting_count == 9)
    for gate in gates:
        gate.set()
    await with_timeout(asyncio.gather(*ann, bob))

    assert pool.served.index("bob") == 4


async def test_single_key_can_use_the_whole_queue() -> None:
    scheduler, _ = make_scheduler(slots=1, limit=10)
    gate = asyncio.Event()
    tasks = [asyncio.create_task(serve(scheduler, "ann", until_set=gate)) for _ in range(11)]
    await wait_until(lambda: scheduler.waiting_count == 10)
    gate.set()
    await with_timeout(asyncio.gather(*tasks))


async def test_job_gets_a_free_slot_although_the_queue_has_no_capacity() -> None:
    scheduler, _ = make_scheduler(limit=0)
    async with acquire_worker(scheduler, make_job(), far_deadline(), always_allow):
        failure = await failure_of(scheduler)
        assert failure.kind is ErrorKind.QUEUE_FULL
        assert failure.retry_after == 1
    await serve(scheduler, "ann")


@pytest.mark.promise("queue.late")
async def test_job_that_waited_too_long_leaves_the_queue_with_a_retry_time() -> None:
    scheduler, _ = make_scheduler(timeout=0)
    async with acquire_worker(scheduler, make_job(), far_deadline(), always_allow):
        failure = await failure_of(scheduler)
        assert failure.kind is ErrorKind.QUEUE_TIMEOUT
        assert failure.retry_after is not None
        assert failure.retry_after >= 1
        assert scheduler.waiting_count == 0


async def test_job_does_not_wait_past_its_deadline() -> None:
    scheduler, _ = make_scheduler(timeout=1e6)
    async with acquire_worker(scheduler, make_job(), far_deadline(), always_allow):
        failure = await with_timeout(failure_of(scheduler, asyncio.get_running_loop().time()))
        assert failure.kind is ErrorKind.TIMEOUT


async def test_skips_a_job_that_was_abandoned_in_the_queue() -> None:
    scheduler, pool = make_scheduler()
    async with acquire_worker(scheduler, make_job(key_id="ann"), far_deadline(), always_allow):
        abandoned, next_job = await queue_jobs(scheduler, "bob", "eve")
        abandoned.cancel()
        await asyncio.wait({abandoned})
        assert scheduler.waiting_count == 1
    await with_timeout(next_job)
    assert pool.served == ["ann", "eve"]
    assert scheduler.running_count == 0


async def test_job_abandoned_when_it_gets_its_slot_passes_the_slot_on() -> None:
    scheduler, pool = make_scheduler()
    async with acquire_worker(scheduler, make_job(key_id="ann"), far_deadline(), always_allow):
        abandoned, next_job = await queue_jobs(scheduler, "bob", "eve")
    abandoned.cancel()  # the job has its slot already, but its task has not run since
    await asyncio.wait({abandoned})
    assert abandoned.cancelled()
    await with_timeout(next_job)
    assert pool.served == ["ann", "eve"]
    assert scheduler.running_count == 0


async def test_job_abandoned_just_before_a_slot_is_free_does_not_get_the_slot() -> None:
    scheduler, pool = make_scheduler()
    async with acquire_worker(scheduler, make_job(key_id="ann"), far_deadline(), always_allow):
        abandoned, next_job = await queue_jobs(scheduler, "bob", "eve")
        abandoned.cancel()  # the task has not run since, so the job is still in the queue
    await with_timeout(next_job)
    assert pool.served == ["ann", "eve"]
    assert scheduler.running_count == 0


async def test_job_abandoned_while_it_runs_frees_its_slot() -> None:
    scheduler, pool = make_scheduler()
    running = asyncio.create_task(serve(scheduler, "ann", until_set=asyncio.Event()))
    await wait_until(lambda: pool.busy == 1)
    running.cancel()
    await asyncio.wait({running})
    assert (scheduler.running_count, pool.busy) == (0, 0)


async def test_failure_of_the_pool_frees_the_slot() -> None:
    failure = WorkerError(ErrorKind.START_FAILED, "no")
    scheduler, _ = make_scheduler(pool=UnboundedPool(failure))
    assert await failure_of(scheduler) is failure
    assert scheduler.running_count == 0


async def test_job_that_leases_another_worker_keeps_its_slot() -> None:
    scheduler, pool = make_scheduler()
    async with scheduler.acquire_slot(make_job(key_id="ann"), far_deadline(), always_allow) as slot:
        waiting = asyncio.create_task(serve(scheduler, "ben"))
        await wait_until(lambda: scheduler.waiting_count == 1)
        for _ in range(2):
            async with slot.lease():
                assert pool.busy == 1
        assert pool.served == ["ann", "ann"]
    await with_timeout(waiting)
    assert pool.served == ["ann", "ann", "ben"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=8), st.integers(1, 3))
def test_all_slots_are_free_again_after_any_mix_of_abandoned_jobs(jobs: list[tuple[str, bool]], slots: int) -> None:
    async def scenario() -> None:
        scheduler, pool = make_scheduler(slots=slots)
        gate = asyncio.Event()
        tasks = [
            (asyncio.create_task(serve(scheduler, key, until_set=gate)), is_abandoned) for key, is_abandoned in jobs
        ]
        await wait_until(lambda: scheduler.waiting_count + scheduler.running_count == len(jobs))
        gate.set()
        for task, is_abandoned in tasks:
            if is_abandoned:
                task.cancel()
                await asyncio.sleep(0)
        await with_timeout(asyncio.gather(*(task for task, _ in tasks), return_exceptions=True))
        assert (scheduler.running_count, scheduler.waiting_count, pool.busy) == (0, 0, 0)
        assert pool.most_busy <= slots

    asyncio.run(scenario())


async def test_rejects_waiting_jobs_at_shutdown_and_lets_running_jobs_finish() -> None:
    scheduler, pool = make_scheduler()
    done = asyncio.Event()
    running = asyncio.create_task(serve(scheduler, "a", until_set=done))
    await wait_until(lambda: scheduler.running_count == 1)
    waiting = await queue_jobs(scheduler, "a", "b")

    scheduler.reject_waiters(7)

    for rejected in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(rejected, WorkerError)
        assert (rejected.kind, rejected.retry_after) == (ErrorKind.SHUTTING_DOWN, 7)
    done.set()
    await running
    assert pool.served == ["a"]
    assert (scheduler.running_count, scheduler.waiting_count) == (0, 0)


async def test_job_rejected_by_its_start_guard_leases_no_worker_and_passes_its_slot_on() -> None:
    scheduler, pool = make_scheduler()
    release = asyncio.Event()
    running = asyncio.create_task(serve(scheduler, "ann", until_set=release))
    await wait_until(lambda: pool.busy == 1)

    async def reject() -> None:
        raise PermissionError

    async def run_rejected_job() -> None:
        async with acquire_worker(scheduler, make_job(key_id="bob"), far_deadline(), reject):
            pass

    rejected = asyncio.create_task(run_rejected_job())
    await wait_until(lambda: scheduler.waiting_count == 1)
    (next_job,) = await queue_jobs(scheduler, "eve")
    release.set()

    with pytest.raises(PermissionError):
        await with_timeout(rejected)
    await with_timeout(asyncio.gather(running, next_job))
    assert pool.served == ["ann", "eve"]
    assert scheduler.running_count == 0
