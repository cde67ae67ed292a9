import asyncio
import itertools
import os
import threading
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests.workers.helpers import (
    MODEL,
    MisbehavingProcess,
    assistant_turn,
    collect_events,
    far_deadline,
    frame_kinds,
    make_job,
    user_turn,
    wait_all_ready,
    wait_until,
    with_timeout,
)
from tests.workers.scripted_process import ScriptedProcess, text_reply_frames, tool_call_frames
from workers.core.errors import ErrorKind, WorkerError
from workers.core.job import ChatJob, Text, ToolDefinition, ToolResult, ToolUse, Turn
from workers.core.memory_state import MemoryState
from workers.core.observer import NULL_OBSERVER, HistorySource, NullObserver, Observer, WorkerKind
from workers.core.settings import PoolSettings
from workers.pool.chat_pool import ChatPool
from workers.pool.selection import Phase
from workers.worker.chat_worker import ChatWorker
from workers.worker.prepared_job import prepare_chat_job


def make_process() -> ScriptedProcess:
    return ScriptedProcess(itertools.repeat(text_reply_frames("one")))


class ProcessStarter:
    """Starts scripted processes for workers, and keeps a list of them.

    Attributes:
        processes: The started processes.
        start_count: Number of start_count, including those that failed.
        max_alive: Highest number of running processes at a time.
    """

    def __init__(
        self,
        make: Callable[[], ScriptedProcess] = make_process,
        *,
        failing: float = 0,
        system_in_body: bool = True,
        observer: Observer = NULL_OBSERVER,
    ) -> None:
        """Create a starter whose first `failing` start_count fail."""
        self._system_in_body = system_in_body
        self._observer = observer
        self.processes: list[ScriptedProcess] = []
        self._failing_count = failing
        self._first_failing = 0
        self.start_count = 0
        self.max_alive = 0
        self._make = make

    def create_worker(self, _: str) -> ChatWorker:
        return ChatWorker(self.start, MODEL, observer=self._observer, system_in_body=self._system_in_body)

    def fail_next_starts(self, count: int) -> None:
        self._failing_count = self.start_count + count
        self._first_failing = self.start_count

    def alive(self) -> int:
        return sum(not process.is_killed for process in self.processes)

    async def start(self, _: object) -> ScriptedProcess:
        self.start_count += 1
        if self._first_failing < self.start_count <= self._failing_count:
            raise OSError("no more processes")
        process = self._make()
        self.processes.append(process)
        self.max_alive = max(self.max_alive, self.alive())
        return process


class HistoryCounter(NullObserver):
    """An observer that counts from where the histories of jobs came."""

    def __init__(self) -> None:
        self.sources: Counter[str] = Counter()

    def history_loaded(self, kind: WorkerKind, source: HistorySource) -> None:
        self.sources[source] += 1


async def read_ample_memory() -> MemoryState:
    return MemoryState(total_mib=64_000, available_mib=60_000)


@asynccontextmanager
async def run_pool(
    starter: ProcessStarter,
    workers: int = 1,
    spares: int = 1,
    *,
    clock: "Clock | None" = None,
    read_memory: Callable[[], Awaitable[MemoryState]] = read_ample_memory,
    **limits_override: Any,
) -> AsyncIterator[ChatPool]:
    """Run a pool whose processes are all ready; close it at the end."""
    limits = {
        "max_jobs": 1000,
        "max_age_seconds": 1e9,
        "max_rss_mib": 1_000_000,
        "min_backoff_seconds": 0.001,
        "max_processes": workers + spares,
    } | limits_override
    pool = ChatPool(
        starter.create_worker,
        PoolSettings(workers, spares, **limits),
        read_memory=read_memory,
        now=clock.now if clock else time.monotonic,
    )
    try:
        await with_timeout(pool.start())
        await wait_all_ready(pool)
        yield pool
    finally:
        await with_timeout(pool.close())


async def serve(pool: ChatPool, key_id: str, **job: Any) -> ChatWorker:
    """Run one job in the pool; return the worker that ran it."""
    return await serve_job(pool, make_job(*job.pop("turns", ()), key_id=key_id, **job))


async def serve_job(pool: ChatPool, job: ChatJob) -> ChatWorker:
    """Run one job in the pool; return the worker that ran it."""
    async with asyncio.timeout(10), pool.lease(prepare_chat_job(job), far_deadline()) as worker:
        await collect_events(worker, job)
    return worker


async def wait_all_restarted(pool: ChatPool, starter: ProcessStarter, start_count: int) -> None:
    """Wait until this number of start_count was made and every worker is ready again."""
    await wait_until(lambda: starter.start_count >= start_count)
    await wait_all_ready(pool)


# Limits and API keys.


async def test_starts_every_worker_and_spare() -> None:
    starter = ProcessStarter()
    async with run_pool(starter, workers=3, spares=2) as pool:
        assert len(starter.processes) == 5
        assert pool.count_phases() == {Phase.READY: 5}


async def test_number_of_processes_never_exceeds_its_limit() -> None:
    starter = ProcessStarter()
    async with run_pool(starter, workers=2, spares=1, max_jobs=3) as pool:
        for key_id in "abcabbcacbaabc":
            await asyncio.gather(serve(pool, key_id), serve(pool, "x"))
    assert starter.max_alive == 3
    assert len(starter.processes) > 3


@pytest.mark.promise("isolation.key-from-key")
async def test_process_never_serves_two_keys() -> None:
    starter = ProcessStarter()
    keys_by_worker = defaultdict(set)
    async with run_pool(starter, workers=2, spares=1) as pool:
        for key_id in "abcabbcacbaabc":
            keys_by_worker[await serve(pool, key_id)].add(key_id)
    assert {len(keys) for keys in keys_by_worker.values()} == {1}
    assert {key for keys in keys_by_worker.values() for key in keys} == set("abc")


async def test_continued_conversation_gets_the_same_worker_and_sends_only_the_prompt() -> None:
    starter = ProcessStarter()
    async with run_pool(starter, workers=4) as pool:
        first = await serve(pool, "ann", turns=(user_turn("hi"),))
        await wait_all_ready(pool)
        another = await serve(pool, "ann", turns=(user_turn("something else"),))
        await wait_all_ready(pool)
        again = await serve(pool, "ann", turns=(user_turn("hi"), assistant_turn("one"), user_turn("and?")))
        assert again is first
        assert another is not first
        [process] = [process for process in starter.processes if "and?" in str(process.written_frames)]
        turn_kinds = ("replay_user", "replay_assistant", "prompt", "rewind_conversation")
        assert [kind for kind in frame_kinds(process.written_frames) if kind in turn_kinds] == ["prompt", "prompt"]


async def test_worker_keeps_a_conversation_until_another_one_begins() -> None:
    starter = ProcessStarter()
    async with run_pool(starter, workers=1, spares=0) as pool:
        for turns in (
            (user_turn("hi"),),
            (user_turn("hi"), assistant_turn("one"), user_turn("and?")),
            (user_turn("other"),),
        ):
            await serve(pool, "ann", turns=turns)
        [process] = starter.processes
        turn_kinds = ("replay_user", "prompt", "rewind_conversation")
        steps = [kind for kind in frame_kinds(process.written_frames) if kind in turn_kinds]
        assert steps == ["prompt", "prompt", "rewind_conversation", "prompt"]


async def test_another_key_never_gets_a_conversation_even_with_the_same_text() -> None:
    async with run_pool(ProcessStarter(), workers=3) as pool:
        worker_of_ann = await serve(pool, "ann", turns=(user_turn("hi"),))
        await wait_all_ready(pool)
        worker_of_bob = await serve(pool, "bob", turns=(user_turn("hi"), assistant_turn("one"), user_turn("and?")))
        assert worker_of_bob is not worker_of_ann


async def test_second_key_gets_the_spare_without_waiting_for_a_start() -> None:
    starter = ProcessStarter()
    async with run_pool(starter, workers=1, spares=1) as pool:
        worker_of_ann = await serve(pool, "ann")
        worker_of_bob = await serve(pool, "bob")
        assert worker_of_bob is not worker_of_ann
        assert starter.start_count == 2


@pytest.mark.parametrize("system_in_body", [True, False])
async def test_job_without_a_system_prompt_gets_a_worker_that_never_had_one_with_a_cli_login(
    system_in_body: bool,
) -> None:
    async with run_pool(ProcessStarter(system_in_body=system_in_body), workers=1, spares=0) as pool:
        used = await serve(pool, "ann", system="be brief")
        await wait_all_ready(pool)
        assert (await serve(pool, "ann") is used) is system_in_body


async def test_worker_runs_one_job_at_a_time() -> None:
    job = make_job()
    async with (
        run_pool(ProcessStarter(), workers=2, spares=0) as pool,
        pool.lease(prepare_chat_job(job), far_deadline()) as one,
        pool.lease(prepare_chat_job(job), far_deadline()) as other,
    ):
        assert one is not other
        assert pool.count_phases() == {Phase.BUSY: 2}


async def test_job_without_a_worker_times_out_at_its_deadline() -> None:
    async with (
        run_pool(ProcessStarter(), workers=1, spares=0) as pool,
        pool.lease(prepare_chat_job(make_job()), far_deadline()),
    ):
        with pytest.raises(WorkerError) as caught:
            async with pool.lease(prepare_chat_job(make_job()), asyncio.get_running_loop().time()):
                pass
        assert caught.value.kind is ErrorKind.TIMEOUT


# Replacement.


async def test_replaces_a_worker_after_its_maximum_number_of_jobs() -> None:
    starter = ProcessStarter()
    async with run_pool(starter, workers=1, spares=0, max_jobs=2) as pool:
        workers = []
        for _ in range(3):
            workers.append(await serve(pool, "ann"))
            await wait_until(lambda: Phase.RECOVERING not in pool.count_phases())
            await wait_all_ready(pool)
        assert workers[0] is workers[1]
        assert workers[2] is not workers[1]
        assert [process.is_killed for process in starter.processes] == [True, False]


async def test_replaces_a_worker_past_its_maximum_age_after_its_job() -> None:
    starter = ProcessStarter()
    async with run_pool(starter, spares=0, max_age_seconds=0) as pool:
        await serve(pool, "ann")
        await wait_all_restarted(pool, starter, 2)
        assert [process.is_killed for process in starter.processes] == [True, False]


async def test_replaces_a_worker_that_uses_too_much_memory_after_its_job() -> None:
    starter = ProcessStarter()
    async with run_pool(starter, spares=0, max_rss_mib=1) as pool:
        starter.processes[0].pid = os.getpid()  # a process that uses more memory than that
        await serve(pool, "ann")
        await wait_all_restarted(pool, starter, 2)
        assert [process.is_killed for process in starter.processes] == [True, False]


async def test_replaces_an_idle_worker_that_exits() -> None:
    starter = ProcessStarter()
    async with run_pool(starter, workers=1, spares=1) as pool:
        starter.processes[0].exit_with()
        await wait_all_restarted(pool, starter, 3)
        assert pool.count_phases() == {Phase.READY: 2}
        await serve(pool, "ann")


async def test_replaces_a_worker_that_exits_during_a_job() -> None:
    starter = ProcessStarter()
    async with run_pool(starter, workers=1, spares=0) as pool:
        job = make_job()
        async with pool.lease(prepare_chat_job(job), far_deadline()) as worker:
            starter.processes[0].exit_with()
            with pytest.raises(WorkerError):
                await with_timeout(collect_events(worker, job))
        await wait_all_restarted(pool, starter, 2)
        assert await serve(pool, "ann") is not worker


async def test_replaces_a_worker_that_does_not_recover() -> None:
    slow_process = MisbehavingProcess([text_reply_frames("one", stop_reason="max_tokens")[:-2]], hold="interrupt")
    processes = iter([slow_process, make_process()])
    starter = ProcessStarter(lambda: next(processes))
    async with run_pool(starter, workers=1, spares=0, recover_timeout_seconds=0.001) as pool:
        replaced_worker = await serve(pool, "ann")
        await wait_all_restarted(pool, starter, 2)
        assert starter.processes[0].is_killed
        assert await serve(pool, "ann") is not replaced_worker


async def test_job_waits_for_a_worker_that_is_still_recovering() -> None:
    process = MisbehavingProcess(
        [text_reply_frames("one", stop_reason="max_tokens")[:-2], text_reply_frames("two")], hold="interrupt"
    )
    async with run_pool(ProcessStarter(lambda: process), workers=1, spares=0) as pool:
        first = await serve(pool, "ann")
        next_task = asyncio.create_task(serve(pool, "ann"))
        await asyncio.sleep(0)
        assert not next_task.done()
        await with_timeout(process.frame_held.wait())
        process.release_held_frames()
        assert await with_timeout(next_task) is first


async def test_fast_tool_result_waits_for_the_worker_that_repairs_its_conversation() -> None:
    call = Turn("assistant", (ToolUse("call_1", "f", {"a": 1}),))
    results = Turn("user", (ToolResult("call_1", (Text("sunny"),)),))
    tools = (ToolDefinition("f", "", {}),)
    process = MisbehavingProcess([tool_call_frames(), text_reply_frames("done")], hold="rewind_conversation")
    processes = iter([process, make_process()])
    first, second = (replace(make_job(*turns), tools=tools) for turns in ((), (user_turn("hi"), call, results)))
    async with run_pool(ProcessStarter(lambda: next(processes)), workers=1, spares=1) as pool:
        worker = await serve_job(pool, first)
        await with_timeout(process.frame_held.wait())
        next_task = asyncio.create_task(serve_job(pool, second))
        await asyncio.sleep(0)
        process.release_held_frames()
        assert await with_timeout(next_task) is worker


# Number of processes.


class Clock:
    """A clock that tests set, in seconds."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def now(self) -> float:
        return self.seconds


async def test_keys_in_turn_keep_their_processes_beyond_the_number_of_jobs() -> None:
    observer = HistoryCounter()
    starter, talks = ProcessStarter(observer=observer), {key_id: [user_turn("hi")] for key_id in "abcd"}
    async with run_pool(starter, workers=2, spares=1, max_processes=8) as pool:
        for _ in range(3):
            for key_id, turns in talks.items():
                await serve(pool, key_id, turns=turns)
                await wait_all_ready(pool)
                turns += [assistant_turn("one"), user_turn("and?")]
        assert observer.sources == Counter(new=4, reused=8)
        assert not any(process.is_killed for process in starter.processes)


async def test_more_conversations_than_jobs_stay_in_their_processes() -> None:
    observer, clock = HistoryCounter(), Clock()
    talks = [[user_turn(f"talk {number}")] for number in range(8)]
    async with run_pool(ProcessStarter(observer=observer), workers=2, spares=1, clock=clock, max_processes=8) as pool:
        for _ in range(3):
            for turns in talks:
                await serve(pool, "ann", turns=turns)
                await wait_all_ready(pool)
                turns += [assistant_turn("one"), user_turn("and?")]
                clock.seconds += 1
    assert observer.sources == Counter(new=8, reused=16)


async def test_burst_of_single_questions_starts_no_further_processes() -> None:
    starter = ProcessStarter()
    async with run_pool(starter, workers=2, spares=1, clock=Clock(), max_processes=8) as pool:
        for number in range(20):
            await serve(pool, "ann", turns=(user_turn(f"question {number}"),))
            await wait_all_ready(pool)
        assert sum(process.key_id is not None for process in pool.processes()) == 2


async def test_three_conversations_in_turn_find_all_three_processes_of_a_small_pool() -> None:
    observer, talks = HistoryCounter(), [[user_turn(f"talk {number}")] for number in range(3)]
    async with run_pool(ProcessStarter(observer=observer), workers=2, spares=1) as pool:
        for _ in range(8):
            for turns in talks:
                await serve(pool, "ann", turns=turns)
                await wait_all_ready(pool)
                turns += [assistant_turn("one"), user_turn("and?")]
    assert observer.sources["reused"] >= 18


async def test_ends_idle_processes_except_for_the_spares() -> None:
    starter, clock = ProcessStarter(), Clock()
    async with run_pool(starter, workers=2, spares=1, clock=clock, max_processes=8, idle_seconds=60) as pool:
        for key_id in "abcd":
            await serve(pool, key_id)
            await wait_all_ready(pool)
        clock.seconds += 59
        await pool.check_size()
        assert sum(process.key_id is not None for process in pool.processes()) == 4
        clock.seconds += 2
        await pool.check_size()
        assert (starter.alive(), pool.count_phases()) == (1, {Phase.READY: 1})
        await serve(pool, "a")


async def test_pool_without_spares_starts_a_process_when_a_job_comes_after_an_idle_time() -> None:
    starter, clock = ProcessStarter(), Clock()
    async with run_pool(starter, workers=1, spares=0, clock=clock, idle_seconds=60) as pool:
        clock.seconds += 61
        await pool.check_size()
        assert starter.alive() == 0
        assert not pool.is_failing
        assert pool.find_cli_info() is not None
        await serve(pool, "ann")
        assert starter.start_count == 2


async def test_ends_idle_processes_at_once_if_the_memory_is_scarce() -> None:
    async def read_memory() -> MemoryState:
        return MemoryState(total_mib=1_000, available_mib=10 if is_scarce else 900)

    starter, is_scarce = ProcessStarter(), False
    async with run_pool(starter, workers=2, spares=1, max_processes=8, read_memory=read_memory) as pool:
        for key_id in "abcd":
            await serve(pool, key_id)
            await wait_all_ready(pool)
        async with pool.lease(prepare_chat_job(make_job(key_id="a")), far_deadline()):
            await wait_until(lambda: Phase.STARTING not in pool.count_phases())
            is_scarce = True
            await pool.check_size()
            assert pool.count_phases() == {Phase.BUSY: 1, Phase.READY: 1}


async def test_starts_no_processes_again_while_the_memory_stays_scarce() -> None:
    async def read_memory() -> MemoryState:
        return MemoryState(total_mib=1_000, available_mib=10 if is_scarce else 900)

    starter, is_scarce = ProcessStarter(), False
    async with run_pool(starter, workers=2, spares=1, max_processes=8, read_memory=read_memory) as pool:
        await serve(pool, "ann")
        await wait_all_ready(pool)
        is_scarce = True
        await pool.check_size()
        start_count = starter.start_count
        for _ in range(3):
            await pool.check_size()
            await wait_all_ready(pool)
        assert starter.start_count == start_count
        assert pool.count_phases() == {Phase.READY: 1}


async def test_gives_up_the_oldest_processes_if_the_memory_shrinks() -> None:
    async def read_memory() -> MemoryState:
        return memory

    memory = MemoryState(10_000, 9_000)
    async with run_pool(ProcessStarter(), workers=1, spares=1, max_processes=None, read_memory=read_memory) as pool:
        for key_id in "abcd":
            await serve(pool, key_id)
            await wait_all_ready(pool)
        memory = MemoryState(1_800, 900)  # two thirds of it hold three processes and the gateway
        await pool.check_size()
        assert sorted(str(process.key_id) for process in pool.processes()) == ["None", "c", "d"]


async def test_waiting_job_of_another_key_starts_a_process_before_it_has_its_slot() -> None:
    starter = ProcessStarter()
    async with run_pool(starter, workers=1, spares=0, max_processes=2) as pool:
        await serve(pool, "ann")
        with pool.expect(make_job(key_id="bob")):
            await wait_until(lambda: starter.alive() == 2)
            await wait_all_ready(pool)
        await serve(pool, "bob")
        assert starter.start_count == 2


async def test_keys_of_one_group_share_a_process_and_other_keys_do_not() -> None:
    async with run_pool(ProcessStarter(), workers=1, spares=0, max_processes=3) as pool:
        workers = []
        for key_id, group in (("ann", "team"), ("bob", "team"), ("eve", ""), ("team", "")):
            workers.append(await serve_job(pool, replace(make_job(key_id=key_id), group=group)))
            await wait_all_ready(pool)
    assert workers[0] is workers[1]
    assert len(set(workers)) == 3


async def test_conversation_that_begins_with_a_summary_takes_the_process_of_the_summarized_one() -> None:
    summary = "They want the tests to pass. " * 20
    starter = ProcessStarter(lambda: ScriptedProcess(itertools.repeat(text_reply_frames(summary))))
    async with run_pool(starter, workers=1, spares=1, max_processes=4) as pool:
        main = await serve(pool, "ann", turns=(user_turn("hi"),))
        await wait_all_ready(pool)
        for question in ("and?", "sum up"):
            await serve(pool, "ann", turns=(user_turn("hi"), assistant_turn(summary), user_turn(question)))
            await wait_all_ready(pool)
        start_count = starter.start_count
        assert await serve(pool, "ann", turns=(user_turn(f"Earlier: {summary} Go on."),)) is main
        await wait_all_ready(pool)
        assert starter.start_count == start_count


# Starts that fail.


async def test_start_of_a_pool_fails_if_no_worker_starts() -> None:
    starter = ProcessStarter(failing=1e9)
    with pytest.raises(WorkerError) as caught:
        async with run_pool(starter, workers=2):
            pass
    assert caught.value.kind is ErrorKind.START_FAILED


async def test_start_of_a_pool_succeeds_if_one_of_its_workers_fails() -> None:
    other = MisbehavingProcess(hold="initialize")
    starter = ProcessStarter(iter([other, make_process()]).__next__, failing=1)
    pool = ChatPool(starter.create_worker, PoolSettings(1, 1, 9, 1e9, 1_000_000, min_backoff_seconds=0.001))
    starting = asyncio.create_task(pool.start())
    await with_timeout(other.frame_held.wait())
    await wait_until(lambda: pool.last_failure is not None)
    await asyncio.sleep(0)
    other.release_held_frames()
    await with_timeout(starting)
    await with_timeout(pool.close())


async def test_jobs_fail_at_once_while_no_worker_starts_and_succeed_later() -> None:
    starter = ProcessStarter(failing=2)
    pool = ChatPool(starter.create_worker, PoolSettings(2, 0, 9, 1e9, 1_000_000, min_backoff_seconds=0.001))
    with pytest.raises(WorkerError):
        await with_timeout(pool.start())
    with pytest.raises(WorkerError) as caught:
        await serve(pool, "ann")
    assert caught.value.kind is ErrorKind.START_FAILED
    await wait_all_ready(pool)
    await serve(pool, "ann")
    await with_timeout(pool.close())


async def test_pool_without_spares_tries_again_after_starts_that_fail_behind_an_idle_time() -> None:
    starter, clock = ProcessStarter(), Clock()
    async with run_pool(starter, spares=0, clock=clock, idle_seconds=60) as pool:
        clock.seconds += 61
        await pool.check_size()
        starter.fail_next_starts(2)
        with pytest.raises(WorkerError):
            await serve(pool, "ann")
        await wait_until(lambda: starter.alive() == 1)
        await serve(pool, "ann")


async def test_starts_that_fail_together_double_the_backoff_once() -> None:
    """If each of the forty failures doubled the back-off, it would last days instead of milliseconds."""
    starter = ProcessStarter(failing=40)
    limits = PoolSettings(20, 20, 9, 1e9, 1_000_000, min_backoff_seconds=0.001, max_backoff_seconds=1e6)
    pool = ChatPool(starter.create_worker, limits)
    with pytest.raises(WorkerError):
        await with_timeout(pool.start())
    await wait_all_ready(pool)
    assert starter.start_count == 80
    await with_timeout(pool.close())


async def test_starts_one_process_after_a_backoff_and_then_the_others() -> None:
    processes = iter([MisbehavingProcess(hold="initialize"), *(make_process() for _ in range(2))])
    starter = ProcessStarter(lambda: next(processes), failing=3)
    pool = ChatPool(starter.create_worker, PoolSettings(2, 1, 9, 1e9, 1_000_000, min_backoff_seconds=0.001))
    with pytest.raises(WorkerError):
        await with_timeout(pool.start())
    await wait_until(lambda: bool(starter.processes))
    trial = starter.processes[0]
    assert isinstance(trial, MisbehavingProcess)
    await with_timeout(trial.frame_held.wait())
    assert starter.start_count == 4
    trial.release_held_frames()
    await wait_all_ready(pool)
    assert starter.start_count == 6
    await with_timeout(pool.close())


async def test_pool_starts_with_the_next_login_if_no_process_starts_with_the_first() -> None:
    starter, failed_logins = ProcessStarter(), []

    def create_worker(login: str) -> ChatWorker:
        starter.fail_next_starts(9 if login == "first" else 0)
        return starter.create_worker(login)

    pool = ChatPool(
        create_worker,
        PoolSettings(1, 0, 9, 1e9, 1_000_000, min_backoff_seconds=60),
        choose_login=lambda _: "second" if failed_logins else "first",
        read_memory=read_ample_memory,
        on_start_failed=failed_logins.append,
    )
    await with_timeout(pool.start())
    assert failed_logins == ["first"]
    await serve(pool, "ann")
    await with_timeout(pool.close())


async def test_job_with_another_login_replaces_a_spare_of_a_full_pool() -> None:
    pool = ChatPool(
        ProcessStarter().create_worker,
        PoolSettings(2, 0, 9, 1e9, 1_000_000, max_processes=2),
        choose_login=lambda job: "second" if job is not None and job.key_id == "eve" else "first",
        read_memory=read_ample_memory,
    )
    await with_timeout(pool.start())
    await wait_all_ready(pool)
    await serve(pool, "eve")
    await serve(pool, "ann")
    await with_timeout(pool.close())


async def test_jobs_with_two_logins_do_not_take_the_processes_that_start_for_each_other() -> None:
    starter = ProcessStarter()
    pool = ChatPool(
        starter.create_worker,
        PoolSettings(2, 0, 9, 1e9, 1_000_000, max_processes=2),
        choose_login=lambda job: job.key_id if job is not None else "other",
        read_memory=read_ample_memory,
    )
    await with_timeout(pool.start())
    await wait_all_ready(pool)
    await with_timeout(asyncio.gather(*(serve(pool, key_id) for key_id in ("ann", "bob"))))
    assert starter.start_count <= 5
    await with_timeout(pool.close())


async def test_login_whose_processes_start_again_is_used_again() -> None:
    starter, is_broken = ProcessStarter(), True

    def create_worker(login: str) -> ChatWorker:
        starter.fail_next_starts(1 if login == "broken" and is_broken else 0)
        return starter.create_worker(login)

    settings = PoolSettings(1, 0, 9, 1e9, 1_000_000, min_backoff_seconds=0.001, max_processes=3)
    pool = ChatPool(
        create_worker,
        settings,
        choose_login=lambda job: "broken" if job is not None and job.key_id == "eve" else "good",
        read_memory=read_ample_memory,
    )
    await with_timeout(pool.start())
    await wait_all_ready(pool)
    with pytest.raises(WorkerError):
        await serve(pool, "eve")
    assert not pool.is_failing
    is_broken = False
    await wait_until(lambda: starter.alive() == 2)
    await wait_all_ready(pool)
    await serve(pool, "eve")
    await with_timeout(pool.close())


async def test_job_fails_at_once_if_only_the_processes_of_its_login_do_not_start() -> None:
    starter = ProcessStarter()

    def create_worker(login: str) -> ChatWorker:
        starter.fail_next_starts(9 if login == "broken" else 0)
        return starter.create_worker(login)

    settings = PoolSettings(1, 0, 9, 1e9, 1_000_000, min_backoff_seconds=0.001, max_processes=2)
    pool = ChatPool(
        create_worker,
        settings,
        choose_login=lambda job: "broken" if job is not None and job.key_id == "eve" else "good",
        read_memory=read_ample_memory,
    )
    await with_timeout(pool.start())
    await wait_all_ready(pool)
    with pytest.raises(WorkerError) as caught:
        await serve(pool, "eve")
    assert caught.value.kind is ErrorKind.START_FAILED
    await serve(pool, "ann")
    await with_timeout(pool.close())


# Shutdown.


async def test_close_ends_every_process_including_busy_ones() -> None:
    starter = ProcessStarter()
    async with run_pool(starter, workers=2, spares=1) as pool, pool.lease(prepare_chat_job(make_job()), far_deadline()):
        await with_timeout(pool.close())
        assert all(process.is_killed for process in starter.processes)
    assert len(starter.processes) == 3


async def test_close_ends_a_process_that_is_still_starting() -> None:
    process = MisbehavingProcess(hold="initialize")
    starter = ProcessStarter(lambda: process)
    pool = ChatPool(starter.create_worker, PoolSettings(1, 0, 9, 1e9, 1_000_000))
    starting = asyncio.create_task(pool.start())
    await with_timeout(process.frame_held.wait())
    starting.cancel()
    await with_timeout(pool.close())
    assert process.is_killed


async def test_waiting_and_later_jobs_fail_with_shutting_down_after_close() -> None:
    async with (
        run_pool(ProcessStarter(), workers=1, spares=0) as pool,
        pool.lease(prepare_chat_job(make_job()), far_deadline()),
    ):
        waiting = asyncio.create_task(serve(pool, "bob"))
        await asyncio.sleep(0)
        await with_timeout(pool.close())
        late = asyncio.create_task(serve(pool, "eve"))
        outcomes = await with_timeout(asyncio.gather(waiting, late, return_exceptions=True))
    assert [getattr(error, "kind", error) for error in outcomes] == [ErrorKind.SHUTTING_DOWN] * 2


async def test_notifies_the_observer_of_starts_exits_and_history_sources() -> None:
    class RecordingObserver:
        def __init__(self) -> None:
            self.events: list[tuple[str, str]] = []

        def process_started(self, kind: str, seconds: float) -> None:
            assert seconds >= 0
            self.events.append(("started", kind))

        def process_exited(self, kind: str, reason: str) -> None:
            self.events.append((reason, kind))

        def history_loaded(self, kind: str, source: str) -> None:
            self.events.append((source, kind))

    observer, starter = RecordingObserver(), ProcessStarter()
    pool = ChatPool(
        lambda _: ChatWorker(starter.start, MODEL, observer=observer),
        PoolSettings(1, 0, 1000, 1e9, 10**6, max_processes=1),
        observer,
    )
    await with_timeout(pool.start())
    await wait_all_ready(pool)
    first = make_job(key_id="ann")
    for job in (
        first,
        make_job(user_turn("hi"), assistant_turn("one"), user_turn("more"), key_id="ann"),
        make_job(key_id="bob"),
    ):
        async with pool.lease(prepare_chat_job(job), far_deadline()) as worker:
            await collect_events(worker, job)
        await wait_all_ready(pool)
    await with_timeout(pool.close())

    events = [event for event, kind in observer.events if kind == "chat"]
    assert events == ["started", "new", "reused", "evicted", "started", "new"]


async def test_worker_is_ready_again_although_all_threads_are_busy() -> None:
    release = threading.Event()
    with ThreadPoolExecutor(max_workers=1) as threads:
        asyncio.get_running_loop().set_default_executor(threads)
        try:
            async with run_pool(ProcessStarter(), spares=0) as pool:
                threads.submit(release.wait)
                worker = await serve(pool, "ann")
                assert await serve(pool, "ann") is worker
        finally:
            release.set()


def list_replacement_warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """List the warnings on replaced workers, without their beginning and the process id."""
    lines = (record.getMessage() for record in caplog.records if record.levelname == "WARNING")
    return [line.split(", ", 1)[1] for line in lines if line.startswith("chat worker replaced: process ")]


async def test_logs_why_a_worker_was_recycled(caplog: pytest.LogCaptureFixture) -> None:
    for limits, reason in (
        ({"max_jobs": 1}, "it has run 1 jobs"),
        ({"max_age_seconds": 0}, "it is older than 0 s"),
        ({"max_rss_mib": 1}, "MiB of memory"),
    ):
        starter = ProcessStarter()
        caplog.clear()
        async with run_pool(starter, spares=0, **limits) as pool:
            starter.processes[0].pid = os.getpid()
            await serve(pool, "ann")
            await wait_all_restarted(pool, starter, 2)
        [line] = list_replacement_warnings(caplog)  # and no warning at shutdown
        assert line.startswith("recycled: ")
        assert reason in line


async def test_logs_that_a_worker_was_evicted_for_another_key(caplog: pytest.LogCaptureFixture) -> None:
    async with run_pool(ProcessStarter(), workers=1, spares=0) as pool:
        await serve(pool, "ann")
        await wait_all_ready(pool)
        await serve(pool, "bob")
    assert list_replacement_warnings(caplog) == ["evicted: another key or job needs its slot"]


async def test_logs_how_a_worker_exited(caplog: pytest.LogCaptureFixture) -> None:
    starter = ProcessStarter()
    async with run_pool(starter, workers=1, spares=0) as pool:
        starter.processes[0].stderr = "starting\nfatal: no memory, token=hunter2\n"
        starter.processes[0].exit_with(3)
        await wait_all_restarted(pool, starter, 2)
    assert list_replacement_warnings(caplog) == [
        "exited: exit status 3, last line on stderr: fatal: no memory, token=[redacted]"
    ]


async def test_logs_that_a_worker_exited_during_a_job(caplog: pytest.LogCaptureFixture) -> None:
    starter = ProcessStarter(lambda: MisbehavingProcess(itertools.repeat([]), exit_at="prompt"))
    async with run_pool(starter, workers=1, spares=0) as pool:
        with pytest.raises(WorkerError):
            await serve(pool, "ann")
        await wait_all_restarted(pool, starter, 2)
    assert list_replacement_warnings(caplog) == ["exited: exit status 1, last line on stderr: its last line"]


async def test_logs_that_a_worker_is_unhealthy(caplog: pytest.LogCaptureFixture) -> None:
    starter = ProcessStarter(lambda: MisbehavingProcess(itertools.repeat([]), reject="switch_model"))
    async with run_pool(starter, workers=1, spares=0) as pool:
        with pytest.raises(WorkerError):
            await serve(pool, "ann", model="other")
        await wait_all_restarted(pool, starter, 2)
    [line] = list_replacement_warnings(caplog)
    assert line.startswith("unhealthy: it did not recover: ")
