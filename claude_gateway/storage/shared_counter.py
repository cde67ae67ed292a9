"""Counter by which each gateway process learns that another process has changed the API keys.

A process that changes the keys increments the counter. The other processes see the new count and read the keys from the
database again. The counter is a file of eight bytes that each process maps into memory. So a process can read the
counter without a system call and without a query.

A process increments the counter inside the transaction that changes the keys. A transaction that reads the keys waits
for the end of that transaction. So even if the writing process crashes before the end, a change of the keys never
happens without an increment that the readers see.
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
        """Version of the API keys, as a pair of numbers. If the pair changes, the keys may have changed.

        The first number is the count of the counter files that this process has opened so far. The second number is the
        content of the current counter file.
        """
        return self._generation, self._read_count()

    def increment(self) -> None:
        """Add 1 to the counter. Other processes then know that the keys in their caches are out of date."""
        self._mapping[:] = ((self._read_count() + 1) % 2**63).to_bytes(_COUNTER_BYTES, "little")

    def reopen_if_replaced(self) -> bool:
        """Open the counter file again if another process has deleted or replaced the file.

        Otherwise this process would not see increments in the new file. The method blocks while it accesses the file
        system.

        Returns:
            Whether another process had deleted or replaced the file.

        Raises:
            OSError: The method cannot open the file.
        """
        if _read_inode(self._path) == self._inode:
            return False
        # Do not close the old mapping, because another thread may still read it. The garbage collector frees it later.
        self._inode, self._mapping = self._map_file()
        self._generation += 1
        return True

    def close(self) -> None:
        """Close the counter file by removing its mapping from the memory of this process."""
        self._mapping.close()

    def _read_count(self) -> int:
        return int.from_bytes(self._mapping[:], "little")

    def _map_file(self) -> tuple[tuple[int, int], mmap.mmap]:
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            status = os.fstat(file)
            if status.st_size < _COUNTER_BYTES:
                # Never shrink the file, because another process may have mapped it. Allocate disk space for the file,
                # because the kernel kills a process (SIGBUS) that writes to unallocated space while the disk is full.
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
