"""Backups of the database: complete, for their user only, and never over an existing file."""

import asyncio
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from claude_gateway.auth.signing_key import load_signing_key
from claude_gateway.storage.backup import USAGE_LOG_SUFFIXES, back_up_database, restore_database
from claude_gateway.storage.database import DATABASE_FILE_NAME, StorageUnavailable, open_database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / DATABASE_FILE_NAME


async def read_signing_key(path: Path) -> bytes:
    async with open_database(path) as database:
        return await load_signing_key(database)


@pytest.mark.promise("backup.whole")
async def test_backup_of_a_database_in_use_is_complete_and_can_be_restored(path: Path, tmp_path: Path) -> None:
    copy, other = tmp_path / "copy.db", tmp_path / "other" / DATABASE_FILE_NAME
    other.parent.mkdir()
    async with open_database(path) as database:
        signing_key = await load_signing_key(database)
        await asyncio.to_thread(back_up_database, path, copy)
        await database.execute("DELETE FROM signing_key")

    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert sorted(tmp_path.iterdir()) == [copy, other.parent, path.parent]
    assert await asyncio.to_thread(restore_database, copy, other) is None
    assert await read_signing_key(other) == signing_key
    assert stat.S_IMODE(other.stat().st_mode) == 0o600


async def test_restore_keeps_the_previous_database_aside(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    first = await read_signing_key(path)
    await asyncio.to_thread(back_up_database, path, copy)
    path.unlink()
    second = await read_signing_key(path)
    log_file = path.with_name(f"{DATABASE_FILE_NAME}{USAGE_LOG_SUFFIXES[0]}")
    log_file.write_text("of a killed gateway")

    for number in (1, 2):
        previous = await asyncio.to_thread(restore_database, copy, path)
        assert previous == path.with_name(f"{DATABASE_FILE_NAME}.before-restore-{number}")

    assert await read_signing_key(path) == first
    assert not log_file.exists()
    assert await read_signing_key(path.with_name(f"{DATABASE_FILE_NAME}.before-restore-1")) == second


async def test_backup_never_overwrites_a_file(path: Path, tmp_path: Path) -> None:
    await read_signing_key(path)
    (tmp_path / "mine").write_text("mine")

    with pytest.raises(StorageUnavailable, match="File exists"):
        await asyncio.to_thread(back_up_database, path, tmp_path / "mine")

    assert (tmp_path / "mine").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 2


async def test_rejects_backup_of_a_missing_database(path: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="the database does not exist"):
        await asyncio.to_thread(back_up_database, path, tmp_path / "copy.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.promise("backup.whole")
@pytest.mark.parametrize("defect", ["newer", "not a database", "damaged", "empty", "missing"])
async def test_invalid_backup_changes_nothing(path: Path, tmp_path: Path, defect: str) -> None:
    signing_key = await read_signing_key(path)
    copy = tmp_path / "copy.db"
    await asyncio.to_thread(back_up_database, path, copy)
    match defect:
        case "newer":
            with closing(sqlite3.connect(copy)) as newer:
                newer.execute("PRAGMA user_version = 1000")
        case "not a database":
            copy.write_text("not a database, but long enough to be read " * 20)
        case "damaged":
            size = copy.stat().st_size
            with copy.open("r+b") as file:
                file.seek(size // 2)
                file.write(os.urandom(size - size // 2))
        case "empty":
            copy.write_bytes(b"")
        case "missing":
            copy.unlink()

    with pytest.raises(StorageUnavailable) as raised:
        await asyncio.to_thread(restore_database, copy, path)

    assert "\n" not in str(raised.value)
    assert list(path.parent.iterdir()) == [path]
    assert await read_signing_key(path) == signing_key
