"""Pool of task processes: limits, fairness between keys, and shutdown."""

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from claude_gateway.core.errors import ApiError
from claude_gateway.offload.limits import OffloadLimits
from claude_gateway.offload.pool import OffloadPool
from claude_gateway.offload.process import TaskProcess
from tests.claude_gateway.offload import tasks
from tests.workers.helpers import with_timeout

LIMITS = OffloadLimits(max_processes=2, max_task_cpu_seconds=0.5, max_task_bytes=256 * 2**20)


@pytest_asyncio.fixture
async def offload() -> AsyncIterator[OffloadPool]:
    pool = OffloadPool(LIMITS)
    yield pool
    await pool.close()


@pytest.fixture(autouse=True)
def _add_tasks_to_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the processes import the tasks of the tests, which are not installed."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))


@pytest.fixture
def pipe(tmp_path: Path) -> str:
    path = str(tmp_path / "pipe")
    os.mkfifo(path)
    return path


async def release_pipe(pipe: str) -> None:
    """Wait until a task reads from the pipe, and end it."""
    await asyncio.to_thread(lambda: os.close(os.open(pipe, os.O_WRONLY)))


async def get_rejection(task: asyncio.Future[object]) -> ApiError:
    with pytest.raises(ApiError) as raised:
        await task
    return raised.value


async def test_next_task_reuses_the_process(offload: OffloadPool) -> None:
    assert await offload.run("a", tasks.add, 1, 2) == 3
    process = await offload.run("a", tasks.get_pid)
    assert process != os.getpid()
    assert await offload.run("b", tasks.get_pid) == process


async def test_starts_a_process_ahead_of_demand() -> None:
    pool = OffloadPool(LIMITS)
    await pool.prestart()
    (process,) = pool._idle
    assert await pool.run("a", tasks.get_pid) == process.pid
    await pool.close()
    assert not psutil.pid_exists(process.pid)


async def test_passes_api_error_of_a_task_unchanged(offload: OffloadPool) -> None:
    error = await get_rejection(asyncio.ensure_future(offload.run("a", tasks.raise_api_error)))
    assert (error.status, error.type, error.message, error.code) == (422, "validation_error", "no", "refused")
    assert (error.param, error.retry_after, error.extra) == ("a", 3, {"details": [1]})


async def test_unexpected_error_is_not_an_api_error_and_the_process_continues(offload: OffloadPool) -> None:
    with pytest.raises(RuntimeError, match="unexpected error"):
        await offload.run("a", tasks.raise_value_error)
    assert await offload.run("a", tasks.add, 1, 2) == 3


async def test_rejects_task_over_its_time_limit_with_413(offload: OffloadPool) -> None:
    error = await get_rejection(asyncio.ensure_future(offload.run("a", tasks.loop_forever)))
    assert (error.status, error.code) == (413, "request_too_complex")
    assert "0.5 s" in error.message
    assert await offload.run("a", tasks.add, 1, 2) == 3


async def test_rejects_task_over_its_memory_limit_with_413(offload: OffloadPool) -> None:
    error = await get_rejection(asyncio.ensure_future(offload.run("a", tasks.allocate, 300 * 2**20)))
    assert (error.status, error.code) == (413, "request_too_complex")
    assert "256 MiB" in error.message
    assert await offload.run("a", tasks.add, 1, 2) == 3


async def test_replaces_a_killed_process(offload: OffloadPool) -> None:
    process = await offload.run("a", tasks.get_pid)
    os.kill(process, signal.SIGKILL)
    await asyncio.to_thread(os.waitid, os.P_PID, process, os.WEXITED | os.WNOWAIT)
    assert await offload.run("a", tasks.get_pid) != process


async def test_replaces_a_process_that_holds_much_memory() -> None:
    pool = OffloadPool(replace(LIMITS, max_idle_bytes=1))
    first = await pool.run("a", tasks.get_pid)
    assert await pool.run("a", tasks.get_pid) != first
    await pool.close()


async def test_runs_one_process_per_key_and_does_not_block_other_keys(offload: OffloadPool, pipe: str) -> None:
    first = asyncio.create_task(offload.run("a", tasks.wait_for_pipe, pipe))
    second = asyncio.create_task(offload.run("a", tasks.add, 1, 2))

    assert await with_timeout(offload.run("b", tasks.add, 3, 4)) == 7

    assert not second.done()
    await release_pipe(pipe)
    await with_timeout(first)
    assert await with_timeout(second) == 3


async def test_serves_the_key_that_has_spent_least_first(pipe: str) -> None:
    pool = OffloadPool(replace(LIMITS, max_processes=1))
    order: list[str] = []

    async def run(key: str) -> None:
        await pool.run(key, tasks.add, 1, 2)
        order.append(key)

    pool.run_inline("heavy", lambda: None)
    pool._cpu_budget.spend("heavy", 5, pool._now())
    running = asyncio.create_task(pool.run("other", tasks.wait_for_pipe, pipe))
    waiting = [asyncio.create_task(run(key)) for key in ("heavy", "heavy", "light")]
    await release_pipe(pipe)
    await with_timeout(asyncio.gather(running, *waiting))

    assert order == ["light", "heavy", "heavy"]
    await pool.close()


async def test_rejects_task_of_a_key_over_its_cpu_budget_with_429_and_a_retry_time(offload: OffloadPool) -> None:
    offload._cpu_budget.spend("a", 40, offload._now())
    error = await get_rejection(asyncio.ensure_future(offload.run("a", tasks.add, 1, 2)))
    assert (error.status, error.code, error.retry_after) == (429, "parsing_budget_exceeded", 20)
    assert await offload.run("b", tasks.add, 1, 2) == 3


async def test_rejects_task_that_waits_too_long_or_exceeds_the_queue_with_503(pipe: str) -> None:
    pool = OffloadPool(replace(LIMITS, max_processes=1, queue_timeout_seconds=0.05, max_waiting_per_key=1))
    running = asyncio.create_task(pool.run("a", tasks.wait_for_pipe, pipe))
    first = asyncio.create_task(pool.run("b", tasks.add, 1, 2))
    second = asyncio.create_task(pool.run("b", tasks.add, 1, 2))

    errors = [await get_rejection(second), await get_rejection(first)]

    assert [(error.status, error.code, error.retry_after) for error in errors] == [(503, "parsing_overloaded", 5)] * 2
    await release_pipe(pipe)
    await with_timeout(running)
    await pool.close()


async def test_disconnected_client_neither_keeps_nor_ends_the_process(offload: OffloadPool, pipe: str) -> None:
    process = await offload.run("a", tasks.get_pid)
    running = asyncio.create_task(offload.run("a", tasks.wait_for_pipe, pipe))
    waiting = asyncio.create_task(offload.run("a", tasks.add, 1, 2))
    await asyncio.sleep(0)
    running.cancel()
    waiting.cancel()
    await release_pipe(pipe)

    assert await with_timeout(offload.run("a", tasks.get_pid)) == process


async def test_small_requests_of_a_key_block_the_event_loop_only_briefly() -> None:
    now = 0.0

    def block(seconds: float) -> None:
        nonlocal now
        now += seconds

    pool = OffloadPool(LIMITS, lambda: now, lambda: now)
    assert pool.has_inline_time("a")
    pool.run_inline("a", block, 0.12)
    assert not pool.has_inline_time("a")
    pool.run_inline("b", block, 0.06)
    assert not pool.has_inline_time("b")  # all keys together have spent their time
    assert pool.has_inline_time("c")  # this key has not spent any time
    now += 3
    assert pool.has_inline_time("a")
    await pool.close()


async def test_task_process_environment_contains_no_secret(
    offload: OffloadPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    assert "sk-secret" not in (await offload.run("a", tasks.get_environment)).values()


async def test_closing_the_pool_ends_a_running_task(pipe: str) -> None:
    pool = OffloadPool(LIMITS)
    running = asyncio.create_task(pool.run("a", tasks.loop_forever))
    await pool.prestart()
    processes = [process.pid for process in pool._processes]
    await with_timeout(pool.close())
    assert (await get_rejection(running)).status in (413, 503)
    assert not any(map(psutil.pid_exists, processes))


async def test_a_process_that_starts_while_the_pool_closes_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    is_starting, may_start = threading.Event(), threading.Event()
    started: list[TaskProcess] = []

    def start_slowly(limits: OffloadLimits) -> TaskProcess:
        is_starting.set()
        may_start.wait(60)
        started.append(TaskProcess(limits))
        return started[0]

    monkeypatch.setattr("claude_gateway.offload.pool.TaskProcess", start_slowly)
    pool = OffloadPool(LIMITS)
    prestart = asyncio.create_task(pool.prestart())
    await asyncio.to_thread(is_starting.wait, 60)

    await pool.close()
    may_start.set()
    await with_timeout(prestart)

    assert started[0].has_exited
