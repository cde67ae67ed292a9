"""Copies of the database: whole, their maker's alone, and never over what is there."""

import asyncio
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from claude_gateway.stores.backup import back_up, restore
from claude_gateway.stores.db import DATABASE, StoreUnusable, open_database
from claude_gateway.stores.ledger_journal import ENDINGS
from claude_gateway.stores.seal_key import seal_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / DATABASE


async def seal_of(path: Path) -> bytes:
    async with open_database(path) as database:
        return await seal_key(database)


@pytest.mark.promise("backup.whole")
async def test_a_copy_of_a_database_in_use_is_whole_and_can_be_restored(path: Path, tmp_path: Path) -> None:
    copy, other = tmp_path / "copy.db", tmp_path / "other" / DATABASE
    other.parent.mkdir()
    async with open_database(path) as database:
        seal = await seal_key(database)
        await asyncio.to_thread(back_up, path, copy)
        await database.run("DELETE FROM seal")

    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert sorted(tmp_path.iterdir()) == [copy, other.parent, path.parent]
    assert await asyncio.to_thread(restore, copy, other) is None
    assert await seal_of(other) == seal
    assert stat.S_IMODE(other.stat().st_mode) == 0o600


async def test_what_was_there_before_a_restore_is_put_aside_whole(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    first = await seal_of(path)
    await asyncio.to_thread(back_up, path, copy)
    path.unlink()
    second = await seal_of(path)
    noted = path.with_name(f"{DATABASE}{ENDINGS[0]}")
    noted.write_text("of the ledger that was killed")

    for number in (1, 2):
        aside = await asyncio.to_thread(restore, copy, path)
        assert aside == path.with_name(f"{DATABASE}.before-restore-{number}")

    assert await seal_of(path) == first
    assert not noted.exists()
    assert await seal_of(path.with_name(f"{DATABASE}.before-restore-1")) == second


async def test_a_copy_is_never_put_over_what_is_there(path: Path, tmp_path: Path) -> None:
    await seal_of(path)
    (tmp_path / "mine").write_text("mine")

    with pytest.raises(StoreUnusable, match="File exists"):
        await asyncio.to_thread(back_up, path, tmp_path / "mine")

    assert (tmp_path / "mine").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 2


async def test_there_must_be_something_to_copy(path: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="there is no such database"):
        await asyncio.to_thread(back_up, path, tmp_path / "copy.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.promise("backup.whole")
@pytest.mark.parametrize("spoiled", ["newer", "no database", "damaged", "empty", "missing"])
async def test_a_copy_that_is_no_good_changes_nothing(path: Path, tmp_path: Path, spoiled: str) -> None:
    seal = await seal_of(path)
    copy = tmp_path / "copy.db"
    await asyncio.to_thread(back_up, path, copy)
    match spoiled:
        case "newer":
            with closing(sqlite3.connect(copy)) as newer:
                newer.execute("PRAGMA user_version = 1000")
        case "no database":
            copy.write_text("no database at all, but long enough to be looked at " * 20)
        case "damaged":
            size = copy.stat().st_size
            with copy.open("r+b") as file:
                file.seek(size // 2)
                file.write(os.urandom(size - size // 2))
        case "empty":
            copy.write_bytes(b"")
        case "missing":
            copy.unlink()

    with pytest.raises(StoreUnusable) as raised:
        await asyncio.to_thread(restore, copy, path)

    assert "\n" not in str(raised.value)
    assert list(path.parent.iterdir()) == [path]
    assert await seal_of(path) == seal
