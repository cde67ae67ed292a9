"""Large requests are read in processes of their own: bounded, fair to each key, and none of them is left."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from claude_gateway.errors import ApiError
from claude_gateway.offload.limits import OffloadLimits
from claude_gateway.offload.pool import Offload
from tests.claude_gateway.offload import tasks
from tests.workers.helpers import soon

LIMITS = OffloadLimits(processes=2, task_seconds=0.5, task_bytes=256 * 2**20)


@pytest_asyncio.fixture
async def offload() -> AsyncIterator[Offload]:
    pool = Offload(LIMITS)
    yield pool
    await pool.close()


@pytest.fixture(autouse=True)
def _find_the_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the processes import the tasks of the tests, which are not installed."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))


@pytest.fixture
def pipe(tmp_path: Path) -> str:
    path = str(tmp_path / "pipe")
    os.mkfifo(path)
    return path


async def let_go(pipe: str) -> None:
    """End one task that waits for the pipe, once it does."""
    await asyncio.to_thread(lambda: os.close(os.open(pipe, os.O_WRONLY)))


async def refused(work: asyncio.Future[object]) -> ApiError:
    with pytest.raises(ApiError) as found:
        await work
    return found.value


async def test_a_task_runs_in_a_process_that_the_next_one_finds_again(offload: Offload) -> None:
    assert await offload.run("a", tasks.add, 1, 2) == 3
    process = await offload.run("a", tasks.pid)
    assert process != os.getpid()
    assert await offload.run("b", tasks.pid) == process


async def test_a_process_is_there_ahead_of_need() -> None:
    pool = Offload(LIMITS)
    await pool.warm()
    (process,) = pool._idle
    assert await pool.run("a", tasks.pid) == process.pid
    await pool.close()
    assert not psutil.pid_exists(process.pid)


async def test_a_refusal_crosses_whole(offload: Offload) -> None:
    error = await refused(asyncio.ensure_future(offload.run("a", tasks.refuse)))
    assert (error.status, error.type, error.message, error.code) == (422, "validation_error", "no", "refused")
    assert (error.param, error.retry_after, error.extra) == ("a", 3, {"details": [1]})


async def test_an_unforeseen_error_is_no_refusal_and_the_process_goes_on(offload: Offload) -> None:
    with pytest.raises(RuntimeError, match="unforeseen"):
        await offload.run("a", tasks.fail)
    assert await offload.run("a", tasks.add, 1, 2) == 3


async def test_a_task_that_takes_too_long_is_a_413_that_names_the_limit(offload: Offload) -> None:
    error = await refused(asyncio.ensure_future(offload.run("a", tasks.work_for_ever)))
    assert (error.status, error.code) == (413, "request_too_costly")
    assert "0.5 s" in error.message
    assert await offload.run("a", tasks.add, 1, 2) == 3


async def test_a_task_that_needs_too_much_memory_is_a_413_that_names_the_limit(offload: Offload) -> None:
    error = await refused(asyncio.ensure_future(offload.run("a", tasks.hoard, 300 * 2**20)))
    assert (error.status, error.code) == (413, "request_too_costly")
    assert "256 MiB" in error.message
    assert await offload.run("a", tasks.add, 1, 2) == 3


async def test_a_process_that_somebody_ended_is_replaced(offload: Offload) -> None:
    process = await offload.run("a", tasks.pid)
    os.kill(process, signal.SIGKILL)
    await asyncio.to_thread(os.waitid, os.P_PID, process, os.WEXITED | os.WNOWAIT)
    assert await offload.run("a", tasks.pid) != process


async def test_a_process_that_holds_much_memory_is_replaced() -> None:
    pool = Offload(replace(LIMITS, idle_bytes=1))
    first = await pool.run("a", tasks.pid)
    assert await pool.run("a", tasks.pid) != first
    await pool.close()


async def test_a_key_has_one_process_at_a_time_and_others_do_not_wait_for_it(offload: Offload, pipe: str) -> None:
    first = asyncio.create_task(offload.run("a", tasks.wait_for, pipe))
    second = asyncio.create_task(offload.run("a", tasks.add, 1, 2))

    assert await soon(offload.run("b", tasks.add, 3, 4)) == 7

    assert not second.done()
    await let_go(pipe)
    await soon(first)
    assert await soon(second) == 3


async def test_the_key_that_has_spent_least_is_next(pipe: str) -> None:
    pool = Offload(replace(LIMITS, processes=1))
    order: list[str] = []

    async def run(key: str) -> None:
        await pool.run(key, tasks.add, 1, 2)
        order.append(key)

    with pool.inline("heavy"):
        pass
    pool._spending.spend("heavy", 5, pool._now())
    running = asyncio.create_task(pool.run("other", tasks.wait_for, pipe))
    waiting = [asyncio.create_task(run(key)) for key in ("heavy", "heavy", "light")]
    await let_go(pipe)
    await soon(asyncio.gather(running, *waiting))

    assert order == ["light", "heavy", "heavy"]
    await pool.close()


async def test_a_key_that_has_spent_its_time_is_told_when_to_come_back(offload: Offload) -> None:
    offload._spending.spend("a", 40, offload._now())
    error = await refused(asyncio.ensure_future(offload.run("a", tasks.add, 1, 2)))
    assert (error.status, error.code, error.retry_after) == (429, "reading_time_spent", 20)
    assert await offload.run("b", tasks.add, 1, 2) == 3


async def test_a_task_that_waits_too_long_and_one_too_many_are_a_503(pipe: str) -> None:
    pool = Offload(replace(LIMITS, processes=1, wait_seconds=0.05, waiting_per_key=1))
    running = asyncio.create_task(pool.run("a", tasks.wait_for, pipe))
    first = asyncio.create_task(pool.run("b", tasks.add, 1, 2))
    second = asyncio.create_task(pool.run("b", tasks.add, 1, 2))

    errors = [await refused(second), await refused(first)]

    assert [(error.status, error.code, error.retry_after) for error in errors] == [(503, "reading_busy", 5)] * 2
    await let_go(pipe)
    await soon(running)
    await pool.close()


async def test_a_client_that_leaves_neither_keeps_the_process_nor_ends_it(offload: Offload, pipe: str) -> None:
    process = await offload.run("a", tasks.pid)
    leaving = asyncio.create_task(offload.run("a", tasks.wait_for, pipe))
    waiting = asyncio.create_task(offload.run("a", tasks.add, 1, 2))
    await asyncio.sleep(0)
    leaving.cancel()
    waiting.cancel()
    await let_go(pipe)

    assert await soon(offload.run("a", tasks.pid)) == process


async def test_small_requests_of_a_key_take_the_event_loop_for_a_short_time_only() -> None:
    now = 0.0
    pool = Offload(LIMITS, lambda: now, lambda: now)
    assert pool.has_inline_time("a")
    with pool.inline("a"):
        now += 0.12
    assert not pool.has_inline_time("a")
    with pool.inline("b"):
        now += 0.06
    assert not pool.has_inline_time("b")  # all together have taken their time
    assert pool.has_inline_time("c")  # it has taken nothing of it
    now += 3
    assert pool.has_inline_time("a")
    await pool.close()


async def test_nothing_secret_is_in_the_environment_of_a_process(
    offload: Offload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    assert "sk-secret" not in (await offload.run("a", tasks.environment)).values()


async def test_closing_ends_a_task_that_runs(pipe: str) -> None:
    pool = Offload(LIMITS)
    running = asyncio.create_task(pool.run("a", tasks.work_for_ever))
    await pool.warm()
    processes = [process.pid for process in pool._all]
    await soon(pool.close())
    assert (await refused(running)).status in (413, 503)
    assert not any(map(psutil.pid_exists, processes))
