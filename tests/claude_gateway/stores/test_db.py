"""The database: what is committed stays, what failed is undone, and what cannot be used is refused at the start."""

import asyncio
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from claude_gateway.stores.db import Database, StoreFailing, StoreUnusable, open_database

TABLE = "CREATE TABLE words (\n  word TEXT PRIMARY KEY\n);\n"
SECOND = "ALTER TABLE words ADD COLUMN count INTEGER NOT NULL DEFAULT 1;"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "gateway.db"


async def add(database: Database, word: str) -> None:
    await database.run("INSERT INTO words (word) VALUES (?)", (word,))


async def words(database: Database) -> list[str]:
    return [word for (word,) in await database.run("SELECT word FROM words ORDER BY word")]


async def test_what_was_written_is_there_when_it_is_opened_again(path: Path) -> None:
    async with open_database(path, [TABLE]) as database:
        await add(database, "kept")
    async with open_database(path, [TABLE]) as database:
        assert await words(database) == ["kept"]


async def test_what_was_written_is_seen_by_another_process_at_once(path: Path) -> None:
    async with open_database(path, [TABLE]) as database:
        await add(database, "kept")
        with sqlite3.connect(path) as other:
            assert other.execute("SELECT word FROM words").fetchall() == [("kept",)]
        other.close()


async def test_a_clean_close_leaves_one_file(path: Path) -> None:
    async with open_database(path, [TABLE]) as database:
        await add(database, "kept")
        assert len(list(path.parent.iterdir())) > 1
    assert list(path.parent.iterdir()) == [path]


async def test_every_file_of_it_is_its_owner_s_alone(path: Path) -> None:
    path.parent.mkdir()
    path.touch(mode=0o644)
    async with open_database(path, [TABLE]):
        files = list(path.parent.iterdir())
        assert len(files) == 3
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


async def test_a_transaction_that_fails_leaves_nothing(path: Path) -> None:
    async with open_database(path, [TABLE]) as database:

        async def fail() -> None:
            async with database.transaction() as run:
                await run("INSERT INTO words (word) VALUES ('half')")
                raise RuntimeError

        with pytest.raises(RuntimeError):
            await fail()
        assert await words(database) == []


async def test_a_transaction_whose_task_is_cancelled_leaves_nothing_and_blocks_nobody(path: Path) -> None:
    async with open_database(path, [TABLE]) as database:
        written = asyncio.Event()

        async def stay() -> None:
            async with database.transaction() as run:
                await run("INSERT INTO words (word) VALUES ('half')")
                written.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(stay())
        await written.wait()
        task.cancel()
        await add(database, "whole")
        assert await words(database) == ["whole"]


async def test_a_task_cancelled_at_any_step_leaves_no_open_transaction(path: Path) -> None:
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
            await database.run("INSERT INTO words (word) VALUES (?)", (f"after {steps}",))
        assert len([word for word in await words(database) if word.startswith("after")]) == 12


async def test_transactions_do_not_mix(path: Path) -> None:
    async with open_database(path, [TABLE]) as database:

        async def write(word: str, fails: bool) -> None:
            async with database.transaction() as run:
                for number in range(3):
                    await run("INSERT INTO words (word) VALUES (?)", (f"{word} {number}",))
                if fails:
                    raise RuntimeError

        await asyncio.gather(*(write(f"w{n}", n % 2 == 1) for n in range(6)), return_exceptions=True)
        assert {word[:2] for word in await words(database)} == {"w0", "w2", "w4"}


async def test_a_database_goes_through_the_scripts_it_has_not_seen(path: Path) -> None:
    async with open_database(path, [TABLE]) as database:
        await add(database, "old")
    for _ in range(2):
        async with open_database(path, [TABLE, SECOND]) as database:
            assert await database.run("SELECT word, count FROM words") == [("old", 1)]


async def test_a_script_that_fails_changes_nothing(path: Path) -> None:
    with pytest.raises(StoreUnusable, match="no such table"):
        async with open_database(path, [TABLE, f"{SECOND}\nDROP TABLE missing;"]):
            pass
    async with open_database(path, []) as database:
        assert await database.run("SELECT name FROM sqlite_master") == []


async def test_a_newer_database_is_refused_and_left_as_it_is(path: Path) -> None:
    async with open_database(path, [TABLE, SECOND]):
        pass
    with pytest.raises(StoreUnusable, match=r"newer claude-gateway .*version 2, this one knows 1.*STATE_DIR"):
        async with open_database(path, [TABLE]):
            pass
    async with open_database(path, [TABLE, SECOND]) as database:
        await add(database, "kept")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_text("no database at all, but long enough to be looked at " * 20),
        lambda path: path.mkdir(),
        lambda path: path.symlink_to(path.parent / "elsewhere"),
    ],
    ids=["damaged", "directory", "link"],
)
async def test_a_file_that_cannot_be_used_is_one_line_that_says_so(path: Path, spoil: Callable[[Path], None]) -> None:
    path.parent.mkdir()
    spoil(path)
    with pytest.raises(StoreUnusable) as raised:
        async with open_database(path, [TABLE]):
            pass
    assert str(path) in str(raised.value)
    assert "STATE_DIR" in str(raised.value)
    assert "\n" not in str(raised.value)


async def test_it_says_when_its_disk_fails_and_when_that_is_over(path: Path) -> None:
    async with open_database(path, [TABLE]) as database:
        assert not database.failing
        await database.run("PRAGMA max_page_count = 1")  # as a full disk would
        with pytest.raises(StoreFailing, match="database or disk is full") as failed:
            await add(database, "x" * 100_000)
        assert database.failing
        assert (failed.value.status, failed.value.code) == (503, "store_failing")
        assert (failed.value.retry_after or 0) > 0
        assert await words(database) == []
        assert database.failing  # to read is no proof
        await database.run("PRAGMA max_page_count = 1000")
        await database.try_again()
        assert not database.failing
        await add(database, "kept")


async def test_a_statement_that_is_wrong_is_no_fault_of_the_disk(path: Path) -> None:
    async with open_database(path, [TABLE]) as database:
        await add(database, "twice")
        with pytest.raises(sqlite3.IntegrityError):
            await add(database, "twice")
        assert not database.failing


async def test_a_file_that_is_damaged_while_it_is_used_is_said_and_not_read_as_something_else(path: Path) -> None:
    async with open_database(path, [TABLE]) as database:
        async with database.transaction() as run:
            for number in range(2_000):
                await run("INSERT INTO words (word) VALUES (?)", (f"{number:05} {'x' * 100}",))
        await database.run("PRAGMA wal_checkpoint(TRUNCATE)")
        await database.run("PRAGMA cache_size = 1")
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(8192)
            file.write(b"\xff" * (size - 8192))
        with pytest.raises(StoreFailing, match="malformed"):
            await words(database)
        assert "malformed" in database.fault


async def test_a_disk_that_has_room_again_is_found_out_without_a_request(path: Path) -> None:
    async with open_database(path, [TABLE]) as database:
        await database.run("PRAGMA query_only = ON")  # as a disk that can only be read
        with pytest.raises(StoreFailing, match="readonly"):
            await add(database, "lost")
        async with database.tried_again(0.001):
            await database._connection.execute("PRAGMA query_only = OFF")
            async with asyncio.timeout(20):
                while database.failing:  # noqa: ASYNC110 - nobody is told but who asks
                    await asyncio.sleep(0.001)
        await add(database, "kept")
        assert await words(database) == ["kept"]
        assert not path.with_suffix(".trial").exists()
