"""Class that runs background tasks for one object, so that the object can wait for the tasks and cancel them."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class BackgroundTasks:
    """Runs tasks and keeps references to them, because the event loop itself keeps only weak references to tasks."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine in a new task, and return the task."""
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def cancel(self) -> None:
        """Cancel every running task."""
        for task in list(self._tasks):
            task.cancel()

    async def cancel_and_wait(self) -> None:
        """Cancel every running task, and wait until all tasks have ended. Ignore errors that the tasks raise."""
        self.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def wait(self) -> None:
        """Wait until every task that runs now has ended.

        Raises:
            Exception: The first exception that a task raised.
        """
        await asyncio.gather(*self._tasks)
