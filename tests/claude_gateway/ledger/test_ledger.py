"""Every job in the ledger, once, whatever becomes of it; and the budgets that are counted with it."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from claude_gateway.access.keys import Budget, Key
from claude_gateway.errors import ApiError
from claude_gateway.ledger.days import DAY, midnight, named
from claude_gateway.ledger.entry import VISIT, Entry, Unwritten, Visit
from claude_gateway.ledger.ledger import Ledger, Nowhere
from claude_gateway.ledger.usage import NOTHING_USED, Report, read_question
from claude_gateway.retries import MAX_WORKERS
from claude_gateway.service import ChatService
from claude_gateway.stores.db import Database, StoreFailing
from claude_gateway.stores.ledger import LedgerStore
from claude_gateway.stores.ledger_journal import Journal
from tests.claude_gateway.scripted import COST, HELLO, JOB, MODEL, STARTED, ScriptedDispatcher, Step
from tests.workers.helpers import until
from workers.errors import ErrorKind, WorkerError
from workers.events import Finished, Restarted, Started, TextDelta, Usage

NOW = midnight(named("2026-03-15")) + 3_600
DEAD = WorkerError(ErrorKind.WORKER_DIED, "it ended")
BUSY = WorkerError(ErrorKind.QUEUE_FULL, "too many", retry_after=1)


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


def a_ledger(database: Database, now: float = NOW) -> Ledger:
    return Ledger(LedgerStore(database), now=lambda: now, clock=Clock(0.0))


async def lines(database: Database, *columns: str) -> list[tuple[Any, ...]]:
    return await database.run(f"SELECT {', '.join(columns)} FROM ledger ORDER BY id")


async def ask(ledger: Ledger, *attempts: Sequence[Step]) -> ScriptedDispatcher:
    """One job through the service to its end, whatever that is."""
    dispatcher = ScriptedDispatcher(attempts or [HELLO])
    try:
        async for _ in ChatService(dispatcher, 60, ledger=ledger).run(JOB):
            pass
    except WorkerError:
        pass
    await ledger.flushed()
    return dispatcher


async def test_a_job_is_one_line_with_all_that_is_known_of_it(database: Database) -> None:
    ledger = a_ledger(database)
    used = Usage(input=1, output=2, cache_read=3, cache_write=4, thinking=1)
    before = VISIT.set(Visit("req-1", "openai_chat", "/v1/chat/completions", "owner", "asked-for", session=True))
    try:
        await ask(ledger, [*HELLO[:-1], Finished("end_turn", used)])
    finally:
        VISIT.reset(before)

    assert await lines(database, "owner", "request_id", "number", "dialect", "route", "model_asked", "model") == [
        ("owner", "req-1", 1, "openai_chat", "/v1/chat/completions", "asked-for", "claude-test")
    ]
    counted = ("session", "tools", "attempts", "input", "output", "cache_read", "cache_write", "thinking", "cost_usd")
    assert await lines(database, *counted) == [(1, 0, 1, 1, 2, 3, 4, 1, COST)]
    ((begun_at, queue, first, total, result),) = await lines(
        database, "begun_at", "queue_ms", "first_token_ms", "total_ms", "result"
    )
    assert (begun_at, result) == (NOW, "ok")
    assert 0 < queue < first < total


@pytest.mark.promise("ledger.durable")
async def test_a_line_is_there_before_a_worker_is_asked_and_ended_before_the_answer_is(database: Database) -> None:
    ledger, go_on = a_ledger(database), asyncio.Event()
    dispatcher = ScriptedDispatcher([[STARTED, go_on, *HELLO[1:]]])

    async with aclosing(ChatService(dispatcher, 60, ledger=ledger).run(JOB)) as events:
        await anext(events)
        assert await lines(database, "result") == [("begun",)]
        go_on.set()
        async for event in events:
            if isinstance(event, Finished):
                assert await lines(database, "result", "output") == [("ok", 2)]


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        ([[DEAD], HELLO], ("ok", 2, 3)),
        ([[STARTED, DEAD], HELLO], ("ok", 2, 3)),
        ([[Started("claude-test", Usage(input=7, output=1)), DEAD], HELLO], ("ok", 2, 10)),
        ([[DEAD]] * MAX_WORKERS, ("worker_died", MAX_WORKERS, 0)),
        ([[WorkerError(ErrorKind.UPSTREAM, "broke")]], ("upstream", 1, 0)),
        ([[STARTED]], ("cut", 1, 0)),
    ],
)
async def test_a_job_is_one_line_however_it_ends(
    database: Database, attempts: list[Sequence[Step]], expected: tuple[str, int, int]
) -> None:
    await ask(a_ledger(database), *attempts)

    assert await lines(database, "result", "attempts", "input") == [expected]


async def test_a_caller_who_leaves_is_told_apart_and_pays_what_was_read(database: Database) -> None:
    ledger = a_ledger(database)
    dispatcher = ScriptedDispatcher([[Started("claude-test", Usage(input=9, output=1)), *HELLO[1:]]])

    async with aclosing(ChatService(dispatcher, 60, ledger=ledger).run(JOB)) as events:
        await anext(events)
        await anext(events)
    await ledger.flushed()

    assert await lines(database, "result", "input", "output", "cost_usd") == [("left", 9, 1, None)]
    assert ledger.spent("owner").tokens == 10


async def test_an_answer_that_begins_again_behind_what_its_reader_has_is_cut_and_nobody_left(
    database: Database,
) -> None:
    ledger = a_ledger(database)
    dispatcher = ScriptedDispatcher([[*HELLO[:3], DEAD], HELLO])

    async with aclosing(ChatService(dispatcher, 60, ledger=ledger).run(JOB)) as events:
        async for event in events:
            if isinstance(event, Restarted):
                break
    await ledger.flushed()

    assert await lines(database, "result", "attempts") == [("cut", 1)]


async def test_what_a_full_queue_turns_away_is_no_job(database: Database) -> None:
    class Full(ScriptedDispatcher):
        def worker(self, *_: Any) -> Any:
            raise BUSY

    ledger = a_ledger(database)
    with pytest.raises(WorkerError):
        await anext(ChatService(Full([]), 60, ledger=ledger).run(JOB))
    await ledger.flushed()

    assert await lines(database, "id") == []


async def test_a_cost_that_is_told_after_the_end_is_added_to_its_line(database: Database) -> None:
    ledger = a_ledger(database)
    entry = ledger.open(JOB)
    await ledger.begin(entry)
    await ledger.finish(entry, Usage(input=1, output=1))
    assert await lines(database, "cost_usd") == [(None,)]

    ledger.cost(entry, 0.125)
    await ledger.flushed()

    assert await lines(database, "cost_usd", "result") == [(0.125, "ok")]
    assert ledger.spent("owner").usd == 0.125


async def test_many_jobs_at_once_are_a_line_each_in_few_statements(database: Database) -> None:
    class Counting(LedgerStore):
        writes = 0

        async def write(self, entries: Sequence[Entry]) -> None:
            self.writes += 1
            await super().write(entries)

    store = Counting(database)
    ledger = Ledger(store)
    service = ChatService(ScriptedDispatcher.always(*HELLO), 60, ledger=ledger)

    async def one() -> None:
        async for _ in service.run(JOB):
            pass

    await asyncio.gather(*(one() for _ in range(200)))
    await ledger.flushed()

    assert await lines(database, "count(*)", "count(DISTINCT id)", "sum(result = 'ok')") == [(200, 200, 200)]
    assert store.writes < 40
    assert ledger.spent("owner").tokens == 200 * 5


@pytest.mark.promise("ledger.lost")
async def test_what_a_killed_gateway_had_begun_is_lost_and_the_day_goes_on_counting(database: Database) -> None:
    killed = a_ledger(database)
    await ask(killed, HELLO)
    await killed.begin(killed.open(JOB))

    ledger = a_ledger(database, NOW + 60)
    async with ledger.kept(400):
        assert ledger.spent("owner").tokens == 5
        assert ledger.spent("owner").usd == COST
        await ask(ledger, HELLO)

    assert await lines(database, "id", "result") == [(1, "ok"), (2, "lost"), (3, "ok")]
    assert ledger.spent("owner").tokens == 10


async def test_what_is_too_old_is_swept(database: Database) -> None:
    for age in (41, 40, 1):
        ledger = a_ledger(database, NOW - age * DAY)
        async with ledger.kept(400):
            await ask(ledger, HELLO)

    async with a_ledger(database).kept(40):
        pass
    await LedgerStore(database).sweep(midnight(named("2026-03-15")) - 40 * DAY)

    assert await lines(database, "id") == [(2,), (3,)]


class Failing(LedgerStore):
    """A disk that takes nothing while `fails`."""

    fails = True
    tried = 0

    async def write(self, entries: Sequence[Entry]) -> None:
        self.tried += 1
        if self.fails:
            raise StoreFailing(sqlite3.OperationalError("disk full"))
        await super().write(entries)


@pytest.mark.promise("ledger.waits")
async def test_while_the_disk_takes_nothing_answers_go_on_and_their_lines_wait_and_are_written_without_a_further_job(
    database: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("claude_gateway.ledger.ledger._RETRY_SECONDS", 0.01)
    store = Failing(database)
    ledger = Ledger(store)
    for _ in range(3):
        await ask(ledger, HELLO)
    assert await lines(database, "id") == []
    assert ledger.unwritten == Unwritten(waiting=3)
    assert caplog.text.count("could not be written") == 1

    store.fails = False
    await until(lambda: ledger.unwritten == Unwritten())

    assert await lines(database, "id", "result") == [(1, "ok"), (2, "ok"), (3, "ok")]
    assert "3 lines had waited" in caplog.text


async def test_a_disk_that_takes_nothing_is_not_asked_anew_for_each_job(database: Database) -> None:
    store = Failing(database)
    ledger = Ledger(store)
    async with ledger.kept(400):
        await ask(ledger, HELLO)
        tried = store.tried
        service = ChatService(ScriptedDispatcher.always(*HELLO), 60, ledger=ledger)
        for _ in range(20):
            assert [event async for event in service.run(JOB)]
        assert store.tried == tried


async def test_lines_that_are_given_up_are_counted_once_and_told(
    database: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("claude_gateway.ledger.ledger._MOST_HELD", 2)
    ledger = Ledger(Failing(database))
    async with ledger.kept(400):
        await ledger.begin(ledger.open(JOB))
        for _ in range(3):
            await ask(ledger, HELLO)

        assert ledger.unwritten == Unwritten(waiting=2, lost=1)
        assert "1 jobs, of 5 tokens and 0.2500 US dollars, are lost" in caplog.text
    assert ledger.unwritten.lost == 3


@pytest.mark.promise("ledger.waits")
async def test_what_waits_when_the_gateway_stops_is_noted_beside_the_database_or_told_to_be_lost(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = await asyncio.to_thread(Journal, tmp_path / "gateway.db")
    noting, forgetful = Ledger(Failing(database, journal)), Ledger(Failing(database))
    async with noting.kept(400):
        await ask(noting, HELLO)
    assert "lost" not in caplog.text
    async with forgetful.kept(400):
        await ask(forgetful, HELLO)
    assert "1 jobs, of 5 tokens and 0.2500 US dollars, are lost" in caplog.text

    async with Ledger(LedgerStore(database, journal)).kept(400):
        assert await lines(database, "id", "result", "cost_usd") == [(1, "ok", COST)]
    journal.close()


async def test_the_budget_of_a_key_counts_what_it_used_itself() -> None:
    ledger = Ledger(Nowhere(), now=lambda: NOW)
    key = Key("owner", budget=Budget(tokens=10))
    for _ in range(2):
        ledger.require_budget(key)
        await ask(ledger, HELLO)

    with pytest.raises(ApiError) as caught:
        ledger.require_budget(key)

    assert caught.value.retry_after == DAY - 3_600
    ledger.require_budget(Key("other", budget=Budget(tokens=10)))


@pytest.mark.parametrize(
    ("group_by", "expected"),
    [
        ("day", [("2026-03-15",)]),
        ("key", [("owner",)]),
        ("model,dialect", [("claude-test", "")]),
        ("result", [("upstream",), ("ok",)]),
        ("", [()]),
    ],
)
async def test_it_is_summed_up_by_what_is_asked(
    database: Database, group_by: str, expected: list[tuple[str, ...]]
) -> None:
    ledger = a_ledger(database)
    await ask(ledger, HELLO)
    await ask(ledger, [STARTED, WorkerError(ErrorKind.UPSTREAM, "broke")])

    rows = (await ledger.usage(read_question({"group_by": group_by}, None, NOW))).rows

    assert [row.group for row in rows] == expected
    assert (sum(row.counts.jobs for row in rows), sum(row.counts.ok for row in rows)) == (2, 1)
    assert sum(row.counts.cost_usd for row in rows) == COST
    assert await ledger.usage(read_question({}, "another", NOW)) == Report([], NOTHING_USED)


async def test_the_total_is_that_of_the_groups_also_while_jobs_end(database: Database) -> None:
    ledger = a_ledger(database)

    async def several() -> None:
        for _ in range(30):
            await ask(ledger, HELLO)

    ending = asyncio.create_task(several())
    while not ending.done():
        report = await ledger.usage(read_question({}, None, NOW))
        assert sum(row.counts.jobs for row in report.rows) == report.total.jobs
    await ending


async def test_the_model_asked_for_stands_beside_the_one_that_answered(database: Database) -> None:
    await ask(a_ledger(database), [WorkerError(ErrorKind.UPSTREAM, "broke")])

    assert await lines(database, "model") == [(MODEL,)]


async def test_a_reader_who_leaves_before_the_end_has_spent_what_was_passed_on(database: Database) -> None:
    ledger = a_ledger(database)
    dispatcher = ScriptedDispatcher([[Started("m", Usage(input=9, output=1)), TextDelta("word " * 80), *HELLO[1:]]])

    async with aclosing(ChatService(dispatcher, 60, ledger=ledger).run(JOB)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break

    assert ledger.spent("owner").tokens == 9 + 100


async def test_an_answer_that_comes_to_its_end_has_spent_what_the_upstream_counts(database: Database) -> None:
    ledger = a_ledger(database)

    await ask(ledger, [*HELLO[:2], TextDelta("word " * 80), *HELLO[4:]])

    assert ledger.spent("owner").tokens == 5
