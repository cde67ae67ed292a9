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
        file = os.open(path.with_suffix(".changes"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            if os.fstat(file).st_size < _BYTES:
                # Never made shorter: another process may have it mapped. With room on the disk: writing into a hole of
                # a full one would be the end of the process.
                os.posix_fallocate(file, 0, _BYTES)
            self._memory = mmap.mmap(file, _BYTES)
        finally:
            os.close(file)

    @property
    def value(self) -> int:
        return int.from_bytes(self._memory[:], "little")

    def add_one(self) -> None:
        self._memory[:] = ((self.value + 1) % 2**63).to_bytes(_BYTES, "little")

    def close(self) -> None:
        self._memory.close()
