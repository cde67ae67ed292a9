"""The sums by day: they are what the lines of the ledger add up to, whatever was written and whoever wrote it."""

import asyncio
import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from claude_gateway.ledger.days import DAY, midnight, named
from claude_gateway.ledger.usage import Grouping, Question, Report
from claude_gateway.stores import ledger
from claude_gateway.stores.daily_sums import DAILY_SUMS, TABLES
from claude_gateway.stores.db import DATABASE, Database, open_database
from claude_gateway.stores.ledger import LedgerStore
from claude_gateway.stores.schema import SCRIPTS

FIRST = named("2026-03-01")
DAYS = 5
BEFORE_SUMS = SCRIPTS[: SCRIPTS.index(DAILY_SUMS)]
COLUMNS = (
    *("owner", "request_id", "number", "dialect", "route", "model_asked", "model", "session", "tools", "attempts"),
    *("begun_at", "queue_ms", "first_token_ms", "total_ms"),
    *("input", "output", "cache_read", "cache_write", "thinking", "cost_usd", "result"),
)
INSERT = f"INSERT INTO ledger ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"


def line(dice: random.Random, **fields: Any) -> tuple[Any, ...]:
    values = {
        **dict.fromkeys(COLUMNS, 1),
        "owner": dice.choice(["ann", "bob"]),
        "dialect": dice.choice(["openai_chat", "gemini"]),
        "model": dice.choice(["haiku", "sonnet"]),
        "begun_at": midnight(FIRST) + dice.random() * DAYS * DAY,
        "queue_ms": dice.choice([None, dice.randrange(1000) / 100]),
        "first_token_ms": dice.choice([None, 12.5]),
        "output": dice.randrange(1000),
        "cost_usd": dice.choice([None, dice.randrange(10**6) / 10**6]),
        "result": dice.choice(["begun", "ok", "left"]),
        **fields,
    }
    return tuple(values[name] for name in COLUMNS)


def asked(*group_by: Grouping, owner: str | None = None) -> Question:
    return Question(midnight(FIRST), midnight(FIRST + DAYS), group_by, owner)


async def added_up(database: Database, owner: str | None = None) -> tuple[Any, ...]:
    """The total of a report, from the lines themselves."""
    (total,) = await database.run(
        "SELECT count(*), count(*) FILTER (WHERE result = 'ok'), sum(input), sum(output), sum(cache_read), "
        "sum(cache_write), sum(thinking), coalesce(sum(cost_usd), 0.0), avg(queue_ms), avg(first_token_ms), "
        "avg(total_ms) FROM ledger WHERE ? IS NULL OR owner = ?",
        (owner, owner),
    )
    return total


def told(report: Report) -> tuple[Any, ...]:
    total = report.total
    return (
        *(total.jobs, total.ok, total.input_tokens, total.output_tokens, total.cache_read_tokens),
        *(total.cache_write_tokens, total.thinking_tokens, total.cost_usd),
        *(total.mean_queue_ms, total.mean_first_token_ms, total.mean_total_ms),
    )


async def assert_adds_up(database: Database) -> None:
    store = LedgerStore(database)
    for owner in (None, "ann"):
        expected = pytest.approx(await added_up(database, owner))
        groupings: list[tuple[Grouping, ...]] = [(), ("day",), ("key", "day"), ("day", "model", "dialect", "result")]
        for group_by in groupings:
            report = await store.usage(asked(*group_by, owner=owner), 10_000)
            assert told(report) == expected
            if group_by:
                assert sum(row.counts.output_tokens for row in report.rows) == report.total.output_tokens


async def test_they_are_what_the_lines_add_up_to_after_any_change(database: Database) -> None:
    dice = random.Random(7)
    for _ in range(300):
        match dice.randrange(4):
            case 0 | 1:
                await database.run(INSERT, line(dice))
            case 2:
                await database.run(
                    "UPDATE ledger SET cost_usd = ?, result = 'ok', total_ms = ? WHERE id = ?",
                    (dice.choice([None, 0.25]), dice.randrange(10**5) / 100, dice.randrange(1, 100)),
                )
            case 3:
                await database.run("DELETE FROM ledger WHERE id = ?", (dice.randrange(1, 100),))

    await assert_adds_up(database)


@pytest.mark.parametrize("spoilt", [1e308, float("inf"), -5, "many", b"\xff", 2**62])
async def test_an_absurd_figure_in_a_line_spoils_no_sum(database: Database, spoilt: object) -> None:
    dice = random.Random(7)
    for field in ("input", "cost_usd", "total_ms"):
        await database.run(INSERT, line(dice, **{field: spoilt}))
    await database.run(INSERT, line(dice, output=5, result="ok"))

    report = await LedgerStore(database).usage(asked("day"), 100)

    assert report.total.jobs == 4
    assert 0 <= report.total.input_tokens < 2**53
    assert 0 <= report.total.cost_usd < 1e9


async def test_lines_of_an_older_database_are_counted_at_once_and_added_in_slices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "_FILLED_AT_ONCE", 7)
    dice = random.Random(7)
    path = tmp_path / DATABASE
    async with open_database(path, BEFORE_SUMS) as database:
        for _ in range(40):
            await database.run(INSERT, line(dice))
    async with open_database(path) as database:
        store = LedgerStore(database)
        await assert_adds_up(database)
        for step in range(10):
            await store._fill_slice()
            # Lines that are yet to be added may change, and new ones come.
            await database.run("UPDATE ledger SET result = 'ok', output = 9 WHERE id = ?", (step * 4 + 1,))
            await database.run(INSERT, line(dice))
            await assert_adds_up(database)
        assert await store.fill_sums() == 0
        assert await database.run("SELECT 1 FROM daily_sums_filled WHERE next <= last") == []


async def test_the_sums_of_days_go_with_their_lines(database: Database) -> None:
    dice = random.Random(7)
    for day in range(DAYS):
        await database.run(INSERT, line(dice, begun_at=midnight(FIRST + day)))

    assert await LedgerStore(database).sweep(midnight(FIRST + 3)) == 3

    for table in TABLES:
        assert await database.run(f"SELECT min(day), sum(jobs) FROM {table}") == [(FIRST + 3, 2)]


async def test_a_report_waits_for_no_one_who_writes(database: Database) -> None:
    async with database.transaction() as run:
        await run(INSERT, line(random.Random(7)))
        assert (await LedgerStore(database).usage(asked("day"), 100)).total.jobs == 0
    assert (await LedgerStore(database).usage(asked("day"), 100)).total.jobs == 1


async def test_a_key_has_one_report_at_a_time_and_another_key_does_not_wait_for_it(database: Database) -> None:
    store = LedgerStore(database)
    async with database.report("ann"):
        second = asyncio.create_task(store.usage(asked("day"), 100, "ann"))
        assert (await store.usage(asked("day"), 100, "bob")).rows == []
        assert not second.done()
    assert (await second).rows == []


async def test_a_report_whose_reader_leaves_is_ended_and_makes_room_for_the_next(database: Database) -> None:
    endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"

    async def ask() -> None:
        async with database.report("ann") as run:
            begun.set()
            await run(endless)

    for _ in range(3):  # more than there are connections
        begun = asyncio.Event()
        task = asyncio.create_task(ask())
        await begun.wait()
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    assert (await LedgerStore(database).usage(asked("day"), 100, "bob")).rows == []
    assert not database.failing


async def test_what_reads_cannot_write(database: Database) -> None:
    async with database.snapshot() as run:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await run("DELETE FROM ledger")
