"""Record the usage of every job, with one usage record for each job.

The gateway creates the record before a worker receives the job, and completes the record before the client receives the
last byte. It appends each change of a record to the write-ahead log at once, so that the change survives a killed
process. Soon afterwards, it writes the change to the database together with other changes. If the gateway cannot write
to the log, the job waits until the record is in the database.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Protocol

from claude_gateway.auth.models import ApiKey
from claude_gateway.core.errors import error_code
from claude_gateway.core.periodic import run_every
from claude_gateway.storage.database import StorageError
from claude_gateway.usage.budget import DailySpend, Spend, check_budget
from claude_gateway.usage.days import DAY_SECONDS, day_number, day_start
from claude_gateway.usage.record import (
    OK,
    RUNNING,
    RequestContext,
    UnwrittenRecords,
    UsageRecord,
)
from claude_gateway.usage.report import UsageQuery, UsageReport
from claude_gateway.usage.usage_storage import NullUsageStore, UsageStorage
from workers.core.errors import ErrorKind
from workers.core.events import Started, TokenUsage
from workers.core.job import ChatJob

_log = logging.getLogger(__name__)

CLEANUP_INTERVAL_SECONDS = 3_600.0
# While the disk fails, the gateway keeps up to this many records in memory. If there are more, it drops the oldest
# records.
_MAX_PENDING_RECORDS = 10_000
_MAX_GROUPS = 10_000
# The gateway collects changes of records for this time, then writes the changes to the database together.
_BATCH_SECONDS = 0.25
# After a failed write, the gateway waits for this time before it writes again.
_RETRY_SECONDS = 5.0
# Results of jobs that the gateway rejected on arrival. Such jobs neither waited nor ran.
_REJECTED_RESULTS = [error_code(kind) for kind in (ErrorKind.QUEUE_FULL, ErrorKind.CONCURRENCY_LIMIT)]


class UsageObserver(Protocol):
    """Interface of objects that the recorder notifies of ended jobs and reported costs, on the event loop."""

    def job_ended(self, record: UsageRecord) -> None:
        """Handle the end of the job that `record` describes."""

    def cost_reported(self, record: UsageRecord, usd: float) -> None:
        """Handle the cost that the CLI has reported for one attempt of the job that `record` describes."""


class UsageRecorder:
    """Keeps a usage record for each job, writes the records to a store, and sums up what each key has spent today.

    Args:
        store: Storage of the records; None if the gateway does not store records.
        now: Function that returns the current time, in seconds since the epoch.
        clock: Function that returns the time of a monotonic clock, in seconds.
        observers: Objects that the recorder notifies of ended jobs and reported costs.
    """

    def __init__(
        self,
        store: UsageStorage | None = None,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        observers: Sequence[UsageObserver] = (),
    ) -> None:
        self._store = store or NullUsageStore()
        self._now = now
        self._clock = clock
        self._observers = observers
        self._last_id = 0
        self._is_open = True
        self._daily_spend = DailySpend()
        self._pending: dict[int, UsageRecord] = {}
        self._flush_requested = asyncio.Event()
        self._is_failing = False
        self._lost_count = 0
        self._next_write: asyncio.Task[None] | None = None
        self._running_write: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def run(self, retention_days: float) -> AsyncIterator[None]:
        """Start the recorder at the beginning of the `with` block, and stop it at the end.

        At the start, the recorder marks the jobs that were running when the previous gateway process exited, and reads
        what each key has spent today. During the block, it deletes old records periodically. At the end, it writes all
        records that are not stored yet.

        Args:
            retention_days: Age in days after which the recorder deletes a record.
        """
        if lost := await self._store.mark_lost_jobs():
            _log.info("%d jobs were running when the previous gateway process exited", lost)
        self._last_id = await self._store.last_id()
        today = day_start(day_number(self._now()))
        for key_id, tokens, usd in await self._store.read_spend_since(today):
            self._daily_spend.add(key_id, today, tokens, usd)
        filling = asyncio.create_task(self._fill_daily_sums())
        try:
            async with run_every(
                CLEANUP_INTERVAL_SECONDS,
                partial(self._delete_old_records, retention_days),
                task_name="the deletion of old usage records",
                starts_at_once=True,
            ):
                yield
        finally:
            filling.cancel()
            await asyncio.wait([filling])
            await self.flush()
            self._is_open = False
            await self._write_ahead_or_drop()

    def open(self, job: ChatJob, context: RequestContext | None = None) -> UsageRecord:
        """Create and return the usage record of a new job. The recorder stores the record when the job starts or ends.

        Args:
            job: The new job.
            context: Context of the request that the job belongs to; None if the job does not belong to a request.
        """
        self._last_id += 1
        request_context = context or RequestContext()
        record = UsageRecord(
            id=self._last_id,
            key_id=job.key_id,
            context=request_context,
            number=len(request_context.usage_records) + 1,
            has_tools=job.agent_options is not None,
            model=job.model,
            created_at=self._now(),
            created_monotonic=self._clock(),
        )
        request_context.usage_records.append(record)
        return record

    def record_slot(self, record: UsageRecord) -> None:
        """Record that the job got a slot in the queue. The recorder stores the record even if the job never starts."""
        record.had_slot = True

    async def record_attempt(self, record: UsageRecord) -> None:
        """Record that the gateway is about to send the job to a worker.

        In the first attempt, the method waits until the record is stored, unless the disk fails.
        """
        record.attempt_count += 1
        if record.attempt_count == 1:
            record.started_monotonic = self._clock()
            await self._persist(record)

    def record_accepted(self, record: UsageRecord, event: Started) -> None:
        """Record that the upstream has accepted the current attempt of the job. Earlier attempts may have failed."""
        record.previous_attempts_usage, record.attempt_usage = record.usage, event.usage
        record.model = event.model

    def record_first_output(self, record: UsageRecord) -> None:
        """Record the current time as the time of the first output of the job. Later calls have no effect."""
        if record.first_output_monotonic is None:
            record.first_output_monotonic = self._clock()

    def add_output_chars(self, record: UsageRecord, char_count: int) -> None:
        """Add `char_count` to the number of reply characters that the gateway has passed to the client."""
        record.output_char_count += char_count

    async def complete(self, record: UsageRecord, usage: TokenUsage) -> None:
        """Record the token usage of a complete reply, and wait until the record is stored.

        Because of this wait, the usage of every complete reply is stored, unless the disk fails.
        """
        record.attempt_usage = usage
        await self.end(record, OK)

    async def end(self, record: UsageRecord, result: str) -> None:
        """Record the end and the result of a job, and wait until the record is stored. A second call has no effect."""
        if self._set_result(record, result):
            await self._persist(record)

    def abandon(self, record: UsageRecord, result: str) -> None:
        """Record the end of a job whose client has disconnected. Do not wait until the record is stored."""
        if self._set_result(record, result):
            self._enqueue(record)

    def add_cost(self, record: UsageRecord, usd: float) -> None:
        """Add the cost of an attempt to the record of the job and to today's spending of the key.

        The CLI reports the cost before the end of the job or soon after the end.

        Args:
            record: Record of the job.
            usd: Cost of the attempt in US dollars.
        """
        record.cost_usd = (record.cost_usd or 0.0) + usd
        self._daily_spend.add(record.key_id, record.created_at, 0, usd)
        for observer in self._observers:
            observer.cost_reported(record, usd)
        if record.result != RUNNING and self._is_open:
            self._enqueue(record)

    def get_spend_today(self, key_id: str) -> Spend:
        """Return what a key has spent today (UTC). The tokens of running jobs are not included."""
        return self._daily_spend.get(key_id, self._now())

    def check_key_budget(self, key: ApiKey) -> None:
        """Check that a key has not yet spent its budget of today.

        Raises:
            ApiError: The key has spent its budget (status 429).
        """
        check_budget(key.budget, self.get_spend_today(key.id), self._now())

    async def read_report(self, query: UsageQuery, requesting_key_id: str = "") -> UsageReport:
        """Write all changes of records to the store, then compute the usage report for a query.

        Args:
            query: Selection of the jobs, and the columns by which the report groups them.
            requesting_key_id: Id of the key that requests the report. The reports of one key run one after another.
        """
        await self.flush()
        return await self._store.read_report(query, _MAX_GROUPS, requesting_key_id)

    @property
    def unwritten_records(self) -> UnwrittenRecords:
        """Counts of the records that wait in memory because the disk fails, and of the records that are lost."""
        return UnwrittenRecords(len(self._pending) if self._is_failing else 0, self._lost_count)

    async def flush(self) -> None:
        """Write all changes made so far to the store. If the disk fails, the gateway keeps the records in memory."""
        self._flush_requested.set()
        for task in (self._running_write, self._next_write):
            if task is not None:
                await asyncio.wait([task])

    def _set_result(self, record: UsageRecord, result: str) -> bool:
        """Set the result of a job that is running.

        Returns:
            Whether the record has to be stored. This is False if the job had ended before, or if the gateway rejected
            the job on arrival.
        """
        if record.result != RUNNING:
            return False
        record.result = result
        record.ended_monotonic = self._clock()
        self._daily_spend.add(record.key_id, record.created_at, record.budget_token_count, 0.0)
        for observer in self._observers:
            observer.job_ended(record)
        return record.had_slot or result not in _REJECTED_RESULTS

    async def _persist(self, record: UsageRecord) -> None:
        # Jobs do not wait for a failing disk, because serving replies is more important than recording usage.
        if not self._enqueue(record) and self._next_write is not None and not self._is_failing:
            await asyncio.shield(self._next_write)

    def _enqueue(self, record: UsageRecord) -> bool:
        """Append a record to the write-ahead log, and schedule the write of the record to the database.

        If the gateway cannot write to the log, it writes the record to the database at once.

        Returns:
            Whether the log contains the record.
        """
        self._pending[record.id] = record
        if self._next_write is None:
            self._schedule_write(_RETRY_SECONDS if self._is_failing else _BATCH_SECONDS)
        is_logged = self._store.write_ahead(record)
        if not is_logged and not self._is_failing:
            self._flush_requested.set()
        return is_logged

    def _schedule_write(self, delay_seconds: float) -> None:
        self._flush_requested.clear()
        self._next_write = asyncio.create_task(self._write(self._running_write, delay_seconds))

    async def _write(self, previous_write: asyncio.Task[None] | None, delay_seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_seconds):
                await self._flush_requested.wait()
        if previous_write is not None and not previous_write.done():
            await asyncio.wait([previous_write])
        self._running_write, self._next_write = self._next_write, None
        batch, self._pending = self._pending, {}
        try:
            await self._store.write(list(batch.values()))
        except StorageError as error:
            self._requeue(batch, error)
        else:
            if self._is_failing:
                _log.warning("usage records can be written again; %d records were pending", len(batch))
            self._is_failing = False

    def _requeue(self, batch: dict[int, UsageRecord], error: StorageError) -> None:
        """Keep the records of a failed write for the next write. If there are too many, drop the oldest records."""
        if not self._is_failing:
            _log.error("usage records cannot be written; the gateway keeps them and tries again: %s", error)
        self._is_failing = True
        pending = batch | self._pending
        dropped = list(pending.values())[:-_MAX_PENDING_RECORDS]
        for record in dropped:
            del pending[record.id]
        self._count_lost(dropped, f"more than {_MAX_PENDING_RECORDS} records are pending")
        self._pending = pending
        if self._next_write is None:
            self._schedule_write(_RETRY_SECONDS)

    async def _write_ahead_or_drop(self) -> None:
        """Append the records that are not in the database to the write-ahead log when the gateway shuts down.

        The next gateway process can then write the records to the database. Drop the records that cannot be appended.
        """
        if self._next_write is not None:
            self._next_write.cancel()
            await asyncio.wait([self._next_write])
        dropped = [record for record in self._pending.values() if not self._store.write_ahead(record)]
        self._count_lost(dropped, "neither the database nor the write-ahead log could be written before shutdown")

    def _count_lost(self, records: Sequence[UsageRecord], reason: str) -> None:
        # A running job's record is not lost, because the gateway stores the record again when the job ends.
        lost = [record for record in records if record.result != RUNNING]
        if lost:
            self._lost_count += len(lost)
            tokens, usd = sum(record.token_count for record in lost), sum(record.cost_usd or 0.0 for record in lost)
            _log.error(
                "the usage records of %d jobs (%d tokens, %.4f US dollars) are lost: %s", len(lost), tokens, usd, reason
            )

    async def _fill_daily_sums(self) -> None:
        """Add the records that the daily sums do not contain yet. Meanwhile, usage reports are slower, but correct."""
        try:
            if filled := await self._store.fill_daily_sums():
                _log.info("%d usage records were added to the daily sums", filled)
        except Exception:
            _log.exception("the daily usage sums could not be filled; the next start of the gateway tries again")

    async def _delete_old_records(self, retention_days: float) -> None:
        await self._store.delete_before(day_start(day_number(self._now() - retention_days * DAY_SECONDS)))
