"""A number that processes share: whoever writes the keys adds to it, and whoever holds them in memory sees that at
once, without asking the database.

A file of eight bytes, mapped into memory by each of them, as SQLite's own index of its WAL is: to read it is to read
memory. It is added to within the transaction that writes, and a reader's own transaction waits for the end of that; so
even a writer who dies there has either changed nothing or is seen.
"""

import mmap
import os
from pathlib import Path

_BYTES = 8


class ChangeCount:
    """Of the database at `path`. Not to be added to by two at once: the database's write lock is held for that."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_suffix(".changes")
        self._files = 1
        self._inode, self._memory = self._mapped()

    @property
    def value(self) -> tuple[int, int]:
        """Another one whenever something changed: how many files there were, and what stands in the last."""
        return self._files, self._count()

    def add_one(self) -> None:
        self._memory[:] = ((self._count() + 1) % 2**63).to_bytes(_BYTES, "little")

    def renew(self) -> bool:
        """Take the file that is there now, where it is not the one that is mapped: who deleted or replaced that has cut
        us off from every other process. True where it was so. Blocks; raises `OSError`."""
        if _inode_at(self._path) == self._inode:
            return False
        # What was mapped goes when nobody reads it any more, perhaps in another thread.
        self._inode, self._memory = self._mapped()
        self._files += 1
        return True

    def close(self) -> None:
        self._memory.close()

    def _count(self) -> int:
        return int.from_bytes(self._memory[:], "little")

    def _mapped(self) -> tuple[tuple[int, int], mmap.mmap]:
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            found = os.fstat(file)
            if found.st_size < _BYTES:
                # Never made shorter: another process may have it mapped. With room on the disk: writing into a hole of
                # a full one would be the end of the process.
                os.posix_fallocate(file, 0, _BYTES)
            return (found.st_dev, found.st_ino), mmap.mmap(file, _BYTES)
        finally:
            os.close(file)


def _inode_at(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
