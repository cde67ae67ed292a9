"""The database: committed data stays, failed transactions are undone, and an unusable file is rejected at startup."""

import asyncio
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from claude_gateway.storage.database import Database, StorageError, StorageUnavailable, open_database
from tests.claude_gateway.manual_timer import ManualTimer

TABLE = "CREATE TABLE words (\n  word TEXT PRIMARY KEY\n);\n"
SECOND = "ALTER TABLE words ADD COLUMN count INTEGER NOT NULL DEFAULT 1;"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "gateway.db"


async def insert_word(database: Database, word: str) -> None:
    await database.execute("INSERT INTO words (word) VALUES (?)", (word,))


async def read_words(database: Database) -> list[str]:
    return [word for (word,) in await database.execute("SELECT word FROM words ORDER BY word")]


def is_failing(database: Database) -> bool:
    """Read the property again, although mypy assumes that it never changes."""
    return database.is_failing


async def test_data_survives_reopening(path: Path) -> None:
    async with open_database(path, [TABLE]) as database:
        await insert_word(database, "kept")
    async with open_database(path, [TABLE]) as database:
        assert await read_words(database) == ["kept"]


async def test_another_process_sees_writes_immediately(path: Path) -> None:
    async with open_database(path, [TABLE]) as database:
        await insert_word(database, "kept")
        with sqlite3.connect(path) as other:
            assert other.execute("SELECT word FROM words").fetchall() == [("kept",)]
        other.close()


async def test_clean_close_leaves_one_file(path: Path) -> None:
    async with open_database(path, [TABLE]) as database:
        await insert_word(database, "kept")
        assert len(list(path.parent.iterdir())) > 1
    assert list(path.parent.iterdir()) == [path]


async def test_all_files_are_readable_by_their_user_only(path: Path) -> None:
    path.parent.mkdir()
    path.touch(mode=0o644)
    async with open_database(path, [TABLE]):
        files = list(path.parent.iterdir())
        assert len(files) == 3
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


async def test_failed_transaction_leaves_nothing(path: Path) -> None:
    async with open_database(path, [TABLE]) as database:

        async def fail() -> None:
            async with database.transaction() as run:
                await run("INSERT INTO words (word) VALUES ('half')")
                raise RuntimeError

        with pytest.raises(RuntimeError):
            await fail()
        assert await read_words(database) == []


async def test_cancelled_transaction_leaves_nothing_and_blocks_no_other(path: Path) -> None:
    async with open_database(path, [TABLE]) as database:
        written = asyncio.Event()

        async def write_and_wait() -> None:
            async with database.transaction() as run:
                await run("INSERT INTO words (word) VALUES ('half')")
                written.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(write_and_wait())
        await written.wait()
        task.cancel()
        await insert_word(database, "whole")
        assert await read_words(database) == ["whole"]


async def test_task_cancelled_at_any_step_leaves_no_open_transaction(path: Path) -> None:
    async with open_database(path, [TABLE]) as database:

        async def write() -> None:
            async with database.transaction() as run:
                await run("INSERT OR IGNORE INTO words (word) VALUES ('maybe')")

        for steps in range(12):
            task = asyncio.create_task(write())
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            await database.execute("INSERT INTO words (word) VALUES (?)", (f"after {steps}",))
        assert len([word for word in await read_words(database) if word.startswith("after")]) == 12


async def test_transactions_do_not_interleave(path: Path) -> None:
    async with open_database(path, [TABLE]) as database:

        async def write(word: str, fails: bool) -> None:
            async with database.transaction() as run:
                for number in range(3):
                    await run("INSERT INTO words (word) VALUES (?)", (f"{word} {number}",))
                if fails:
                    raise RuntimeError

        await asyncio.gather(*(write(f"w{n}", n % 2 == 1) for n in range(6)), return_exceptions=True)
        assert {word[:2] for word in await read_words(database)} == {"w0", "w2", "w4"}


async def test_applies_the_missing_migrations(path: Path) -> None:
    async with open_database(path, [TABLE]) as database:
        await insert_word(database, "old")
    for _ in range(2):
        async with open_database(path, [TABLE, SECOND]) as database:
            assert await database.execute("SELECT word, count FROM words") == [("old", 1)]


async def test_failed_migration_changes_nothing(path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="no such table"):
        async with open_database(path, [TABLE, f"{SECOND}\nDROP TABLE missing;"]):
            pass
    async with open_database(path, []) as database:
        assert await database.execute("SELECT name FROM sqlite_master") == []


async def test_rejects_newer_database_and_leaves_it_unchanged(path: Path) -> None:
    async with open_database(path, [TABLE, SECOND]):
        pass
    with pytest.raises(StorageUnavailable, match=r"newer .*version 2, .*up to 1.*STATE_DIR"):
        async with open_database(path, [TABLE]):
            pass
    async with open_database(path, [TABLE, SECOND]) as database:
        await insert_word(database, "kept")


@pytest.mark.parametrize(
    "make_unusable",
    [
        lambda path: path.write_text("not a database, but long enough to be read " * 20),
        lambda path: path.mkdir(),
        lambda path: path.symlink_to(path.parent / "elsewhere"),
    ],
    ids=["damaged", "directory", "link"],
)
async def test_reports_unusable_file_in_one_line(path: Path, make_unusable: Callable[[Path], None]) -> None:
    path.parent.mkdir()
    make_unusable(path)
    with pytest.raises(StorageUnavailable) as raised:
        async with open_database(path, [TABLE]):
            pass
    assert str(path) in str(raised.value)
    assert "STATE_DIR" in str(raised.value)
    assert "\n" not in str(raised.value)


async def test_reports_disk_failure_and_recovery(path: Path) -> None:
    async with open_database(path, [TABLE]) as database:
        assert not is_failing(database)
        await database.execute("PRAGMA max_page_count = 1")  # like a full disk
        with pytest.raises(StorageError, match="database or disk is full") as failed:
            await insert_word(database, "x" * 100_000)
        assert is_failing(database)
        assert (failed.value.status, failed.value.code) == (503, "storage_unavailable")
        assert (failed.value.retry_after or 0) > 0
        assert await read_words(database) == []
        assert is_failing(database)  # a successful read does not prove the recovery
        await database.execute("PRAGMA max_page_count = 1000")
        await database.check_recovery()
        assert not is_failing(database)
        await insert_word(database, "kept")


async def test_invalid_statement_is_not_a_disk_failure(path: Path) -> None:
    async with open_database(path, [TABLE]) as database:
        await insert_word(database, "twice")
        with pytest.raises(sqlite3.IntegrityError):
            await insert_word(database, "twice")
        assert not is_failing(database)


async def test_detects_damage_of_the_open_database(path: Path) -> None:
    async with open_database(path, [TABLE]) as database:
        async with database.transaction() as run:
            for number in range(2_000):
                await run("INSERT INTO words (word) VALUES (?)", (f"{number:05} {'x' * 100}",))
        await database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        await database.execute("PRAGMA cache_size = 1")
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(8192)
            file.write(b"\xff" * (size - 8192))
        with pytest.raises(StorageError, match="malformed"):
            await read_words(database)
        assert "malformed" in database.failure_reason


async def test_detects_recovery_without_a_request(path: Path) -> None:
    async with open_database(path, [TABLE]) as database:
        await database.execute("PRAGMA query_only = ON")  # like a read-only disk
        with pytest.raises(StorageError, match="readonly"):
            await insert_word(database, "lost")
        timer = ManualTimer()
        async with database.run_recovery_checks(timer.sleep):
            await timer.tick()
            assert is_failing(database)
            await database._connection.execute("PRAGMA query_only = OFF")
            await timer.tick()
            assert not is_failing(database)
        await insert_word(database, "kept")
        assert await read_words(database) == ["kept"]
        assert not path.with_suffix(".trial").exists()
