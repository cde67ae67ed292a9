"""The lock on a state directory: one holder, nothing written to take it, and gone with the process that has it."""

import errno
import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from claude_gateway.stores.directory_lock import locked
from workers.homes import StateDirectoryInUse

HOLD = """
import sys, time
from pathlib import Path
from claude_gateway.stores.directory_lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_holder_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    with locked(tmp_path):
        with pytest.raises(StateDirectoryInUse, match=tmp_path.name), locked(tmp_path):
            pass
        assert list(tmp_path.iterdir()) == []
    with locked(tmp_path):
        pass


def test_another_name_of_the_directory_is_the_same_directory(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "link").symlink_to("state")
    with locked(tmp_path / "state"), pytest.raises(StateDirectoryInUse), locked(tmp_path / "link"):
        pass


def test_it_is_made_for_its_user_alone(tmp_path: Path) -> None:
    with locked(tmp_path / "new" / "state"):
        assert (tmp_path / "new" / "state").stat().st_mode & 0o777 == 0o700


def test_a_killed_holder_holds_it_no_more(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StateDirectoryInUse), locked(tmp_path):
            pass
        holder.kill()
        holder.wait()
    with locked(tmp_path):
        pass


def test_where_directories_cannot_be_locked_a_file_in_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flock = fcntl.flock

    def refuse_directories(descriptor: int, operation: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").is_dir():
            raise OSError(errno.EBADF, "no lock for a directory")
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", refuse_directories)
    with locked(tmp_path), pytest.raises(StateDirectoryInUse), locked(tmp_path):
        pass
