"""Lock the state directory, so that only one gateway process uses the directory."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workers.host.process_dirs import StateDirectoryInUse

# The gateway locks the directory itself and not a lock file, because another process could delete or replace a lock
# file.
_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# On file systems that cannot lock directories, the gateway locks this file instead.
_LOCK_FILE_NAME = ".lock"
_LOCK_FILE_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


@contextmanager
def lock_directory(directory: Path) -> Iterator[None]:
    """Hold a lock on a directory during the `with` block. Create the directory if it does not exist.

    The kernel releases the lock when the process exits, even after a crash.

    Raises:
        StateDirectoryInUse: Another process holds the lock.
        OSError: The function cannot create or lock the directory.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = _lock_directory_or_file(directory)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock_directory_or_file(directory: Path) -> int:
    try:
        return _open_and_lock(directory, _DIRECTORY_FLAGS)
    except BlockingIOError:
        raise StateDirectoryInUse(str(directory)) from None
    except OSError:
        pass
    try:
        return _open_and_lock(directory / _LOCK_FILE_NAME, _LOCK_FILE_FLAGS)
    except BlockingIOError:
        raise StateDirectoryInUse(str(directory)) from None


def _open_and_lock(path: Path, flags: int) -> int:
    descriptor = os.open(path, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
