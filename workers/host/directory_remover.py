"""Removes directories of any size in the background.

The remover first renames a directory, so that the path of the directory is free at once. A separate thread then deletes
the renamed directories one after another. For a large directory, the thread starts a process that deletes it. So the
removal blocks neither the event loop nor the threads in the default thread pool of the event loop.
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

from workers.host.process_dirs import require_private_dir

# If a directory has at most this many entries, the thread itself deletes it, because the start of a process would take
# longer.
_MAX_INLINE_ENTRIES = 200
_TRASH_DIR_NAME = ".claude-gateway-trash"

OnRemoved = Callable[[], object]


def _do_nothing() -> None:
    pass


class DirectoryRemover:
    """Removes directories in the background.

    Args:
        base: A directory on the same file system as the directories to remove. It contains the renamed directories.
    """

    def __init__(self, base: Path) -> None:
        self._trash_dir = base / _TRASH_DIR_NAME
        self._lock = threading.Lock()
        self._queue: deque[tuple[Path, OnRemoved]] = deque()
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed = False

    def open(self) -> None:
        """Start to delete the directories that a previous gateway process has renamed, but not deleted.

        Raises:
            workers.host.process_dirs.UnsafeDirectory: Another user could write to the directory with the renamed
                directories.
            OSError: The method cannot read the directory with the renamed directories.
        """
        self._is_closed = False
        with contextlib.suppress(FileNotFoundError):
            require_private_dir(self._trash_dir)
            for directory in self._trash_dir.iterdir():
                self._enqueue(directory, _do_nothing)

    def remove(self, directory: Path, on_removed: OnRemoved = _do_nothing) -> None:
        """Remove a directory. Its path is free when the method returns, and another thread deletes the files later.

        Args:
            directory: The directory to remove. If it does not exist, the method only calls `on_removed`.
            on_removed: A function that the other thread calls when it has deleted all files.
        """
        trash_path = self._trash_dir / secrets.token_hex(12)
        try:
            self._trash_dir.mkdir(mode=0o700, exist_ok=True)
            with contextlib.suppress(OSError):
                directory.chmod(0o700)  # the system does not rename a read-only directory
            directory.rename(trash_path)
        except FileNotFoundError:
            on_removed()
        except OSError:
            # If the disk is full, renaming fails. Delete the directory under its old path.
            self._enqueue(directory, on_removed)
        else:
            self._enqueue(trash_path, on_removed)

    def wait(self) -> None:
        """Wait until the thread has deleted all directories. The method blocks the calling thread."""
        while (thread := self._thread) is not None:
            thread.join()

    def close(self) -> None:
        """Stop the deletion of directories. The next gateway process deletes the remaining directories.

        The method blocks the calling thread.
        """
        with self._lock:
            self._is_closed = True
            self._queue.clear()
            if self._process is not None:
                self._process.kill()
        self.wait()

    def _enqueue(self, path: Path, on_removed: OnRemoved) -> None:
        with self._lock:
            if self._is_closed:
                return
            self._queue.append((path, on_removed))
            if self._thread is None:
                self._thread = threading.Thread(target=self._remove_queued, name="remover", daemon=True)
                self._thread.start()

    def _remove_queued(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._thread = None
                    return
                path, on_removed = self._queue.popleft()
            self._remove(path)
            on_removed()

    def _remove(self, path: Path) -> None:
        if _is_small(path):
            shutil.rmtree(path, ignore_errors=True)
        # Agents may leave directories without permissions, or very deeply nested directories. These commands can delete
        # such directories, and do not follow links.
        for command in (("rm", "-rf"), ("chmod", "-R", "u+rwx"), ("rm", "-rf")):
            if not os.path.lexists(path):
                return
            self._run_command((*command, "--", str(path)))

    def _run_command(self, command: tuple[str, ...]) -> None:
        with self._lock:
            if self._is_closed:
                return
            try:
                self._process = subprocess.Popen(
                    ("nice", *command),  # noqa: S607 - found by the PATH of the gateway
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            except OSError:
                return  # the process cannot be started, so the next gateway process deletes the directory
        self._process.wait()
        with self._lock:
            self._process = None


def _is_small(root: Path) -> bool:
    pending, count = [root], 0
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    count += 1
                    if count > _MAX_INLINE_ENTRIES:
                        return False
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(Path(entry.path))
        except OSError:
            return False
    return True
