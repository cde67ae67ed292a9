import asyncio
import itertools
import os
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.workers.helpers import (
    MODEL,
    WilfulProcess,
    a_job,
    all_ready,
    answer_of,
    assistant,
    kinds,
    later,
    soon,
    until,
    user,
)
from workers.affinity import Phase
from workers.errors import ErrorKind, WorkerError
from workers.fake import ScriptedProcess, says
from workers.pool import Pool
from workers.settings import PoolSettings
from workers.worker import Worker


def a_plain_process() -> ScriptedProcess:
    return ScriptedProcess(itertools.repeat(says("one")))


class Factory:
    """Starts scripted processes and remembers them. The first `failing` starts fail."""

    def __init__(
        self,
        make: Callable[[], ScriptedProcess] = a_plain_process,
        *,
        failing: float = 0,
        system_in_body: bool = True,
    ) -> None:
        self._system_in_body = system_in_body
        self.processes: list[ScriptedProcess] = []
        self.failing = failing
        self.starts = 0
        self.most_alive = 0
        self._make = make

    def worker(self) -> Worker:
        return Worker(self.start, MODEL, system_in_body=self._system_in_body)

    def alive(self) -> int:
        return sum(not process.killed for process in self.processes)

    async def start(self, _: object) -> ScriptedProcess:
        self.starts += 1
        if self.starts <= self.failing:
            raise OSError("no more processes")
        process = self._make()
        self.processes.append(process)
        self.most_alive = max(self.most_alive, self.alive())
        return process


@asynccontextmanager
async def a_pool(factory: Factory, workers: int = 1, spares: int = 1, **more: Any) -> AsyncIterator[Pool]:
    """A pool with every process up; closed at the end."""
    limits = {"max_jobs": 1000, "max_age": 1e9, "max_rss_mib": 1_000_000, "first_backoff": 0.001} | more
    pool = Pool(factory.worker, PoolSettings(workers, spares, **limits))
    try:
        await soon(pool.start())
        await all_ready(pool)
        yield pool
    finally:
        await soon(pool.close())


async def serve(pool: Pool, owner: str, **job: Any) -> Worker:
    """Run one job through the pool; returns the worker that did it."""
    job_ = a_job(*job.pop("turns", ()), owner=owner, **job)
    async with asyncio.timeout(10), pool.lease(job_, later()) as worker:
        await answer_of(worker, job_)
    return worker


async def all_up(pool: Pool, factory: Factory, starts: int) -> None:
    """Wait until so many starts were made and every worker is ready again."""
    await until(lambda: factory.starts >= starts)
    await all_ready(pool)


# Bounds and owners.


async def test_it_boots_every_worker_and_spare() -> None:
    factory = Factory()
    async with a_pool(factory, workers=3, spares=2) as pool:
        assert len(factory.processes) == 5
        assert pool.phases() == {Phase.READY: 5}


async def test_the_number_of_processes_never_passes_its_bound() -> None:
    factory = Factory()
    async with a_pool(factory, workers=2, spares=1, max_jobs=3) as pool:
        for owner in "abcabbcacbaabc":
            await asyncio.gather(serve(pool, owner), serve(pool, "x"))
    assert factory.most_alive == 3
    assert len(factory.processes) > 3


@pytest.mark.promise("isolation.key-from-key")
async def test_a_process_never_serves_two_owners() -> None:
    factory = Factory()
    owners_of = defaultdict(set)
    async with a_pool(factory, workers=2, spares=1) as pool:
        for owner in "abcabbcacbaabc":
            owners_of[await serve(pool, owner)].add(owner)
    assert {len(owners) for owners in owners_of.values()} == {1}
    assert {owner for owners in owners_of.values() for owner in owners} == set("abc")


async def test_a_conversation_that_goes_on_gets_the_same_worker_with_only_what_is_new() -> None:
    factory = Factory()
    async with a_pool(factory, workers=4) as pool:
        first = await serve(pool, "ann", turns=(user("hi"),))
        await all_ready(pool)
        another = await serve(pool, "ann", turns=(user("something else"),))
        await all_ready(pool)
        again = await serve(pool, "ann", turns=(user("hi"), assistant("one"), user("and?")))
        assert again is first
        assert another is not first
        [process] = [one for one in factory.processes if "and?" in str(one.written)]
        assert [kind for kind in kinds(process.written) if kind in ("load", "append", "ask", "clear")] == ["ask", "ask"]


async def test_with_one_worker_a_conversation_stays_until_another_begins() -> None:
    factory = Factory()
    async with a_pool(factory, workers=1, spares=0) as pool:
        for turns in ((user("hi"),), (user("hi"), assistant("one"), user("and?")), (user("other"),)):
            await serve(pool, "ann", turns=turns)
        [process] = factory.processes
        steps = [kind for kind in kinds(process.written) if kind in ("load", "ask", "rewind_conversation")]
        assert steps == ["ask", "ask", "rewind_conversation", "ask"]


async def test_another_owner_never_gets_into_a_conversation_even_with_the_same_words() -> None:
    async with a_pool(Factory(), workers=3) as pool:
        anns = await serve(pool, "ann", turns=(user("hi"),))
        await all_ready(pool)
        bobs = await serve(pool, "bob", turns=(user("hi"), assistant("one"), user("and?")))
        assert bobs is not anns


async def test_a_second_owner_gets_the_spare_without_waiting_for_a_boot() -> None:
    factory = Factory()
    async with a_pool(factory, workers=1, spares=1) as pool:
        anns = await serve(pool, "ann")
        bobs = await serve(pool, "bob")
        assert bobs is not anns
        assert factory.processes[0].killed != factory.processes[1].killed
        await all_up(pool, factory, 3)
        assert pool.phases() == {Phase.READY: 2}


@pytest.mark.parametrize("system_in_body", [True, False])
async def test_with_a_cli_login_a_job_without_a_system_prompt_gets_a_worker_that_never_had_one(
    system_in_body: bool,
) -> None:
    async with a_pool(Factory(system_in_body=system_in_body), workers=1, spares=1) as pool:
        used = await serve(pool, "ann", system="be brief")
        await all_ready(pool)
        assert (await serve(pool, "ann") is used) is system_in_body


async def test_a_worker_is_alone_with_its_job() -> None:
    job = a_job()
    async with (
        a_pool(Factory(), workers=2, spares=0) as pool,
        pool.lease(job, later()) as one,
        pool.lease(job, later()) as other,
    ):
        assert one is not other
        assert pool.phases() == {Phase.BUSY: 2}


async def test_a_job_that_gets_no_worker_before_its_deadline_has_timed_out() -> None:
    async with a_pool(Factory(), workers=1, spares=0) as pool, pool.lease(a_job(), later()):
        with pytest.raises(WorkerError) as caught:
            async with pool.lease(a_job(), asyncio.get_running_loop().time()):
                pass
        assert caught.value.kind is ErrorKind.TIMEOUT


# Replacing.


async def test_a_worker_that_has_done_its_jobs_is_replaced() -> None:
    factory = Factory()
    async with a_pool(factory, workers=1, spares=0, max_jobs=2) as pool:
        workers = []
        for _ in range(3):
            workers.append(await serve(pool, "ann"))
            await until(lambda: Phase.RECOVERING not in pool.phases())
            await all_ready(pool)
        assert workers[0] is workers[1]
        assert workers[2] is not workers[1]
        assert [process.killed for process in factory.processes] == [True, False]


async def test_a_worker_past_its_age_is_replaced_after_its_job() -> None:
    factory = Factory()
    async with a_pool(factory, spares=0, max_age=0) as pool:
        await serve(pool, "ann")
        await all_up(pool, factory, 2)
        assert [process.killed for process in factory.processes] == [True, False]


async def test_a_worker_that_holds_too_much_memory_is_replaced_after_its_job() -> None:
    factory = Factory()
    async with a_pool(factory, spares=0, max_rss_mib=1) as pool:
        factory.processes[0].pid = os.getpid()  # a process that surely holds more
        await serve(pool, "ann")
        await all_up(pool, factory, 2)
        assert [process.killed for process in factory.processes] == [True, False]


async def test_a_worker_that_dies_while_nobody_uses_it_is_replaced() -> None:
    factory = Factory()
    async with a_pool(factory, workers=1, spares=1) as pool:
        factory.processes[0].die()
        await all_up(pool, factory, 3)
        assert pool.phases() == {Phase.READY: 2}
        await serve(pool, "ann")


async def test_a_worker_that_dies_under_a_job_is_replaced() -> None:
    factory = Factory()
    async with a_pool(factory, workers=1, spares=0) as pool:
        job = a_job()
        async with pool.lease(job, later()) as worker:
            factory.processes[0].die()
            with pytest.raises(WorkerError):
                await soon(answer_of(worker, job))
        await all_up(pool, factory, 2)
        assert await serve(pool, "ann") is not worker


async def test_a_worker_that_does_not_recover_is_replaced() -> None:
    stubborn = WilfulProcess([says("one", stop_reason="max_tokens")[:-2]], holds="interrupt")
    processes = iter([stubborn, a_plain_process()])
    factory = Factory(lambda: next(processes))
    async with a_pool(factory, workers=1, spares=0, recover_timeout=0.001) as pool:
        stuck = await serve(pool, "ann")
        await all_up(pool, factory, 2)
        assert factory.processes[0].killed
        assert await serve(pool, "ann") is not stuck


async def test_a_job_waits_for_a_worker_that_is_still_recovering() -> None:
    process = WilfulProcess([says("one", stop_reason="max_tokens")[:-2], says("two")], holds="interrupt")
    async with a_pool(Factory(lambda: process), workers=1, spares=0) as pool:
        first = await serve(pool, "ann")
        next_one = asyncio.create_task(serve(pool, "ann"))
        await asyncio.sleep(0)
        assert not next_one.done()
        await soon(process.holding.wait())
        process.release()
        assert await soon(next_one) is first


# Starts that fail.


async def test_a_pool_of_which_nothing_starts_says_so() -> None:
    factory = Factory(failing=1e9)
    with pytest.raises(WorkerError) as caught:
        async with a_pool(factory, workers=2):
            pass
    assert caught.value.kind is ErrorKind.START_FAILED


async def test_one_start_that_fails_does_not_fail_a_pool_of_which_others_start() -> None:
    other = WilfulProcess(holds="initialize")
    factory = Factory(iter([other, a_plain_process()]).__next__, failing=1)
    pool = Pool(factory.worker, PoolSettings(1, 1, 9, 1e9, 1_000_000, first_backoff=0.001))
    starting = asyncio.create_task(pool.start())
    await soon(other.holding.wait())
    await until(lambda: pool.last_failure is not None)
    await asyncio.sleep(0)
    other.release()
    await soon(starting)
    await soon(pool.close())


async def test_while_nothing_starts_a_job_fails_at_once_and_later_it_is_served() -> None:
    factory = Factory(failing=2)
    pool = Pool(factory.worker, PoolSettings(2, 0, 9, 1e9, 1_000_000, first_backoff=0.001))
    with pytest.raises(WorkerError):
        await soon(pool.start())
    with pytest.raises(WorkerError) as caught:
        await serve(pool, "ann")
    assert caught.value.kind is ErrorKind.START_FAILED
    await all_ready(pool)
    await serve(pool, "ann")
    await soon(pool.close())


async def test_starts_that_fail_together_lengthen_the_pause_only_once() -> None:
    """Twenty failures that each doubled it would mean a pause of days, not of milliseconds."""
    factory = Factory(failing=40)
    limits = PoolSettings(20, 20, 9, 1e9, 1_000_000, first_backoff=0.001, longest_backoff=1e6)
    pool = Pool(factory.worker, limits)
    with pytest.raises(WorkerError):
        await soon(pool.start())
    await all_ready(pool)
    assert factory.starts == 80
    await soon(pool.close())


async def test_after_a_pause_one_process_is_tried_and_not_all() -> None:
    processes = iter([WilfulProcess(holds="initialize"), *(a_plain_process() for _ in range(2))])
    factory = Factory(lambda: next(processes), failing=3)
    pool = Pool(factory.worker, PoolSettings(2, 1, 9, 1e9, 1_000_000, first_backoff=0.001))
    with pytest.raises(WorkerError):
        await soon(pool.start())
    await until(lambda: bool(factory.processes))
    trial = factory.processes[0]
    assert isinstance(trial, WilfulProcess)
    await soon(trial.holding.wait())
    assert factory.starts == 4
    trial.release()
    await all_ready(pool)
    assert factory.starts == 6
    await soon(pool.close())


# The end.


async def test_closing_ends_every_process_even_those_in_use() -> None:
    factory = Factory()
    async with a_pool(factory, workers=2, spares=1) as pool, pool.lease(a_job(), later()):
        await soon(pool.close())
        assert all(process.killed for process in factory.processes)
    assert len(factory.processes) == 3


async def test_closing_ends_a_process_that_still_boots() -> None:
    process = WilfulProcess(holds="initialize")
    factory = Factory(lambda: process)
    pool = Pool(factory.worker, PoolSettings(1, 0, 9, 1e9, 1_000_000))
    starting = asyncio.create_task(pool.start())
    await soon(process.holding.wait())
    starting.cancel()
    await soon(pool.close())
    assert process.killed


async def test_after_closing_and_while_waiting_a_job_is_told_that_the_gateway_stops() -> None:
    async with a_pool(Factory(), workers=1, spares=0) as pool, pool.lease(a_job(), later()):
        waiting = asyncio.create_task(serve(pool, "bob"))
        await asyncio.sleep(0)
        await soon(pool.close())
        late = asyncio.create_task(serve(pool, "eve"))
        outcomes = await soon(asyncio.gather(waiting, late, return_exceptions=True))
    assert [getattr(error, "kind", error) for error in outcomes] == [ErrorKind.STOPPING] * 2


async def test_whoever_counts_is_told_of_boots_ends_and_conversations_gone_on_with() -> None:
    class Counting:
        def __init__(self) -> None:
            self.told: list[tuple[str, str]] = []

        def booted(self, kind: str, seconds: float) -> None:
            assert seconds >= 0
            self.told.append(("booted", kind))

        def ended(self, kind: str, why: str) -> None:
            self.told.append((why, kind))

        def prepared(self, kind: str, history: str) -> None:
            self.told.append((history, kind))

    counting, factory = Counting(), Factory()
    pool = Pool(lambda: Worker(factory.start, MODEL, observer=counting), PoolSettings(1, 0, 1000, 1e9, 10**6), counting)
    await soon(pool.start())
    await all_ready(pool)
    first = a_job(owner="ann")
    for job in (first, a_job(user("hi"), assistant("one"), user("more"), owner="ann"), a_job(owner="bob")):
        async with pool.lease(job, later()) as worker:
            await answer_of(worker, job)
        await all_ready(pool)
    await soon(pool.close())

    kinds = [what for what, kind in counting.told if kind == "chat"]
    assert kinds == ["booted", "none", "resident", "needed", "booted", "none"]


async def test_a_worker_is_ready_again_though_others_hold_every_thread() -> None:
    held = threading.Event()
    with ThreadPoolExecutor(max_workers=1) as threads:
        asyncio.get_running_loop().set_default_executor(threads)
        try:
            async with a_pool(Factory(), spares=0) as pool:
                threads.submit(held.wait)
                worker = await serve(pool, "ann")
                assert await serve(pool, "ann") is worker
        finally:
            held.set()
