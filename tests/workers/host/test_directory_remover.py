"""Directories are removed at once, and their files are deleted in the background."""

import threading
from pathlib import Path

import pytest

from workers.host.directory_remover import DirectoryRemover
from workers.host.process_dirs import UnsafeDirectory

MANY_FILES = 300


def make_directory(directory: Path, files: int = 3) -> Path:
    directory.mkdir()
    for number in range(files):
        (directory / str(number)).touch()
    return directory


def list_trash(base: Path) -> list[Path]:
    return list((base / ".claude-gateway-trash").iterdir())


@pytest.mark.parametrize("files", [3, MANY_FILES], ids=["by the thread", "by a process"])
def test_removes_a_directory_at_once_and_deletes_its_files_later(tmp_path: Path, files: int) -> None:
    remover, removed = DirectoryRemover(tmp_path), threading.Event()
    directory = make_directory(tmp_path / "one", files)

    remover.remove(directory, removed.set)

    assert not directory.exists()
    remover.wait()
    assert removed.is_set()
    assert list_trash(tmp_path) == []


def test_removes_directories_without_permissions(tmp_path: Path) -> None:
    remover = DirectoryRemover(tmp_path)
    directory = make_directory(tmp_path / "one")
    (directory / "a" / "b").mkdir(parents=True)
    (directory / "a").chmod(0)
    directory.chmod(0)

    remover.remove(directory)
    remover.wait()

    assert list_trash(tmp_path) == []


def test_the_next_gateway_removes_remaining_directories(tmp_path: Path) -> None:
    first = DirectoryRemover(tmp_path)
    first.close()
    first.remove(make_directory(tmp_path / "one", MANY_FILES))
    assert len(list_trash(tmp_path)) == 1

    second = DirectoryRemover(tmp_path)
    second.open()
    second.wait()

    assert list_trash(tmp_path) == []


def test_allows_reuse_of_a_name_during_removal(tmp_path: Path) -> None:
    remover = DirectoryRemover(tmp_path)

    for _ in range(5):
        remover.remove(make_directory(tmp_path / "one", MANY_FILES))
    new_directory = make_directory(tmp_path / "one")
    remover.wait()

    assert len(list(new_directory.iterdir())) == 3


def test_calls_on_removed_for_a_missing_directory(tmp_path: Path) -> None:
    removed = threading.Event()

    DirectoryRemover(tmp_path).remove(tmp_path / "none", removed.set)

    assert removed.is_set()


def test_rejects_a_trash_directory_that_other_users_can_write_to(tmp_path: Path) -> None:
    (tmp_path / ".claude-gateway-trash").mkdir()
    (tmp_path / ".claude-gateway-trash").chmod(0o777)

    with pytest.raises(UnsafeDirectory):
        DirectoryRemover(tmp_path).open()
