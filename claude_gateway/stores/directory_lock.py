"""One gateway a state directory: whoever holds the lock on it may write there."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workers.homes import StateDirectoryInUse

# The directory itself: nothing is written to lock it, and nobody can delete or replace the lock beneath its holder.
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# A file of this name on a file system that locks no directories.
_FILE = ".lock"
_FILE_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the lock for the length of a `with`; the directory is made where it is not there. The lock ends with the
    process that holds it, however that ends.

    Raises `StateDirectoryInUse` where another process holds it, and `OSError`.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = _lock(directory)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(directory: Path) -> int:
    try:
        return _locked(directory, _DIRECTORY)
    except BlockingIOError:
        raise StateDirectoryInUse(str(directory)) from None
    except OSError:
        pass
    try:
        return _locked(directory / _FILE, _FILE_FLAGS)
    except BlockingIOError:
        raise StateDirectoryInUse(str(directory)) from None


def _locked(path: Path, flags: int) -> int:
    descriptor = os.open(path, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
