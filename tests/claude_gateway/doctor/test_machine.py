"""What the doctor sees of directories and databases."""

import asyncio
import contextlib
import os
import sqlite3
from pathlib import Path

import pytest

from claude_gateway.doctor.machine import directory_complaint, examine_database, free_bytes, memory_mib, newest
from claude_gateway.stores.db import open_database
from claude_gateway.stores.schema import SCRIPTS


async def test_a_database_of_this_version_is_whole_also_while_a_gateway_has_it_open(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    async with open_database(path):
        assert await asyncio.to_thread(examine_database, path) == (len(SCRIPTS), "")


def test_no_database_is_none_and_is_not_made(tmp_path: Path) -> None:
    assert examine_database(tmp_path / "gateway.db") == (None, "")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    path.write_bytes(b"no database at all, but long enough to be read as one" * 100)
    assert "not a database" in examine_database(path)[1]


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    with contextlib.closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE t (x)")
        made.executemany("INSERT INTO t VALUES (?)", [("x" * 500,)] * 100)
        made.commit()
    raw = bytearray(path.read_bytes())
    raw[4096 : 4096 * 3] = os.urandom(4096 * 2)
    path.write_bytes(raw)
    assert examine_database(path)[1]


def test_a_directory_of_one_s_own_or_one_that_can_be_made_will_do(tmp_path: Path) -> None:
    assert directory_complaint(tmp_path) == ""
    assert directory_complaint(tmp_path / "to" / "be" / "made") == ""


def test_a_directory_of_another_user_or_open_to_others_will_not(tmp_path: Path) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    assert "others may write" in directory_complaint(open_to_all)
    assert "no directory" in directory_complaint(Path("/dev/null"))
    if os.geteuid() == 0:
        os.chown(open_to_all, 61_999, 61_999)
    assert ("id 61999" if os.geteuid() == 0 else "others may write") in directory_complaint(open_to_all)


@pytest.mark.parametrize("running", [True, False])
def test_memory_and_disk_are_what_the_system_says(tmp_path: Path, running: bool) -> None:
    assert memory_mib(running=running) > 64
    assert free_bytes(tmp_path / "not" / "there") > 0


def test_the_newest_of_some_files_is_found(tmp_path: Path) -> None:
    for name, at in (("a", 10.0), ("b", 20.0)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (at, at))
    assert newest(tmp_path / "a", tmp_path / "b", tmp_path / "c") == 20.0
