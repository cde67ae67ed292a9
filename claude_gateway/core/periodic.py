"""Runs functions periodically in the background."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

_log = logging.getLogger(__name__)

Sleep = Callable[[float], Awaitable[None]]


@asynccontextmanager
async def run_every(
    interval_seconds: float,
    function: Callable[[], Awaitable[object]],
    *,
    task_name: str,
    starts_at_once: bool = False,
    sleep: Sleep = asyncio.sleep,
) -> AsyncIterator[None]:
    """Run a function periodically while the context is open.

    If the function raises an exception, the task logs the exception and calls the function again after the next
    interval. When the context closes, the task cancels a running call and waits until the call has ended.

    Args:
        interval_seconds: The pause between the end of one run and the start of the next.
        function: The function to run.
        task_name: The name by which log lines describe the task, such as "the deletion of expired sessions".
        starts_at_once: Whether the task calls the function before the first pause.
        sleep: Function that waits for the interval. Tests pass a different function.
    """
    task = asyncio.create_task(_run_forever(interval_seconds, function, task_name, starts_at_once, sleep))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _run_forever(
    interval_seconds: float,
    function: Callable[[], Awaitable[object]],
    task_name: str,
    starts_at_once: bool,
    sleep: Sleep,
) -> None:
    if not starts_at_once:
        await sleep(interval_seconds)
    while True:
        try:
            await function()
        except Exception:
            _log.exception("%s failed; the next attempt follows in %g seconds", task_name, interval_seconds)
        await sleep(interval_seconds)
