"""Tests of the doctor's observations of directories and databases."""

import asyncio
import contextlib
import os
import sqlite3
from pathlib import Path

from claude_gateway.doctor.host import (
    HostProbe,
    find_directory_problem,
    free_bytes,
    inspect_database,
    newest_mtime,
)
from claude_gateway.storage.database import open_database
from claude_gateway.storage.migrations import MIGRATIONS


async def test_finds_intact_database_while_a_gateway_uses_it(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    async with open_database(path):
        assert await asyncio.to_thread(inspect_database, path) == (len(MIGRATIONS), "")


def test_missing_database_is_reported_and_not_created(tmp_path: Path) -> None:
    assert inspect_database(tmp_path / "gateway.db") == (None, "")
    assert list(tmp_path.iterdir()) == []


def test_names_file_that_is_not_a_database(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    path.write_bytes(b"no database at all, but long enough to be read as one" * 100)
    assert "not a database" in inspect_database(path)[1]


def test_names_damaged_database(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.executemany("INSERT INTO t VALUES (?)", [("x" * 500,)] * 100)
        connection.commit()
    raw = bytearray(path.read_bytes())
    raw[4096 : 4096 * 3] = os.urandom(4096 * 2)
    path.write_bytes(raw)
    assert inspect_database(path)[1]


def test_accepts_own_directory_or_one_that_can_be_created(tmp_path: Path) -> None:
    assert find_directory_problem(tmp_path) == ""
    assert find_directory_problem(tmp_path / "to" / "be" / "connection") == ""


def test_rejects_directory_of_another_user_or_open_to_others(tmp_path: Path) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    assert "other users may write" in find_directory_problem(open_to_all)
    assert "not a directory" in find_directory_problem(Path("/dev/null"))
    if os.geteuid() == 0:
        os.chown(open_to_all, 61_999, 61_999)
    assert ("id 61999" if os.geteuid() == 0 else "other users may write") in find_directory_problem(open_to_all)


async def test_memory_is_that_of_the_system() -> None:
    memory = await HostProbe().read_memory()
    assert memory.total_mib >= memory.available_mib > 64


def test_disk_is_that_of_the_system(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "not" / "there") > 0


def test_finds_the_newest_file(tmp_path: Path) -> None:
    for name, at in (("a", 10.0), ("b", 20.0)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (at, at))
    assert newest_mtime(tmp_path / "a", tmp_path / "b", tmp_path / "c") == 20.0
