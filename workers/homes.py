"""The directories and records of workers under the state directory, and the sweep of what a dead gateway left.

A gateway that is killed outright cannot end its workers' children. Each process is therefore recorded with its
start time, and the next gateway on the same state directory ends those that still run.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import stat
import tempfile
import time
from pathlib import Path

_START_TIME_FIELD = 19  # of /proc/PID/stat, counted behind the command's closing parenthesis: field 22
_GONE_POLLS = 100
_GONE_POLL_SECONDS = 0.02


class StateDirectoryInUse(Exception):
    """Another gateway works on this state directory."""


class UnsafeDirectory(Exception):
    """Somebody else could put records or links there, by which this user's files and processes would be ended."""


class Homes:
    """Owns, below `base`, a lock and one directory a worker with a record of its process.

    Blocking calls run in threads.
    """

    def __init__(self, base: Path) -> None:
        # A name of our own: the sweep removes all of it, and `base` may be somebody's project.
        self.base = base
        self._workers = base / ".claude-gateway-workers"
        self._lock: int | None = None

    async def open(self) -> int:
        """Take the lock, end orphans, remove their directories. Returns how many orphans were ended.

        Raises `StateDirectoryInUse`, `UnsafeDirectory`, or `OSError` where the directory cannot be written.
        """
        return await asyncio.to_thread(self._open)

    async def make(self) -> Path:
        """A new, empty directory for one worker, readable by this user alone."""
        return Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="w-", dir=self._workers))

    async def record(self, home: Path, pid: int) -> None:
        """Note which process lives there."""
        await asyncio.to_thread(self._record, home, pid)

    async def remove(self, home: Path) -> None:
        await asyncio.to_thread(self._remove, home)

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _open(self) -> int:
        self._workers.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._workers.mkdir(mode=0o700, exist_ok=True)
        check_own(self._workers)
        self._lock = os.open(self._workers / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.close()
            raise StateDirectoryInUse(str(self._workers.parent)) from None
        orphans = [pid for record in self._workers.glob("*.pid") if (pid := _end_orphan(record))]
        _wait_until_gone(orphans)
        for home in self._workers.glob("w-*"):
            self._remove(home)
        return len(orphans)

    def _record(self, home: Path, pid: int) -> None:
        if started := _start_time(pid):
            home.with_suffix(".pid").write_text(f"{pid} {started}")

    def _remove(self, home: Path) -> None:
        shutil.rmtree(home, ignore_errors=True)
        home.with_suffix(".pid").unlink(missing_ok=True)


def check_own(directory: Path) -> None:
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise UnsafeDirectory(str(directory))


def _end_orphan(record: Path) -> int | None:
    """Kill the recorded process's group, if it still is that process and not a later one of the same number;
    returns its id then."""
    try:
        pid, started = map(int, record.read_text().split())
    except (OSError, ValueError):
        return None
    if _start_time(pid) != started:
        return None
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    return pid


def _wait_until_gone(pids: list[int]) -> None:
    """Until then they may still write into their directories. Init takes a dead orphan back in milliseconds."""
    for _ in range(_GONE_POLLS):
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return
        time.sleep(_GONE_POLL_SECONDS)


def _start_time(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None for one that is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[_START_TIME_FIELD])
