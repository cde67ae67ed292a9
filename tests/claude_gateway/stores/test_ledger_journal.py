"""Lines of the ledger on their way into the database: what a killed gateway had noted is not lost."""

import asyncio
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from claude_gateway.ledger.entry import Entry
from claude_gateway.ledger.ledger import Ledger
from claude_gateway.service import ChatService
from claude_gateway.stores import ledger_journal
from claude_gateway.stores.db import DATABASE, Database
from claude_gateway.stores.ledger import LedgerStore
from claude_gateway.stores.ledger_journal import ENDINGS, Journal
from tests.claude_gateway.scripted import HELLO, JOB, STARTED, ScriptedDispatcher
from workers.events import Finished, Usage


@asynccontextmanager
async def journal_in(folder: Path) -> AsyncIterator[Journal]:
    journal = await asyncio.to_thread(Journal, folder / DATABASE)
    try:
        yield journal
    finally:
        journal.close()


def files_in(folder: Path) -> list[Path]:
    return [folder / f"{DATABASE}{ending}" for ending in ENDINGS]


async def results(database: Database) -> list[tuple[Any, ...]]:
    return await database.run("SELECT id, result, output FROM ledger ORDER BY id")


class Stuck(LedgerStore):
    """A database that is asked for nothing before its gateway is killed."""

    async def write(self, entries: Sequence[Entry]) -> None:
        await asyncio.Event().wait()


async def test_what_a_killed_gateway_had_noted_is_in_the_ledger_of_the_next(database: Database, tmp_path: Path) -> None:
    async with journal_in(tmp_path) as journal:
        killed = Ledger(Stuck(database, journal))
        async with aclosing(ChatService(ScriptedDispatcher([HELLO]), 60, ledger=killed).run(JOB)) as events:
            assert [event async for event in events][-1] == Finished("end_turn", Usage(input=3, output=2))
        await killed.begin(killed.open(JOB))
        assert await results(database) == []

    async with journal_in(tmp_path) as journal, Ledger(LedgerStore(database, journal)).kept(400):
        assert await results(database) == [(1, "ok", 2), (2, "lost", 0)]
    assert [file.stat().st_size for file in files_in(tmp_path)] == [0, 0]


async def test_a_job_goes_on_as_soon_as_it_is_noted(database: Database, tmp_path: Path) -> None:
    async with journal_in(tmp_path) as journal:
        ledger = Ledger(LedgerStore(database, journal))
        async with database.transaction():  # nobody else can write
            service = ChatService(ScriptedDispatcher([HELLO]), 60, ledger=ledger)
            async with aclosing(service.run(JOB)) as events:
                assert [event async for event in events][-1] == HELLO[-1]
        await ledger.flushed()

    assert await results(database) == [(1, "ok", 2)]


async def test_where_nothing_can_be_noted_a_job_waits_for_the_database(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_journal, "_MOST_BYTES", 10)
    async with journal_in(tmp_path) as journal:
        ledger = Ledger(LedgerStore(database, journal))
        dispatcher = ScriptedDispatcher([[STARTED, *HELLO[1:]]])
        async with aclosing(ChatService(dispatcher, 60, ledger=ledger).run(JOB)) as events:
            await anext(events)
            assert await results(database) == [(1, "begun", 0)]


async def test_half_a_line_at_the_end_and_lines_of_another_version_are_passed_over(
    database: Database, tmp_path: Path
) -> None:
    async with journal_in(tmp_path) as journal:
        killed = Ledger(Stuck(database, journal))
        await killed.begin(killed.open(JOB))
        journal.note([7, "of another version"])
        first = files_in(tmp_path)[0]
        await asyncio.to_thread(lambda: first.write_bytes(first.read_bytes() + b'[9,[9,"owner'))

    async with journal_in(tmp_path) as journal, Ledger(LedgerStore(database, journal)).kept(400):
        assert await results(database) == [(1, "lost", 0)]


async def test_the_end_of_a_job_stands_though_its_beginning_is_read_after_it(
    database: Database, tmp_path: Path
) -> None:
    async with journal_in(tmp_path) as journal:
        ledger = Ledger(LedgerStore(database, journal))
        entry = ledger.open(JOB)
        await ledger.begin(entry)
        left_behind = await asyncio.to_thread(files_in(tmp_path)[0].read_bytes)
        await ledger.finish(entry, Usage(output=2))
        await ledger.flushed()
    await asyncio.to_thread(files_in(tmp_path)[0].write_bytes, left_behind)

    async with journal_in(tmp_path) as journal, Ledger(LedgerStore(database, journal)).kept(400):
        assert await results(database) == [(1, "ok", 2)]


async def test_its_files_are_its_users_alone_and_empty_once_all_is_written(database: Database, tmp_path: Path) -> None:
    async with journal_in(tmp_path) as journal:
        ledger = Ledger(LedgerStore(database, journal))
        for _ in range(3):
            await ledger.begin(ledger.open(JOB))
            await ledger.flushed()

    assert [(file.stat().st_size, stat.S_IMODE(file.stat().st_mode)) for file in files_in(tmp_path)] == [(0, 0o600)] * 2
