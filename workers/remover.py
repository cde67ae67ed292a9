"""Removes directories, however much is in them, without anybody waiting for it.

A directory is renamed first, so its name is free at once. A thread that does nothing else removes what was renamed, one
directory after another, and leaves large ones to a process: so neither the event loop nor the threads that others share
wait for it.
"""

import contextlib
import os
import secrets
import shutil
import subprocess
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from workers.homes import check_own

# A directory of fewer entries is removed by the thread: a process would cost more.
_SMALL_ENTRIES = 200
_TRASH = ".claude-gateway-trash"

WhenGone = Callable[[], object]


def _nothing() -> None:
    pass


class Remover:
    """Removes directories that lie on the file system of `base`."""

    def __init__(self, base: Path) -> None:
        self._trash = base / _TRASH
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Path, WhenGone]] = deque()
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed = False

    def open(self) -> None:
        """Go on with what a gateway that is gone had not removed. Raises `OSError`, `workers.homes.UnsafeDirectory`."""
        self._is_closed = False
        with contextlib.suppress(FileNotFoundError):
            check_own(self._trash)
            for left in self._trash.iterdir():
                self._enqueue(left, _nothing)

    def remove(self, directory: Path, when_gone: WhenGone = _nothing) -> None:
        """The directory is not there any more when this returns; `when_gone` is called, in another thread, once nothing
        of it takes up the disk. Nothing happens where there is none."""
        away = self._trash / secrets.token_hex(12)
        try:
            self._trash.mkdir(mode=0o700, exist_ok=True)
            with contextlib.suppress(OSError):
                directory.chmod(0o700)  # one that may not be written to cannot be moved
            directory.rename(away)
        except FileNotFoundError:
            when_gone()
        except OSError:
            # A full disk takes no new name.
            self._enqueue(directory, when_gone)
        else:
            self._enqueue(away, when_gone)

    def wait(self) -> None:
        """Until nothing is left to be removed. Blocks."""
        while (thread := self._thread) is not None:
            thread.join()

    def close(self) -> None:
        """What is not removed by now is left to the next gateway."""
        with self._lock:
            self._is_closed = True
            self._waiting.clear()
            if self._process is not None:
                self._process.kill()
        self.wait()

    def _enqueue(self, path: Path, when_gone: WhenGone) -> None:
        with self._lock:
            if self._is_closed:
                return
            self._waiting.append((path, when_gone))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="remover", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                path, when_gone = self._waiting.popleft()
            self._remove(path)
            when_gone()

    def _remove(self, path: Path) -> None:
        if _is_small(path):
            shutil.rmtree(path, ignore_errors=True)
        # Work may leave directories that nobody may read or change, or nested without end. These two manage both, and
        # follow no links.
        for command in (("rm", "-rf"), ("chmod", "-R", "u+rwx"), ("rm", "-rf")):
            if not os.path.lexists(path):
                return
            self._run((*command, "--", str(path)))

    def _run(self, command: tuple[str, ...]) -> None:
        with self._lock:
            if self._is_closed:
                return
            try:
                self._process = subprocess.Popen(
                    ("nice", *command),  # noqa: S607 - by the PATH of whoever runs the gateway
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            except OSError:
                return  # no process to be had: the next gateway removes it
        self._process.wait()
        with self._lock:
            self._process = None


def _is_small(root: Path) -> bool:
    waiting, seen = [root], 0
    while waiting:
        try:
            with os.scandir(waiting.pop()) as found:
                for entry in found:
                    seen += 1
                    if seen > _SMALL_ENTRIES:
                        return False
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
        except OSError:
            return False
    return True
