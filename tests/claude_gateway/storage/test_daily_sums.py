"""The daily sums always equal the sums of the usage records."""

import asyncio
import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from claude_gateway.storage.daily_sums import DAILY_SUM_TABLES, DAILY_SUMS_SCRIPT
from claude_gateway.storage.database import DATABASE_FILE_NAME, Database, open_database
from claude_gateway.storage.migrations import MIGRATIONS
from claude_gateway.usage import record_store
from claude_gateway.usage.days import DAY_SECONDS, day_start, parse_day
from claude_gateway.usage.record_store import UsageStore
from claude_gateway.usage.report import Grouping, UsageQuery, UsageReport

FIRST = parse_day("2026-03-01")
DAYS = 5
BEFORE_SUMS = MIGRATIONS[: MIGRATIONS.index(DAILY_SUMS_SCRIPT)]
COLUMNS = (
    *("key_id", "request_id", "number", "dialect", "route", "requested_model", "model", "session", "tools", "attempts"),
    *("created_at", "queue_ms", "first_token_ms", "total_ms"),
    *("input", "output", "cache_read", "cache_write", "thinking", "cost_usd", "result"),
)
INSERT = f"INSERT INTO usage_records ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
# The statement for a database before the migration that renames columns.
OLD_INSERT = (
    INSERT.replace("key_id", "owner").replace("created_at", "begun_at").replace("requested_model", "model_asked")
)


def create_record(rng: random.Random, **fields: Any) -> tuple[Any, ...]:
    values = {
        **dict.fromkeys(COLUMNS, 1),
        "key_id": rng.choice(["ann", "bob"]),
        "dialect": rng.choice(["openai_chat", "gemini"]),
        "model": rng.choice(["haiku", "sonnet"]),
        "created_at": day_start(FIRST) + rng.random() * DAYS * DAY_SECONDS,
        "queue_ms": rng.choice([None, rng.randrange(1000) / 100]),
        "first_token_ms": rng.choice([None, 12.5]),
        "output": rng.randrange(1000),
        "cost_usd": rng.choice([None, rng.randrange(10**6) / 10**6]),
        "result": rng.choice(["running", "ok", "client_disconnected"]),
        **fields,
    }
    return tuple(values[name] for name in COLUMNS)


def create_query(*group_by: Grouping, key_id: str | None = None) -> UsageQuery:
    return UsageQuery(day_start(FIRST), day_start(FIRST + DAYS), group_by, key_id)


async def compute_total(database: Database, key_id: str | None = None) -> tuple[Any, ...]:
    """Return the total of a report, computed from the records themselves."""
    (total,) = await database.execute(
        "SELECT count(*), count(*) FILTER (WHERE result = 'ok'), sum(input), sum(output), sum(cache_read), "
        "sum(cache_write), sum(thinking), coalesce(sum(cost_usd), 0.0), avg(queue_ms), avg(first_token_ms), "
        "avg(total_ms) FROM usage_records WHERE ? IS NULL OR key_id = ?",
        (key_id, key_id),
    )
    return total


def get_total(report: UsageReport) -> tuple[Any, ...]:
    total = report.total
    return (
        *(total.jobs, total.successful_jobs, total.input_tokens, total.output_tokens, total.cache_read_tokens),
        *(total.cache_write_tokens, total.thinking_tokens, total.cost_usd),
        *(total.mean_queue_wait_ms, total.mean_time_to_first_token_ms, total.mean_duration_ms),
    )


async def assert_adds_up(database: Database) -> None:
    store = UsageStore(database)
    for key_id in (None, "ann"):
        expected = pytest.approx(await compute_total(database, key_id))
        groupings: list[tuple[Grouping, ...]] = [(), ("day",), ("key", "day"), ("day", "model", "dialect", "result")]
        for group_by in groupings:
            report = await store.read_report(create_query(*group_by, key_id=key_id), 10_000)
            assert get_total(report) == expected
            if group_by:
                assert sum(row.sums.output_tokens for row in report.rows) == report.total.output_tokens


async def test_sums_equal_the_records_after_any_change(database: Database) -> None:
    rng = random.Random(7)
    for _ in range(300):
        match rng.randrange(4):
            case 0 | 1:
                await database.execute(INSERT, create_record(rng))
            case 2:
                await database.execute(
                    "UPDATE usage_records SET cost_usd = ?, result = 'ok', total_ms = ? WHERE id = ?",
                    (rng.choice([None, 0.25]), rng.randrange(10**5) / 100, rng.randrange(1, 100)),
                )
            case 3:
                await database.execute("DELETE FROM usage_records WHERE id = ?", (rng.randrange(1, 100),))

    await assert_adds_up(database)


@pytest.mark.parametrize("bad_value", [1e308, float("inf"), -5, "many", b"\xff", 2**62])
async def test_impossible_value_of_one_record_corrupts_no_sum(database: Database, bad_value: object) -> None:
    rng = random.Random(7)
    for field in ("input", "cost_usd", "total_ms"):
        await database.execute(INSERT, create_record(rng, **{field: bad_value}))
    await database.execute(INSERT, create_record(rng, output=5, result="ok"))

    report = await UsageStore(database).read_report(create_query("day"), 100)

    assert report.total.jobs == 4
    assert 0 <= report.total.input_tokens < 2**53
    assert 0 <= report.total.cost_usd < 1e9


async def test_reports_records_of_an_older_database_at_once_and_sums_them_in_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_store, "_MAX_FILLED_PER_TRANSACTION", 7)
    rng = random.Random(7)
    path = tmp_path / DATABASE_FILE_NAME
    async with open_database(path, BEFORE_SUMS) as database:
        for _ in range(40):
            await database.execute(OLD_INSERT, create_record(rng))
    async with open_database(path) as database:
        store = UsageStore(database)
        await assert_adds_up(database)
        for step in range(10):
            await store._fill_batch()
            # Records that are not yet added may change, and new ones are written.
            await database.execute("UPDATE usage_records SET result = 'ok', output = 9 WHERE id = ?", (step * 4 + 1,))
            await database.execute(INSERT, create_record(rng))
            await assert_adds_up(database)
        assert await store.fill_daily_sums() == 0
        assert await database.execute("SELECT 1 FROM daily_sums_filled WHERE next <= last") == []


async def test_deletes_sums_with_the_records_of_their_day(database: Database) -> None:
    rng = random.Random(7)
    for day in range(DAYS):
        await database.execute(INSERT, create_record(rng, created_at=day_start(FIRST + day)))

    assert await UsageStore(database).delete_before(day_start(FIRST + 3)) == 3

    for table in DAILY_SUM_TABLES:
        assert await database.execute(f"SELECT min(day), sum(jobs) FROM {table}") == [(FIRST + 3, 2)]


async def test_report_does_not_wait_for_writers(database: Database) -> None:
    async with database.transaction() as run:
        await run(INSERT, create_record(random.Random(7)))
        assert (await UsageStore(database).read_report(create_query("day"), 100)).total.jobs == 0
    assert (await UsageStore(database).read_report(create_query("day"), 100)).total.jobs == 1


async def test_key_waits_for_its_own_report_only(database: Database) -> None:
    store = UsageStore(database)
    async with database.report_snapshot("ann"):
        second = asyncio.create_task(store.read_report(create_query("day"), 100, "ann"))
        assert (await store.read_report(create_query("day"), 100, "bob")).rows == []
        assert not second.done()
    assert (await second).rows == []


async def test_cancelled_report_is_interrupted_and_frees_its_slot(database: Database) -> None:
    endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"

    async def read_report() -> None:
        async with database.report_snapshot("ann") as run:
            started.set()
            await run(endless)

    for _ in range(3):  # more than there are connections
        started = asyncio.Event()
        task = asyncio.create_task(read_report())
        await started.wait()
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    assert (await UsageStore(database).read_report(create_query("day"), 100, "bob")).rows == []
    assert not database.is_failing


async def test_readers_cannot_write(database: Database) -> None:
    async with database.snapshot() as run:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await run("DELETE FROM usage_records")
