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
from tests.workers.scripted_process import ScriptedProcess, text_reply_frames
from workers.core.errors import ErrorKind, WorkerError
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
    ) -> None:
        """Create a starter whose first `failing` start_count fail."""
        self._system_in_body = system_in_body
        self.processes: list[ScriptedProcess] = []
        self._failing_count = failing
        self.start_count = 0
        self.max_alive = 0
        self._make = make

    def create_worker(self, _: str) -> ChatWorker:
        return ChatWorker(self.start, MODEL, system_in_body=self._system_in_body)

    def alive(self) -> int:
        return sum(not process.is_killed for process in self.processes)

    async def start(self, _: object) -> ScriptedProcess:
        self.start_count += 1
        if self.start_count <= self._failing_count:
            raise OSError("no more processes")
        process = self._make()
        self.processes.append(process)
        self.max_alive = max(self.max_alive, self.alive())
        return process


@asynccontextmanager
async def run_pool(
    starter: ProcessStarter, workers: int = 1, spares: int = 1, **limits_override: Any
) -> AsyncIterator[ChatPool]:
    """Run a pool whose processes are all ready; close it at the end."""
    limits = {
        "max_jobs": 1000,
        "max_age_seconds": 1e9,
        "max_rss_mib": 1_000_000,
        "min_backoff_seconds": 0.001,
    } | limits_override
    pool = ChatPool(starter.create_worker, PoolSettings(workers, spares, **limits))
    try:
        await with_timeout(pool.start())
        await wait_all_ready(pool)
        yield pool
    finally:
        await with_timeout(pool.close())


async def serve(pool: ChatPool, key_id: str, **job: Any) -> ChatWorker:
    """Run one job in the pool; return the worker that ran it."""
    chat_job = make_job(*job.pop("turns", ()), key_id=key_id, **job)
    async with asyncio.timeout(10), pool.lease(prepare_chat_job(chat_job), far_deadline()) as worker:
        await collect_events(worker, chat_job)
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
        assert starter.processes[0].is_killed != starter.processes[1].is_killed
        await wait_all_restarted(pool, starter, 3)
        assert pool.count_phases() == {Phase.READY: 2}


@pytest.mark.parametrize("system_in_body", [True, False])
async def test_job_without_a_system_prompt_gets_a_worker_that_never_had_one_with_a_cli_login(
    system_in_body: bool,
) -> None:
    async with run_pool(ProcessStarter(system_in_body=system_in_body), workers=1, spares=1) as pool:
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
        lambda: ChatWorker(starter.start, MODEL, observer=observer), PoolSettings(1, 0, 1000, 1e9, 10**6), observer
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
