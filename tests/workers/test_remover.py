"""Directories are gone at once, and their room a little later."""

import threading
from pathlib import Path

import pytest

from workers.homes import UnsafeDirectory
from workers.remover import Remover

MANY = 300


def filled(directory: Path, files: int = 3) -> Path:
    directory.mkdir()
    for number in range(files):
        (directory / str(number)).touch()
    return directory


def trash_of(base: Path) -> list[Path]:
    return list((base / ".claude-gateway-trash").iterdir())


@pytest.mark.parametrize("files", [3, MANY], ids=["by the thread", "by a process"])
def test_a_directory_is_gone_at_once_and_its_room_is_given_back(tmp_path: Path, files: int) -> None:
    remover, told = Remover(tmp_path), threading.Event()
    directory = filled(tmp_path / "one", files)

    remover.remove(directory, told.set)

    assert not directory.exists()
    remover.wait()
    assert told.is_set()
    assert trash_of(tmp_path) == []


def test_what_nobody_may_read_or_nests_without_end_is_removed_too(tmp_path: Path) -> None:
    remover = Remover(tmp_path)
    directory = filled(tmp_path / "one")
    (directory / "a" / "b").mkdir(parents=True)
    (directory / "a").chmod(0)
    directory.chmod(0)

    remover.remove(directory)
    remover.wait()

    assert trash_of(tmp_path) == []


def test_what_was_not_removed_is_left_to_the_next_gateway(tmp_path: Path) -> None:
    first = Remover(tmp_path)
    first.close()
    first.remove(filled(tmp_path / "one", MANY))
    assert len(trash_of(tmp_path)) == 1

    second = Remover(tmp_path)
    second.open()
    second.wait()

    assert trash_of(tmp_path) == []


def test_a_name_can_be_used_again_while_its_directory_is_removed(tmp_path: Path) -> None:
    remover = Remover(tmp_path)

    for _ in range(5):
        remover.remove(filled(tmp_path / "one", MANY))
    again = filled(tmp_path / "one")
    remover.wait()

    assert len(list(again.iterdir())) == 3


def test_where_there_is_none_nothing_happens_and_it_is_told(tmp_path: Path) -> None:
    told = threading.Event()

    Remover(tmp_path).remove(tmp_path / "none", told.set)

    assert told.is_set()


def test_a_trash_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".claude-gateway-trash").mkdir()
    (tmp_path / ".claude-gateway-trash").chmod(0o777)

    with pytest.raises(UnsafeDirectory):
        Remover(tmp_path).open()
