"""Periodic tasks: intervals, errors and the end of the context."""

import asyncio
import logging

import pytest

from claude_gateway.core.periodic import run_every
from tests.claude_gateway.manual_timer import ManualTimer


class Work:
    """A function that counts its runs and raises the given errors first."""

    def __init__(self, *errors: Exception) -> None:
        self.run_count = 0
        self._errors = list(errors)

    async def run(self) -> None:
        self.run_count += 1
        if self._errors:
            raise self._errors.pop(0)


async def test_runs_after_each_interval() -> None:
    timer, work = ManualTimer(), Work()

    async with run_every(60, work.run, task_name="the work", sleep=timer.sleep):
        await timer.wait_asleep()
        assert work.run_count == 0
        await timer.tick()
        await timer.tick()

    assert work.run_count == 2
    assert timer.intervals == [60, 60, 60]


async def test_first_run_is_immediate_with_starts_at_once() -> None:
    timer, work = ManualTimer(), Work()

    async with run_every(60, work.run, task_name="the work", starts_at_once=True, sleep=timer.sleep):
        await timer.wait_asleep()

        assert work.run_count == 1


async def test_logs_an_error_and_continues(caplog: pytest.LogCaptureFixture) -> None:
    timer, work = ManualTimer(), Work(ValueError("the reason"))

    async with run_every(60, work.run, task_name="the work", sleep=timer.sleep):
        await timer.tick()
        await timer.tick()

    assert work.run_count == 2
    ((_, level, message),) = caplog.record_tuples
    assert (level, message) == (logging.ERROR, "the work failed; the next attempt follows in 60 seconds")
    assert "the reason" in caplog.text


async def test_cancels_a_running_function_at_the_end_and_waits_for_it() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.set()

    async with run_every(60, work, task_name="the work", starts_at_once=True):
        await started.wait()

    assert ended.is_set()


async def test_raises_the_error_of_the_with_block() -> None:
    with pytest.raises(ValueError, match="of the block"):
        async with run_every(60, Work().run, task_name="the work"):
            raise ValueError("of the block")
