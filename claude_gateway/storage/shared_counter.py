"""Counter by which each gateway process learns that another process has changed the API keys.

A process that changes the keys increments the counter. The other processes see the new count and update their cached
keys. The counter is a file of eight bytes that each process maps into memory, as SQLite does with the index of its WAL.
So reading the counter needs no system call and no query. A process increments the counter inside the transaction that
changes the keys, and a transaction that reads the keys waits for the end of that transaction. So if the writing process
crashes before the end, either the keys have not changed or the readers see the increment.
"""

import mmap
import os
from pathlib import Path

_COUNTER_BYTES = 8


class SharedChangeCounter:
    """Counts the changes of the API keys in a database, for all processes that use the database.

    A process may increment the counter only while it holds the write lock of the database.

    Args:
        path: Path of the database file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_suffix(".changes")
        self._generation = 1
        self._inode, self._mapping = self._map_file()

    @property
    def value(self) -> tuple[int, int]:
        """Version of the API keys, as two counts.

        The first is the count of the counter files opened so far. The second is the number in the current counter file.
        """
        return self._generation, self._read_count()

    def increment(self) -> None:
        """Add 1 to the counter. Other processes then know that the keys in their caches are out of date."""
        self._mapping[:] = ((self._read_count() + 1) % 2**63).to_bytes(_COUNTER_BYTES, "little")

    def reopen_if_replaced(self) -> bool:
        """Map the counter file into memory again if another process has deleted or replaced the file.

        Otherwise this process would miss increments. The method blocks while it accesses the file system.

        Returns:
            Whether the file had been deleted or replaced.

        Raises:
            OSError: The file cannot be opened.
        """
        if _read_inode(self._path) == self._inode:
            return False
        # The garbage collector frees the old mapping later, because another thread may still read it.
        self._inode, self._mapping = self._map_file()
        self._generation += 1
        return True

    def close(self) -> None:
        """Unmap the counter file from memory."""
        self._mapping.close()

    def _read_count(self) -> int:
        return int.from_bytes(self._mapping[:], "little")

    def _map_file(self) -> tuple[tuple[int, int], mmap.mmap]:
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            status = os.fstat(file)
            if status.st_size < _COUNTER_BYTES:
                # The gateway never shrinks the file, because another process may have mapped it. The gateway allocates
                # disk space for the file, because the kernel would kill a process (SIGBUS) that writes to unallocated
                # space while the disk is full.
                os.posix_fallocate(file, 0, _COUNTER_BYTES)
            return (status.st_dev, status.st_ino), mmap.mmap(file, _COUNTER_BYTES)
        finally:
            os.close(file)


def _read_inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
