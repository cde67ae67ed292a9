"""Usage records before they are in the database: those of a killed gateway are not lost."""

import asyncio
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from claude_gateway.jobs.service import ChatService
from claude_gateway.storage.backup import USAGE_LOG_SUFFIXES
from claude_gateway.storage.database import DATABASE_FILE_NAME, Database
from claude_gateway.usage import write_ahead_log
from claude_gateway.usage.record import UsageRecord
from claude_gateway.usage.record_store import UsageStore
from claude_gateway.usage.recorder import UsageRecorder
from claude_gateway.usage.write_ahead_log import WriteAheadLog
from tests.claude_gateway.scripted import HELLO_EVENTS, JOB, STARTED, ScriptedWorkerSource
from tests.events import each_event
from workers.core.events import Finished, TokenUsage


@asynccontextmanager
async def open_log(folder: Path) -> AsyncIterator[WriteAheadLog]:
    log = await asyncio.to_thread(WriteAheadLog, folder / DATABASE_FILE_NAME)
    try:
        yield log
    finally:
        log.close()


def log_files(folder: Path) -> list[Path]:
    return [folder / f"{DATABASE_FILE_NAME}{suffix}" for suffix in USAGE_LOG_SUFFIXES]


async def read_results(database: Database) -> list[tuple[Any, ...]]:
    return await database.execute("SELECT id, result, output FROM usage_records ORDER BY id")


class BlockedStore(UsageStore):
    """A store that writes nothing before its gateway is killed."""

    async def write(self, records: Sequence[UsageRecord]) -> None:
        await asyncio.Event().wait()


async def test_next_gateway_stores_records_of_a_killed_one(database: Database, tmp_path: Path) -> None:
    async with open_log(tmp_path) as log:
        killed_recorder = UsageRecorder(BlockedStore(database, log))
        async with aclosing(
            each_event(ChatService(ScriptedWorkerSource([HELLO_EVENTS]), 60, usage_recorder=killed_recorder).run(JOB))
        ) as events:
            assert [event async for event in events][-1] == Finished(
                "end_turn", TokenUsage(input_tokens=3, output_tokens=2)
            )
        await killed_recorder.record_attempt(killed_recorder.open(JOB))
        assert await read_results(database) == []

    async with open_log(tmp_path) as log, UsageRecorder(UsageStore(database, log)).run(400):
        assert await read_results(database) == [(1, "ok", 2), (2, "gateway_exited", 0)]
    assert [file.stat().st_size for file in log_files(tmp_path)] == [0, 0]


async def test_job_continues_once_its_record_is_logged(database: Database, tmp_path: Path) -> None:
    async with open_log(tmp_path) as log:
        recorder = UsageRecorder(UsageStore(database, log))
        async with database.transaction():  # no other process can write
            service = ChatService(ScriptedWorkerSource([HELLO_EVENTS]), 60, usage_recorder=recorder)
            async with aclosing(each_event(service.run(JOB))) as events:
                assert [event async for event in events][-1] == HELLO_EVENTS[-1]
        await recorder.flush()

    assert await read_results(database) == [(1, "ok", 2)]


async def test_job_waits_for_the_database_if_nothing_can_be_logged(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_ahead_log, "_MAX_FILE_BYTES", 10)
    async with open_log(tmp_path) as log:
        recorder = UsageRecorder(UsageStore(database, log))
        source = ScriptedWorkerSource([[STARTED, *HELLO_EVENTS[1:]]])
        async with aclosing(each_event(ChatService(source, 60, usage_recorder=recorder).run(JOB))) as events:
            await anext(events)
            assert await read_results(database) == [(1, "running", 0)]


async def test_skips_truncated_lines_and_lines_of_other_versions(database: Database, tmp_path: Path) -> None:
    async with open_log(tmp_path) as log:
        killed_recorder = UsageRecorder(BlockedStore(database, log))
        await killed_recorder.record_attempt(killed_recorder.open(JOB))
        log.append([7, "of another version"])
        log_file = log_files(tmp_path)[0]
        await asyncio.to_thread(lambda: log_file.write_bytes(log_file.read_bytes() + b'[9,[9,"key-1'))

    async with open_log(tmp_path) as log, UsageRecorder(UsageStore(database, log)).run(400):
        assert await read_results(database) == [(1, "gateway_exited", 0)]


async def test_replayed_start_of_a_job_does_not_overwrite_its_end(database: Database, tmp_path: Path) -> None:
    async with open_log(tmp_path) as log:
        recorder = UsageRecorder(UsageStore(database, log))
        record = recorder.open(JOB)
        await recorder.record_attempt(record)
        first_content = await asyncio.to_thread(log_files(tmp_path)[0].read_bytes)
        await recorder.complete(record, TokenUsage(output_tokens=2))
        await recorder.flush()
    await asyncio.to_thread(log_files(tmp_path)[0].write_bytes, first_content)

    async with open_log(tmp_path) as log, UsageRecorder(UsageStore(database, log)).run(400):
        assert await read_results(database) == [(1, "ok", 2)]


async def test_files_are_readable_by_their_user_only_and_empty_once_written(database: Database, tmp_path: Path) -> None:
    async with open_log(tmp_path) as log:
        recorder = UsageRecorder(UsageStore(database, log))
        for _ in range(3):
            await recorder.record_attempt(recorder.open(JOB))
            await recorder.flush()

    assert [(file.stat().st_size, stat.S_IMODE(file.stat().st_mode)) for file in log_files(tmp_path)] == [
        (0, 0o600)
    ] * 2
