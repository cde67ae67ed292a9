"""One usage record for every job, whatever its result, and the budgets that are columns with it."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from claude_gateway.auth.models import ApiKey, Budget
from claude_gateway.core.errors import ApiError
from claude_gateway.jobs.retries import MAX_ATTEMPTS
from claude_gateway.jobs.service import ChatService
from claude_gateway.storage.database import Database, StorageError
from claude_gateway.usage.days import DAY_SECONDS, day_start, parse_day
from claude_gateway.usage.record import RequestContext, UnwrittenRecords, UsageRecord
from claude_gateway.usage.record_store import UsageStore
from claude_gateway.usage.recorder import UsageRecorder
from claude_gateway.usage.report import EMPTY_SUMS, UsageReport, parse_usage_query
from claude_gateway.usage.usage_storage import NullUsageStore
from claude_gateway.usage.write_ahead_log import WriteAheadLog
from tests.claude_gateway.scripted import COST_USD, HELLO_EVENTS, JOB, MODEL, STARTED, ScriptedWorkerSource, ScriptStep
from tests.events import each_event
from tests.workers.helpers import wait_until
from workers.core.errors import ErrorKind, WorkerError
from workers.core.events import Finished, Started, StreamReset, TextDelta, TokenUsage

NOW = day_start(parse_day("2026-03-15")) + 3_600
EXITED = WorkerError(ErrorKind.WORKER_EXITED, "it ended")
BUSY = WorkerError(ErrorKind.QUEUE_FULL, "too many", retry_after=1)


class TickingClock:
    """A clock that advances by a millisecond whenever it is read."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


def create_recorder(database: Database, now: float = NOW) -> UsageRecorder:
    return UsageRecorder(UsageStore(database), now=lambda: now, clock=TickingClock(0.0))


async def read_records(database: Database, *columns: str) -> list[tuple[Any, ...]]:
    return await database.execute(f"SELECT {', '.join(columns)} FROM usage_records ORDER BY id")


async def run_job(
    recorder: UsageRecorder, *attempts: Sequence[ScriptStep], context: RequestContext | None = None
) -> ScriptedWorkerSource:
    """Run one job through the service to its end, whatever its result."""
    source = ScriptedWorkerSource(attempts or [HELLO_EVENTS])
    try:
        async for _ in each_event(ChatService(source, 60, usage_recorder=recorder).run(JOB, context=context)):
            pass
    except WorkerError:
        pass
    await recorder.flush()
    return source


async def test_job_is_one_record_with_all_known_fields(database: Database) -> None:
    recorder = create_recorder(database)
    usage = TokenUsage(input_tokens=1, output_tokens=2, cache_read_tokens=3, cache_write_tokens=4, thinking_tokens=1)
    context = RequestContext("req-1", "openai_chat", "/v1/chat/completions", "key-1", "requested", has_session=True)
    await run_job(recorder, [*HELLO_EVENTS[:-1], Finished("end_turn", usage)], context=context)

    assert await read_records(
        database, "key_id", "request_id", "number", "dialect", "route", "requested_model", "model"
    ) == [("key-1", "req-1", 1, "openai_chat", "/v1/chat/completions", "requested", "claude-test")]
    columns = ("session", "tools", "attempts", "input", "output", "cache_read", "cache_write", "thinking", "cost_usd")
    assert await read_records(database, *columns) == [(1, 0, 1, 1, 2, 3, 4, 1, COST_USD)]
    ((created_at, queue, first, total, result),) = await read_records(
        database, "created_at", "queue_ms", "first_token_ms", "total_ms", "result"
    )
    assert (created_at, result) == (NOW, "ok")
    assert 0 < queue < first < total


@pytest.mark.promise("usage.durable")
async def test_record_exists_before_the_worker_is_requested_and_ends_before_the_reply(database: Database) -> None:
    recorder, continue_reply = create_recorder(database), asyncio.Event()
    source = ScriptedWorkerSource([[STARTED, continue_reply, *HELLO_EVENTS[1:]]])

    async with aclosing(each_event(ChatService(source, 60, usage_recorder=recorder).run(JOB))) as events:
        await anext(events)
        assert await read_records(database, "result") == [("running",)]
        continue_reply.set()
        async for event in events:
            if isinstance(event, Finished):
                assert await read_records(database, "result", "output") == [("ok", 2)]


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        ([[EXITED], HELLO_EVENTS], ("ok", 2, 3)),
        ([[STARTED, EXITED], HELLO_EVENTS], ("ok", 2, 3)),
        ([[Started("claude-test", TokenUsage(input_tokens=7, output_tokens=1)), EXITED], HELLO_EVENTS], ("ok", 2, 10)),
        ([[EXITED]] * MAX_ATTEMPTS, ("worker_exited", MAX_ATTEMPTS, 0)),
        ([[WorkerError(ErrorKind.UPSTREAM_ERROR, "broke")]], ("upstream_error", 1, 0)),
        ([[STARTED]], ("upstream_disconnected", 1, 0)),
    ],
)
async def test_job_is_one_record_whatever_its_result(
    database: Database, attempts: list[Sequence[ScriptStep]], expected: tuple[str, int, int]
) -> None:
    await run_job(create_recorder(database), *attempts)

    assert await read_records(database, "result", "attempts", "input") == [expected]


async def test_disconnect_of_the_client_has_its_own_result_and_counts_the_received_tokens(database: Database) -> None:
    recorder = create_recorder(database)
    source = ScriptedWorkerSource(
        [[Started("claude-test", TokenUsage(input_tokens=9, output_tokens=1)), *HELLO_EVENTS[1:]]]
    )

    async with aclosing(each_event(ChatService(source, 60, usage_recorder=recorder).run(JOB))) as events:
        await anext(events)
        await anext(events)
    await recorder.flush()

    assert await read_records(database, "result", "input", "output", "cost_usd") == [
        ("client_disconnected", 9, 1, None)
    ]
    assert recorder.get_spend_today("key-1").tokens == 10


async def test_reply_reset_after_output_is_recorded_as_upstream_disconnected(
    database: Database,
) -> None:
    recorder = create_recorder(database)
    source = ScriptedWorkerSource([[*HELLO_EVENTS[:3], EXITED], HELLO_EVENTS])

    async with aclosing(each_event(ChatService(source, 60, usage_recorder=recorder).run(JOB))) as events:
        async for event in events:
            if isinstance(event, StreamReset):
                break
    await recorder.flush()

    assert await read_records(database, "result", "attempts") == [("upstream_disconnected", 1)]


async def test_job_rejected_by_a_full_queue_is_not_recorded(database: Database) -> None:
    class Full(ScriptedWorkerSource):
        def worker(self, *_: Any) -> Any:
            raise BUSY

    recorder = create_recorder(database)
    with pytest.raises(WorkerError):
        await anext(each_event(ChatService(Full([]), 60, usage_recorder=recorder).run(JOB)))
    await recorder.flush()

    assert await read_records(database, "id") == []


async def test_cost_reported_after_the_end_is_added_to_the_record(database: Database) -> None:
    recorder = create_recorder(database)
    record = recorder.open(JOB)
    await recorder.record_attempt(record)
    await recorder.complete(record, TokenUsage(input_tokens=1, output_tokens=1))
    assert await read_records(database, "cost_usd") == [(None,)]

    recorder.add_cost(record, 0.125)
    await recorder.flush()

    assert await read_records(database, "cost_usd", "result") == [(0.125, "ok")]
    assert recorder.get_spend_today("key-1").usd == 0.125


async def test_many_concurrent_jobs_are_recorded_in_few_statements(database: Database) -> None:
    class CountingStore(UsageStore):
        writes = 0

        async def write(self, records: Sequence[UsageRecord]) -> None:
            self.writes += 1
            await super().write(records)

    store = CountingStore(database)
    recorder = UsageRecorder(store)
    service = ChatService(ScriptedWorkerSource.repeating(*HELLO_EVENTS), 60, usage_recorder=recorder)

    async def run_one_job() -> None:
        async for _ in each_event(service.run(JOB)):
            pass

    await asyncio.gather(*(run_one_job() for _ in range(200)))
    await recorder.flush()

    assert await read_records(database, "count(*)", "count(DISTINCT id)", "sum(result = 'ok')") == [(200, 200, 200)]
    assert store.writes < 40
    assert recorder.get_spend_today("key-1").tokens == 200 * 5


@pytest.mark.promise("usage.gateway-exited")
async def test_running_jobs_of_a_killed_gateway_are_lost_and_count_for_the_day(database: Database) -> None:
    killed = create_recorder(database)
    await run_job(killed, HELLO_EVENTS)
    await killed.record_attempt(killed.open(JOB))

    recorder = create_recorder(database, NOW + 60)
    async with recorder.run(400):
        assert recorder.get_spend_today("key-1").tokens == 5
        assert recorder.get_spend_today("key-1").usd == COST_USD
        await run_job(recorder, HELLO_EVENTS)

    assert await read_records(database, "id", "result") == [(1, "ok"), (2, "gateway_exited"), (3, "ok")]
    assert recorder.get_spend_today("key-1").tokens == 10


async def test_deletes_old_records(database: Database) -> None:
    for age in (41, 40, 1):
        recorder = create_recorder(database, NOW - age * DAY_SECONDS)
        async with recorder.run(400):
            await run_job(recorder, HELLO_EVENTS)

    async with create_recorder(database).run(40):
        pass
    await UsageStore(database).delete_before(day_start(parse_day("2026-03-15")) - 40 * DAY_SECONDS)

    assert await read_records(database, "id") == [(2,), (3,)]


class FailingStore(UsageStore):
    """A store whose disk accepts nothing while `fails` is set."""

    fails = True
    write_count = 0

    async def write(self, records: Sequence[UsageRecord]) -> None:
        self.write_count += 1
        if self.fails:
            raise StorageError(sqlite3.OperationalError("disk full"))
        await super().write(records)


@pytest.mark.promise("usage.waits")
async def test_records_wait_while_the_disk_fails_and_are_written_without_another_job(
    database: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("claude_gateway.usage.recorder._RETRY_SECONDS", 0.01)
    store = FailingStore(database)
    recorder = UsageRecorder(store)
    for _ in range(3):
        await run_job(recorder, HELLO_EVENTS)
    assert await read_records(database, "id") == []
    assert recorder.unwritten_records == UnwrittenRecords(waiting_count=3)
    assert caplog.text.count("usage records cannot be written") == 1

    store.fails = False
    await wait_until(lambda: recorder.unwritten_records == UnwrittenRecords())

    assert await read_records(database, "id", "result") == [(1, "ok"), (2, "ok"), (3, "ok")]
    assert "3 records were pending" in caplog.text


async def test_failing_disk_is_not_tried_again_for_each_job(database: Database) -> None:
    store = FailingStore(database)
    recorder = UsageRecorder(store)
    async with recorder.run(400):
        await run_job(recorder, HELLO_EVENTS)
        write_count = store.write_count
        service = ChatService(ScriptedWorkerSource.repeating(*HELLO_EVENTS), 60, usage_recorder=recorder)
        for _ in range(20):
            assert [event async for event in each_event(service.run(JOB))]
        assert store.write_count == write_count


async def test_dropped_records_are_counted_once_and_logged(
    database: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("claude_gateway.usage.recorder._MAX_PENDING_RECORDS", 2)
    recorder = UsageRecorder(FailingStore(database))
    async with recorder.run(400):
        await recorder.record_attempt(recorder.open(JOB))
        for _ in range(3):
            await run_job(recorder, HELLO_EVENTS)

        assert recorder.unwritten_records == UnwrittenRecords(waiting_count=2, lost_count=1)
        assert "the usage records of 1 jobs (5 tokens, 0.2500 US dollars) are lost" in caplog.text
    assert recorder.unwritten_records.lost_count == 3


@pytest.mark.promise("usage.waits")
async def test_pending_records_at_shutdown_go_to_the_log_or_are_reported_lost(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_ahead_log = await asyncio.to_thread(WriteAheadLog, tmp_path / "gateway.db")
    with_log, without_log = (
        UsageRecorder(FailingStore(database, write_ahead_log)),
        UsageRecorder(FailingStore(database)),
    )
    async with with_log.run(400):
        await run_job(with_log, HELLO_EVENTS)
    assert "lost" not in caplog.text
    async with without_log.run(400):
        await run_job(without_log, HELLO_EVENTS)
    assert "the usage records of 1 jobs (5 tokens, 0.2500 US dollars) are lost" in caplog.text

    async with UsageRecorder(UsageStore(database, write_ahead_log)).run(400):
        assert await read_records(database, "id", "result", "cost_usd") == [(1, "ok", COST_USD)]
    write_ahead_log.close()


async def test_budget_of_a_key_counts_its_own_spend() -> None:
    recorder = UsageRecorder(NullUsageStore(), now=lambda: NOW)
    key = ApiKey("key-1", budget=Budget(tokens_per_day=10))
    for _ in range(2):
        recorder.check_key_budget(key)
        await run_job(recorder, HELLO_EVENTS)

    with pytest.raises(ApiError) as raised:
        recorder.check_key_budget(key)

    assert raised.value.retry_after == DAY_SECONDS - 3_600
    recorder.check_key_budget(ApiKey("other", budget=Budget(tokens_per_day=10)))


@pytest.mark.parametrize(
    ("group_by", "expected"),
    [
        ("day", [("2026-03-15",)]),
        ("key", [("key-1",)]),
        ("model,dialect", [("claude-test", "")]),
        ("result", [("upstream_error",), ("ok",)]),
        ("login", [("default",)]),
        ("day,login,result", [("2026-03-15", "default", "upstream_error"), ("2026-03-15", "default", "ok")]),
        ("", [()]),
    ],
)
async def test_groups_report_by_the_requested_fields(
    database: Database, group_by: str, expected: list[tuple[str, ...]]
) -> None:
    recorder = create_recorder(database)
    await run_job(recorder, HELLO_EVENTS)
    await run_job(recorder, [STARTED, WorkerError(ErrorKind.UPSTREAM_ERROR, "broke")])

    rows = (await recorder.read_report(parse_usage_query({"group_by": group_by}, None, NOW))).rows

    assert [row.group_values for row in rows] == expected
    assert (sum(row.sums.jobs for row in rows), sum(row.sums.successful_jobs for row in rows)) == (2, 1)
    assert sum(row.sums.cost_usd for row in rows) == COST_USD
    assert await recorder.read_report(parse_usage_query({}, "another", NOW)) == UsageReport([], EMPTY_SUMS)


async def test_total_equals_the_sum_of_the_groups_while_jobs_end(database: Database) -> None:
    recorder = create_recorder(database)

    async def run_jobs() -> None:
        for _ in range(30):
            await run_job(recorder, HELLO_EVENTS)

    running_jobs = asyncio.create_task(run_jobs())
    while not running_jobs.done():
        report = await recorder.read_report(parse_usage_query({}, None, NOW))
        assert sum(row.sums.jobs for row in report.rows) == report.total.jobs
    await running_jobs


async def test_records_requested_and_used_model(database: Database) -> None:
    await run_job(create_recorder(database), [WorkerError(ErrorKind.UPSTREAM_ERROR, "broke")])

    assert await read_records(database, "model") == [(MODEL,)]


async def test_budget_counts_the_characters_passed_to_a_disconnected_client(database: Database) -> None:
    recorder = create_recorder(database)
    source = ScriptedWorkerSource(
        [[Started("m", TokenUsage(input_tokens=9, output_tokens=1)), TextDelta("word " * 80), *HELLO_EVENTS[1:]]]
    )

    async with aclosing(each_event(ChatService(source, 60, usage_recorder=recorder).run(JOB))) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break

    assert recorder.get_spend_today("key-1").tokens == 9 + 100


async def test_budget_counts_the_upstream_tokens_of_a_complete_reply(database: Database) -> None:
    recorder = create_recorder(database)

    await run_job(recorder, [*HELLO_EVENTS[:2], TextDelta("word " * 80), *HELLO_EVENTS[4:]])

    assert recorder.get_spend_today("key-1").tokens == 5
