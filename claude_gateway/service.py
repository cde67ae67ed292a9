"""A job to its events: waits for a worker, bounds the time, tries once more where that cannot be noticed."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Protocol

from claude_gateway.own_tools.counts import ToolCounts
from workers.answer import is_visible
from workers.errors import ErrorKind, WorkerError
from workers.events import Event, Restarted, Started, ToolBegan, ToolEnded, Working
from workers.job import ChatJob

_log = logging.getLogger(__name__)


class Runner(Protocol):
    """A worker, as far as this module needs one."""

    def run(self, job: ChatJob, deadline: float) -> AsyncGenerator[Event | Working, None]: ...


class Dispatcher(Protocol):
    """What hands out workers: the scheduler, or a scripted one in tests."""

    def worker(self, job: ChatJob, deadline: float) -> AbstractAsyncContextManager[Runner]: ...


class ChatService:
    """Runs jobs. `max_seconds` bounds each from its arrival to its last event; `tools` keeps count of Claude's own."""

    def __init__(self, dispatcher: Dispatcher, max_seconds: float, tools: ToolCounts | None = None) -> None:
        self._dispatcher = dispatcher
        self._tools = tools or ToolCounts()
        self._max_seconds = max_seconds
        self._stopped = False

    def stop(self) -> None:
        """From now on what ends a job is the end of this gateway, and none is tried again."""
        self._stopped = True

    def deadline(self) -> float:
        """When a job that arrives now must have ended, in the loop's clock."""
        return asyncio.get_running_loop().time() + self._max_seconds

    async def run(self, job: ChatJob, deadline: float | None = None) -> AsyncGenerator[Event, None]:
        """The events of a job; `Started` comes once. Raises `WorkerError`. One that goes on from another shares
        its deadline.

        A job whose worker died or whose upstream connection broke is run once more. Where something was
        already passed on, `Restarted` comes first: a reader that cannot take back stops there, and nothing is
        asked of the upstream a second time. A job whose tools have done something is not run once more.
        """
        deadline = self.deadline() if deadline is None else deadline
        started = visible = worked = False
        calls = self._tools.of_job(job)
        for last_try in (False, True):
            try:
                async with (
                    self._dispatcher.worker(job, deadline) as worker,
                    aclosing(worker.run(job, deadline)) as events,
                ):
                    async for event in events:
                        if isinstance(event, ToolBegan | ToolEnded):
                            worked = True
                            for told in calls.feed(event):
                                yield told
                            continue
                        if isinstance(event, Started) and started:
                            continue
                        started = True
                        visible = visible or is_visible(event)
                        yield event
            except WorkerError as error:
                if self._stopped:
                    raise WorkerError(ErrorKind.STOPPING, "The gateway is stopping.") from error
                _log.warning("job failed: %s (%s) %s", error, error.kind.name, error.detail)
                if last_try or worked or not error.another_attempt_could_help:
                    raise
            else:
                return
            if visible:
                yield Restarted()
                visible = False
