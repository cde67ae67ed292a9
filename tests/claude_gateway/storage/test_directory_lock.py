"""The lock of a state directory: one holder, no files written, and released when the process of the holder exits."""

import errno
import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from claude_gateway.storage.directory_lock import lock_directory
from workers.host.process_dirs import StateDirectoryInUse

HOLD = """
import sys, time
from pathlib import Path
from claude_gateway.storage.directory_lock import lock_directory
with lock_directory(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_rejects_second_holder_without_writing(tmp_path: Path) -> None:
    with lock_directory(tmp_path):
        with pytest.raises(StateDirectoryInUse, match=tmp_path.name), lock_directory(tmp_path):
            pass
        assert list(tmp_path.iterdir()) == []
    with lock_directory(tmp_path):
        pass


def test_symlink_to_the_directory_is_the_same_directory(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "link").symlink_to("state")
    with lock_directory(tmp_path / "state"), pytest.raises(StateDirectoryInUse), lock_directory(tmp_path / "link"):
        pass


def test_creates_directory_for_its_user_only(tmp_path: Path) -> None:
    with lock_directory(tmp_path / "new" / "state"):
        assert (tmp_path / "new" / "state").stat().st_mode & 0o777 == 0o700


def test_killed_holder_releases_the_lock(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StateDirectoryInUse), lock_directory(tmp_path):
            pass
        holder.kill()
        holder.wait()
    with lock_directory(tmp_path):
        pass


def test_locks_a_file_if_directories_cannot_be_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flock = fcntl.flock

    def reject_directories(descriptor: int, operation: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").is_dir():
            raise OSError(errno.EBADF, "no lock for a directory")
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", reject_directories)
    with lock_directory(tmp_path), pytest.raises(StateDirectoryInUse), lock_directory(tmp_path):
        pass
