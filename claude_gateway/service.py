"""A job to its events: waits for a worker, bounds the time, tries once more where that cannot be noticed."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from functools import partial
from typing import Protocol

from claude_gateway.access.at_once import JobsAtOnce
from claude_gateway.ledger.entry import INTERNAL, LEFT, Entry
from claude_gateway.ledger.ledger import Ledger
from claude_gateway.own_tools.counts import ToolCounts
from workers.answer import is_visible
from workers.bill import OnCost
from workers.errors import ErrorKind, WorkerError, stopping
from workers.events import Event, Finished, Restarted, Started, ToolBegan, ToolEnded
from workers.job import ChatJob
from workers.large_jobs import over
from workers.media_limit import without_oldest_media

_log = logging.getLogger(__name__)


class Runner(Protocol):
    """A worker, as far as this module needs one."""

    def run(self, job: ChatJob, deadline: float, on_cost: OnCost) -> AsyncGenerator[Event, None]: ...


class Dispatcher(Protocol):
    """What hands out workers: the scheduler, or a scripted one in tests."""

    def worker(self, job: ChatJob, deadline: float) -> AbstractAsyncContextManager[Runner]: ...


class ChatService:
    """Runs jobs. `max_seconds` bounds each from its arrival to its last event; `tools` keeps count of Claude's own,
    `ledger` of every job; `at_once` bounds how many an owner has; `refused` is told of a model that the upstream does
    not know."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        max_seconds: float,
        tools: ToolCounts | None = None,
        ledger: Ledger | None = None,
        at_once: JobsAtOnce | None = None,
        refused: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._dispatcher = dispatcher
        self._tools = tools or ToolCounts()
        self._ledger = ledger or Ledger()
        self._max_seconds = max_seconds
        self._at_once = at_once or JobsAtOnce(lambda _: None)
        self._refused = refused
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
        job = await over(job, without_oldest_media, job)
        entry = self._ledger.open(job)
        event: Event | None = None
        try:
            with self._at_once.job(job.owner):
                async with aclosing(self._attempts(job, deadline, entry)) as events:
                    async for event in events:
                        yield event
        except WorkerError as error:
            if error.kind is ErrorKind.MODEL_NOT_FOUND:
                self._refused(job.model)
            await self._ledger.end(entry, error.kind.name.lower())
            raise
        except asyncio.CancelledError:
            self._ledger.leave(entry, LEFT)
            raise
        except GeneratorExit:
            # Who stops reading at a `Restarted` has not left: he could not take back what he had passed on.
            self._ledger.leave(entry, ErrorKind.CUT.name.lower() if isinstance(event, Restarted) else LEFT)
            raise
        except Exception:
            await self._ledger.end(entry, INTERNAL)
            raise
        # Events without an end: so their reader takes it, too.
        await self._ledger.end(entry, ErrorKind.CUT.name.lower())

    async def _attempts(self, job: ChatJob, deadline: float, entry: Entry) -> AsyncGenerator[Event, None]:
        started = visible = worked = False
        calls = self._tools.of_job(job)
        for last_try in (False, True):
            try:
                async with self._dispatcher.worker(job, deadline) as worker:
                    await self._ledger.begin(entry)
                    async with aclosing(worker.run(job, deadline, partial(self._ledger.cost, entry))) as events:
                        async for event in events:
                            if isinstance(event, ToolBegan | ToolEnded):
                                worked = True
                                for told in calls.feed(event):
                                    yield told
                                continue
                            if isinstance(event, Started):
                                self._ledger.accepted(entry, event)
                                if started:
                                    continue
                            started = True
                            if not visible and is_visible(event):
                                visible = True
                                self._ledger.shown(entry)
                            if isinstance(event, Finished):
                                await self._ledger.finish(entry, event.usage)
                            yield event
            except WorkerError as error:
                if self._stopped:
                    raise stopping() from error
                _log.warning("job failed: %s (%s) %s", error, error.kind.name, error.detail)
                if last_try or worked or not error.another_attempt_could_help:
                    raise
            else:
                return
            if visible:
                yield Restarted()
                visible = False
