"""Runs chat jobs. The service waits for a worker, enforces the deadline, and retries failed jobs on another worker."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from claude_gateway.auth.concurrency import ConcurrencyLimiter
from claude_gateway.auth.models import NO_BUDGET, ApiKey, Budget
from claude_gateway.auth.request_pacing import RequestPacer
from claude_gateway.builtin_tools.counters import ToolCounters
from claude_gateway.core.errors import ApiError, error_code, host_failure, is_host_failure
from claude_gateway.dialects.common.content.token_count import estimate_prompt_tokens
from claude_gateway.jobs.progress import JobProgress
from claude_gateway.jobs.retries import RetryPolicy
from claude_gateway.usage.budget import estimate_spend
from claude_gateway.usage.budget_queue import BudgetQueue, BudgetReservation
from claude_gateway.usage.record import CLIENT_DISCONNECTED, INTERNAL_ERROR, RequestContext, UsageRecord
from claude_gateway.usage.recorder import UsageRecorder
from workers.conversation.media_limit import drop_oldest_media
from workers.core.errors import ErrorKind, WorkerError, shutting_down
from workers.core.event_loop import loop_time
from workers.core.events import EventBatch, EventStream, Started, StreamReset
from workers.core.job import ChatJob
from workers.core.message_blocks import is_plain_text
from workers.host.large_job_threads import run_for_job
from workers.scheduling.scheduler import JobSlot, StartGuard
from workers.worker.cost_meter import CostCallback

_log = logging.getLogger(__name__)


class Runner(Protocol):
    """Interface of a worker, as far as this module uses it."""

    def run(self, job: Any, deadline: float, on_cost: CostCallback) -> EventStream:
        """Run a job that the worker source has prepared, and yield its events."""
        ...

    @property
    def login(self) -> str:
        """The name of the login with which the worker runs the job."""
        ...

    def report_accepted(self) -> None:
        """Record that the upstream has accepted the job."""
        ...


class WorkerSource(Protocol):
    """Interface of the source of workers. The source is the engine, or a scripted source in tests."""

    def acquire_slot(
        self, job: ChatJob, deadline: float, check: StartGuard
    ) -> AbstractAsyncContextManager[JobSlot[Any, Runner]]:
        """Wait for a slot for the job. The job keeps the slot if it needs another worker for a retry."""
        ...


class StartChecker(Protocol):
    """Interface of the check that the service runs directly before a job starts."""

    async def check_start(self, job: ChatJob, credential: bytes) -> ApiKey:
        """Return the key of the job, or raise `ApiError` if the job may not start."""
        ...


class _AllowAllStarts:
    """Start checker that lets every job start."""

    async def check_start(self, job: ChatJob, credential: bytes) -> ApiKey:  # noqa: ARG002 - part of the protocol
        return ApiKey(job.key_id, group=job.group, login=job.login)


class ChatService:
    """Runs chat jobs.

    Args:
        worker_source: Source of workers.
        max_seconds: Time limit of a job, from its arrival to its last event.
        tool_counters: Counters of tool calls.
        usage_recorder: Recorder of the usage of every job.
        concurrency_limiter: Limit on the concurrent jobs of a key.
        on_model_rejected: Called with the name of a model that the upstream knows for no login that serves it.
        start_checker: Decides directly before the start of a job whether the job may still run.
        budget_queue: Queue of jobs that wait for the budget of their key.
        pacer: Slows down replies with very many events while several keys send requests.
    """

    def __init__(
        self,
        worker_source: WorkerSource,
        max_seconds: float,
        tool_counters: ToolCounters | None = None,
        usage_recorder: UsageRecorder | None = None,
        concurrency_limiter: ConcurrencyLimiter | None = None,
        on_model_rejected: Callable[[str], None] = lambda _: None,
        start_checker: StartChecker | None = None,
        budget_queue: BudgetQueue | None = None,
        pacer: RequestPacer | None = None,
    ) -> None:
        self._worker_source = worker_source
        self._tool_counters = tool_counters or ToolCounters()
        self._usage_recorder = usage_recorder or UsageRecorder()
        self._max_seconds = max_seconds
        self._concurrency_limiter = concurrency_limiter or ConcurrencyLimiter(lambda _: None)
        self._on_model_rejected = on_model_rejected
        self._start_checker = start_checker or _AllowAllStarts()
        self._budget_queue = budget_queue or BudgetQueue(self._usage_recorder.get_spend_today, time.time)
        self._pacer = pacer or RequestPacer()
        self._is_shutting_down = False

    def begin_shutdown(self) -> None:
        """Report every failure as a shutdown from now on, and retry no job."""
        self._is_shutting_down = True

    def reject_waiters(self, retry_after: float) -> None:
        """Reject the jobs that wait for their key's budget, because the gateway shuts down."""
        self._budget_queue.reject_waiters(retry_after)

    def new_deadline(self) -> float:
        """Return the deadline of a job that arrives now, as a time on the clock of the event loop."""
        return loop_time() + self._max_seconds

    async def run(
        self, job: ChatJob, deadline: float | None = None, context: RequestContext | None = None
    ) -> EventStream:
        """Run a job and yield its events. The event `Started` comes only once, even if the job runs again.

        If the worker exits or the upstream connection is interrupted, the service runs the job again, as far as
        `RetryPolicy` allows. If it has already passed on a part of the reply, it first yields `StreamReset`. A reader
        that cannot undo output stops at this event, and then the service sends no second request upstream. The service
        does not repeat a job whose tools have run. `StreamReset` is always a batch of its own.

        Args:
            job: The job.
            deadline: Deadline on the clock of the event loop. A job that continues another job gets the deadline of
                that job. If the argument is None, the job gets a new deadline.
            context: Context of the request to which the job belongs, for the job's usage records.

        Raises:
            WorkerError: If the job fails.
            ApiError: If the job may no longer start, or the machine of the gateway fails.
        """
        deadline = self.new_deadline() if deadline is None else deadline
        if not is_plain_text(job.turns):
            job = await run_for_job(job, drop_oldest_media, job)
        record = self._usage_recorder.open(job, context)
        batch: EventBatch = ()
        # This context releases the reserved budget after the usage record has ended, because the recorder then knows
        # the actual spend.
        with self._budget_queue.reservation(job.key_id) as reservation:
            try:
                with self._concurrency_limiter.acquire(job.key_id) as check_concurrency:
                    key = await self._start_checker.check_start(job, record.context.credential)
                    # The job keeps this group and login, even if the operator changes the key while the job waits.
                    job = replace(job, group=key.group, login=key.login)
                    await self._reserve_budget(job, key.budget, deadline, reservation)
                    check = partial(self._check_start, job, record, check_concurrency)
                    async with aclosing(self._run_in_slot(job, deadline, record, check)) as batches:
                        async for batch in batches:
                            yield batch
            except WorkerError as error:
                if error.is_model_unknown:
                    self._on_model_rejected(job.model)
                await self._usage_recorder.end(record, error_code(error.kind))
                raise
            except ApiError as error:
                await self._usage_recorder.end(record, error.code or INTERNAL_ERROR)
                raise
            except OSError as error:
                if not is_host_failure(error):
                    await self._usage_recorder.end(record, INTERNAL_ERROR)
                    raise
                api_error = host_failure(error)
                await self._usage_recorder.end(record, api_error.code or INTERNAL_ERROR)
                raise api_error from error
            except asyncio.CancelledError:
                self._usage_recorder.abandon(record, CLIENT_DISCONNECTED)
                raise
            except GeneratorExit:
                # A reader that stops at `StreamReset` did not disconnect. It stopped because it could not undo output
                # already sent.
                self._usage_recorder.abandon(
                    record,
                    error_code(ErrorKind.UPSTREAM_DISCONNECTED)
                    if batch and isinstance(batch[-1], StreamReset)
                    else CLIENT_DISCONNECTED,
                )
                raise
            except Exception:
                await self._usage_recorder.end(record, INTERNAL_ERROR)
                raise
            # The stream ended without `Finished`. Record the job as interrupted, because the reader also treats it as
            # interrupted.
            await self._usage_recorder.end(record, error_code(ErrorKind.UPSTREAM_DISCONNECTED))

    async def _pace(self, key_id: str) -> None:
        """Slow down a reply that arrives faster than models generate text, while other keys also send requests."""
        seconds = self._pacer.wait_seconds(key_id, loop_time())
        if seconds:
            await asyncio.sleep(min(seconds, self._pacer.limits.max_wait_seconds))

    async def _reserve_budget(
        self, job: ChatJob, budget: Budget, deadline: float, reservation: BudgetReservation
    ) -> None:
        """Wait until the budget of the key covers the estimated spend of the job, and reserve that amount.

        Raises:
            ApiError: If the budget is exceeded or the gateway shuts down.
            WorkerError: If the deadline passes first.
        """
        if budget == NO_BUDGET:
            return
        # Calculate the estimate in a thread, because it reads every document and would block the event loop.
        prompt_tokens = await asyncio.to_thread(estimate_prompt_tokens, job)
        spent = self._usage_recorder.get_spend_today(job.key_id)
        await reservation.reserve(budget, estimate_spend(prompt_tokens, job.params.max_tokens, spent), deadline)

    async def _check_start(self, job: ChatJob, record: UsageRecord, check_concurrency: Callable[[], None]) -> None:
        """Check directly before the start of a job that the job may run.

        Raises:
            ApiError: If the key, its scopes, the model or the budget do not allow the job.
            WorkerError: If the key's limit of concurrent jobs was lowered.
        """
        self._usage_recorder.record_slot(record)
        await self._start_checker.check_start(job, record.context.credential)
        check_concurrency()

    async def _run_in_slot(self, job: ChatJob, deadline: float, record: UsageRecord, check: StartGuard) -> EventStream:
        try:
            async with (
                self._worker_source.acquire_slot(job, deadline, check) as slot,
                aclosing(self._run_with_retries(job, deadline, record, check, slot)) as batches,
            ):
                async for batch in batches:
                    yield batch
        except WorkerError as error:
            if self._is_shutting_down:
                raise shutting_down() from error
            _log.warning("job failed: %s (%s) %s", error, error_code(error.kind), error.detail)
            raise

    async def _run_with_retries(
        self, job: ChatJob, deadline: float, record: UsageRecord, check: StartGuard, slot: JobSlot[Any, Runner]
    ) -> EventStream:
        progress = JobProgress(self._tool_counters.for_job(job), self._usage_recorder, record)
        retries = RetryPolicy()
        while True:
            try:
                async with slot.lease() as worker:
                    record.login = worker.login
                    await check()  # check again, because the lease may have waited for a process to start
                    await self._usage_recorder.record_attempt(record)
                    async with aclosing(
                        worker.run(slot.job, deadline, partial(self._usage_recorder.add_cost, record))
                    ) as batches:
                        async for batch in batches:
                            if isinstance(batch[0], Started):
                                worker.report_accepted()
                            for passed_batch in progress.pass_on(batch):
                                if progress.final_usage is not None:
                                    await self._usage_recorder.complete(record, progress.final_usage)
                                for _ in range(progress.take_request_count()):
                                    await self._pace(job.key_id)
                                yield passed_batch
            except WorkerError as error:
                if self._is_shutting_down or not retries.should_retry(
                    error, output_sent=progress.output_sent, tools_ran=progress.tools_ran
                ):
                    raise
                _log.warning("retry on another worker: %s (%s) %s", error, error_code(error.kind), error.detail)
            else:
                return
            if progress.output_sent:
                yield [StreamReset()]
                progress.output_sent = False
            await check()  # check before the job takes a process from another key
