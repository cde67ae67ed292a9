"""Creates a directory and a pid file for each child process, and cleans up after a killed gateway process.

If a gateway process is killed, its child processes may continue to run. So the gateway writes a pid file with the start
time of each child process. The next gateway process with the same state directory kills the processes that still run.
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

_START_TIME_INDEX = 19  # in /proc/PID/stat, after the closing parenthesis of the command (field 22)
_MAX_EXIT_POLLS = 100
_EXIT_POLL_INTERVAL_SECONDS = 0.02


class StateDirectoryInUse(Exception):
    """Raised if another gateway process uses the state directory."""


class UnsafeDirectory(Exception):
    """Raised if another user can write to a directory that only the gateway may change.

    The other user could create pid files or links to make the gateway kill processes or delete files.
    """


class ProcessDirectories:
    """Locks the directory `base`, and manages process directories and pid files in it.

    Blocking calls run in threads.
    """

    def __init__(self, base: Path) -> None:
        # The process directories are in a subdirectory of `base`. The cleanup deletes the content of this subdirectory,
        # and `base` may contain other files of the operator.
        self.base = base
        self._root = base / ".claude-gateway-workers"
        self._lock: int | None = None

    async def open(self) -> int:
        """Lock the directory, kill the processes that an earlier gateway left running, and remove their directories.

        Returns:
            The number of killed processes.

        Raises:
            StateDirectoryInUse: Another gateway process holds the lock.
            UnsafeDirectory: Another user can write to the directory.
            OSError: The gateway cannot write to the directory.
        """
        return await asyncio.to_thread(self._open)

    async def create(self) -> Path:
        """Create an empty directory for one process. Only the user of the gateway can read it."""
        return Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="w-", dir=self._root))

    async def write_pid_file(self, process_dir: Path, pid: int) -> None:
        """Write the pid file of a process directory, with the id and the start time of the process."""
        await asyncio.to_thread(self._write_pid_file, process_dir, pid)

    async def remove(self, process_dir: Path) -> None:
        """Remove a process directory and its pid file."""
        await asyncio.to_thread(self._remove, process_dir)

    def close(self) -> None:
        """Release the lock on the directory."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _open(self) -> int:
        self._root.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._root.mkdir(mode=0o700, exist_ok=True)
        require_private_dir(self._root)
        self._lock = os.open(self._root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.close()
            raise StateDirectoryInUse(str(self._root.parent)) from None
        orphans = [pid for pid_file in self._root.glob("*.pid") if (pid := _kill_orphan(pid_file))]
        _wait_until_exited(orphans)
        for process_dir in self._root.glob("w-*"):
            self._remove(process_dir)
        return len(orphans)

    def _write_pid_file(self, process_dir: Path, pid: int) -> None:
        if start_time := _read_start_time(pid):
            process_dir.with_suffix(".pid").write_text(f"{pid} {start_time}")

    def _remove(self, process_dir: Path) -> None:
        shutil.rmtree(process_dir, ignore_errors=True)
        process_dir.with_suffix(".pid").unlink(missing_ok=True)


def require_private_dir(directory: Path) -> None:
    """Check that a path is a directory to which only the user of the gateway has access.

    Raises:
        UnsafeDirectory: The path is not a directory (for example a link), it belongs to another user, or other users
            have access to it.
        OSError: The function cannot examine the path.
    """
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise UnsafeDirectory(str(directory))


def _kill_orphan(pid_file: Path) -> int | None:
    """Kill the process group whose id is in a pid file, unless the id now belongs to a later process.

    Returns:
        The id of the killed process, or None if the function has killed no process.
    """
    try:
        pid, start_time = map(int, pid_file.read_text().split())
    except (OSError, ValueError):
        return None
    if _read_start_time(pid) != start_time:
        return None
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    return pid


def _wait_until_exited(pids: list[int]) -> None:
    """Wait until killed processes have exited. Before that, they may still write to their directories.

    The init process removes exited processes from the process table within milliseconds.
    """
    for _ in range(_MAX_EXIT_POLLS):
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return
        time.sleep(_EXIT_POLL_INTERVAL_SECONDS)


def _read_start_time(pid: int) -> int | None:
    """Return the start time of a process in clock ticks since the system start, or None if the process has exited."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[_START_TIME_INDEX])
