"""A job to its events: waits for a worker, bounds the time, tries another where that cannot be noticed."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from functools import partial
from typing import Protocol

from claude_gateway.access.at_once import JobsAtOnce
from claude_gateway.access.keys import NO_BUDGET, Key
from claude_gateway.access.request_pacing import RequestPacer
from claude_gateway.errors import ApiError, is_of_the_machine, machine_failing
from claude_gateway.ledger.budget import expected
from claude_gateway.ledger.budget_queue import BudgetQueue, BudgetTicket
from claude_gateway.ledger.entry import INTERNAL, LEFT, Entry
from claude_gateway.ledger.ledger import Ledger
from claude_gateway.own_tools.counts import ToolCounts
from claude_gateway.prompt.token_count import estimate
from claude_gateway.retries import Retries
from workers.answer import is_visible
from workers.bill import OnCost
from workers.errors import ErrorKind, WorkerError, stopping
from workers.events import (
    Event,
    Finished,
    InputDelta,
    Restarted,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolBegan,
    ToolEnded,
)
from workers.job import ChatJob
from workers.large_jobs import over
from workers.media_limit import without_oldest_media

_log = logging.getLogger(__name__)

# So many pieces of an answer count as one request of its key, where keys compete.
_DELTAS_PER_REQUEST = 128

# Raises what a job ends in that may not be begun.
Check = Callable[[], Awaitable[None]]


class Runner(Protocol):
    """A worker, as far as this module needs one."""

    def run(self, job: ChatJob, deadline: float, on_cost: OnCost) -> AsyncGenerator[Event, None]: ...


# A worker for the job that holds a slot; called again, another one.
Lease = Callable[[], AbstractAsyncContextManager[Runner]]


class Dispatcher(Protocol):
    """What hands out workers: the scheduler, or a scripted one in tests. A job that needs another worker keeps its
    slot."""

    def slot(self, job: ChatJob, deadline: float, check: Check) -> AbstractAsyncContextManager[Lease]: ...


class StartCheck(Protocol):
    """Whether a job may begin, as things stand now."""

    async def key_of(self, job: ChatJob) -> Key: ...


class _AnyJob:
    """Lets every job begin."""

    async def key_of(self, job: ChatJob) -> Key:
        return Key(job.owner)


class ChatService:
    """Runs jobs. `max_seconds` bounds each from its arrival to its last event; `tools` keeps count of Claude's own,
    `ledger` of every job; `at_once` bounds how many an owner has, `budgets` what they may spend together; `start` says
    of each job whether it may begin; `refused` is told of a model that the upstream does not know."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        max_seconds: float,
        tools: ToolCounts | None = None,
        ledger: Ledger | None = None,
        at_once: JobsAtOnce | None = None,
        refused: Callable[[str], None] = lambda _: None,
        start: StartCheck | None = None,
        budgets: BudgetQueue | None = None,
        pacer: RequestPacer | None = None,
    ) -> None:
        self._dispatcher = dispatcher
        self._tools = tools or ToolCounts()
        self._ledger = ledger or Ledger()
        self._max_seconds = max_seconds
        self._at_once = at_once or JobsAtOnce(lambda _: None)
        self._refused = refused
        self._start = start or _AnyJob()
        self._budgets = budgets or BudgetQueue(self._ledger.spent, time.time)
        self._pacer = pacer or RequestPacer()
        self._stopped = False

    def stop(self) -> None:
        """From now on what ends a job is the end of this gateway, and none is tried again."""
        self._stopped = True

    def refuse_waiting(self, retry_after: float) -> None:
        """The gateway stops: jobs that wait for their key's budget will not be begun."""
        self._budgets.refuse_waiting(retry_after)

    def deadline(self) -> float:
        """When a job that arrives now must have ended, in the loop's clock."""
        return asyncio.get_running_loop().time() + self._max_seconds

    async def run(self, job: ChatJob, deadline: float | None = None) -> AsyncGenerator[Event, None]:
        """The events of a job; `Started` comes once. Raises `WorkerError`, and `ApiError` for one that may not begin
        any more. One that goes on from another shares its deadline.

        A job whose worker died or whose upstream connection broke is run again, as `Retries` allows. Where something
        was already passed on, `Restarted` comes first: a reader that cannot take back stops there, and nothing is
        asked of the upstream a second time. A job whose tools have done something is not run again.
        """
        deadline = self.deadline() if deadline is None else deadline
        job = await over(job, without_oldest_media, job)
        entry = self._ledger.open(job)
        event: Event | None = None
        # Whatever the job reserved is given back behind the last line, when the ledger knows what it spent.
        with self._budgets.ticket(job.owner) as ticket:
            try:
                with self._at_once.job(job.owner) as room:
                    await self._reserve(job, deadline, ticket)
                    check = partial(self._may_begin, job, entry, room)
                    async with aclosing(self._attempts(job, deadline, entry, check)) as events:
                        async for event in events:
                            yield event
            except WorkerError as error:
                if error.kind is ErrorKind.MODEL_NOT_FOUND:
                    self._refused(job.model)
                await self._ledger.end(entry, error.kind.name.lower())
                raise
            except ApiError as error:
                await self._ledger.end(entry, error.code or INTERNAL)
                raise
            except OSError as error:
                if not is_of_the_machine(error):
                    await self._ledger.end(entry, INTERNAL)
                    raise
                failed = machine_failing(error)
                await self._ledger.end(entry, failed.code or INTERNAL)
                raise failed from error
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

    async def _pace(self, key: str) -> None:
        """Read an answer more slowly that comes faster than models write, where other keys would wait for it."""
        seconds = self._pacer.wait(key, asyncio.get_running_loop().time())
        if seconds:
            await asyncio.sleep(min(seconds, self._pacer.limits.max_wait_seconds))

    async def _reserve(self, job: ChatJob, deadline: float, ticket: BudgetTicket) -> None:
        """Raises `ApiError` for a job that may not begin, `WorkerError` for one that waited too long."""
        key = await self._start.key_of(job)
        if key.budget == NO_BUDGET:
            return
        # Off the event loop: it looks through every document.
        prompt = await asyncio.to_thread(estimate, job)
        spent = self._ledger.spent(job.owner)
        await ticket.reserve(key.budget, expected(prompt, job.tuning.max_tokens, spent), deadline)

    async def _may_begin(self, job: ChatJob, entry: Entry, room: Callable[[], None]) -> None:
        """Raises `ApiError`, or `WorkerError` where the key may have fewer jobs now."""
        self._ledger.next(entry)
        await self._start.key_of(job)
        room()

    async def _attempts(self, job: ChatJob, deadline: float, entry: Entry, check: Check) -> AsyncGenerator[Event, None]:
        try:
            async with (
                self._dispatcher.slot(job, deadline, check) as lease,
                aclosing(self._tries(job, deadline, entry, check, lease)) as events,
            ):
                async for event in events:
                    yield event
        except WorkerError as error:
            if self._stopped:
                raise stopping() from error
            _log.warning("job failed: %s (%s) %s", error, error.kind.name, error.detail)
            raise

    async def _tries(
        self, job: ChatJob, deadline: float, entry: Entry, check: Check, lease: Lease
    ) -> AsyncGenerator[Event, None]:
        started = visible = worked = False
        deltas = 0
        calls = self._tools.of_job(job)
        retries = Retries()
        while True:
            try:
                async with lease() as worker:
                    await check()  # a process may have had to be started for it meanwhile
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
                            if isinstance(event, TextDelta | ThinkingDelta | InputDelta):
                                self._ledger.wrote(entry, len(event.text))
                                deltas += 1
                                if not deltas % _DELTAS_PER_REQUEST:
                                    await self._pace(job.owner)
                            if isinstance(event, Finished):
                                await self._ledger.finish(entry, event.usage)
                            yield event
            except WorkerError as error:
                if self._stopped or not retries.allow(error, visible=visible, worked=worked):
                    raise
                _log.warning("another worker is tried: %s (%s) %s", error, error.kind.name, error.detail)
            else:
                return
            if visible:
                yield Restarted()
                visible = False
            await check()  # before a process is taken from another owner
