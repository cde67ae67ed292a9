"""Lines of the ledger that the database does not have yet, in two small files beside it.

A line in the database costs half a millisecond of a job: a statement, a thread, two wake-ups of the event loop. One
here costs some microseconds, and the database gets many at a time, soon. Written with one call of the system each, so
whatever was noted survives a killed process; not a machine that loses its power, as the ledger never did.

Two files in turns: while the lines of one go into the database, new ones go into the other. Lines are in the order of
their numbers, and one that is read twice does no harm: the latest of a job counts.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from claude_gateway.stores.damage import UNREADABLE, count, tell

# Behind the name of the database, to which they belong as SQLite's own files do.
ENDINGS = ("-ledger-1", "-ledger-2")
# More than that gathers only where the database cannot be written, and then it is no use to gather.
_MOST_BYTES = 4 * 1024 * 1024
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


Line = Sequence[Any]


class Journal:
    """Of the database at `path`. Raises `OSError` where its files cannot be made."""

    def __init__(self, path: Path) -> None:
        self._files: list[int] = []
        try:
            for ending in ENDINGS:
                self._files.append(os.open(f"{path}{ending}", _FLAGS, 0o600))
        except OSError:
            self.close()
            raise
        self._sizes = [os.fstat(file).st_size for file in self._files]
        self._current = 0
        self._number = 0

    def note(self, line: Line) -> bool:
        """Whether it is kept. Called on the event loop: some microseconds, for the system only takes it into memory."""
        self._number += 1
        written = orjson.dumps([self._number, line]) + b"\n"
        file, size = self._files[self._current], self._sizes[self._current]
        if size + len(written) > _MOST_BYTES:
            return False
        try:
            if os.write(file, written) < len(written):
                os.ftruncate(file, size)  # the next one would go on in the middle of it
                return False
        except OSError:
            return False  # a full disk; the database says so too, and louder
        self._sizes[self._current] += len(written)
        return True

    def turn(self) -> int:
        """From now on the other file is written; returns the one that was."""
        before, self._current = self._current, 1 - self._current
        return before

    def forget(self, file: int) -> None:
        """Its lines are in the database."""
        if self._sizes[file]:
            os.ftruncate(self._files[file], 0)
            self._sizes[file] = 0

    def forget_all(self) -> None:
        for file in range(len(self._files)):
            self.forget(file)

    def lines(self) -> list[Line]:
        """What a process that was killed left behind, the oldest first. The last of a file may be half a line."""
        return [line for _, line in sorted(self._read(), key=lambda numbered: numbered[0])]

    def close(self) -> None:
        for file in self._files:
            os.close(file)

    def _read(self) -> Iterator[tuple[int, Line]]:
        for file, size in zip(self._files, self._sizes, strict=True):
            for written in os.pread(file, min(size, _MOST_BYTES), 0).splitlines(keepends=True):
                try:
                    yield parse_line(written)
                except UNREADABLE as error:
                    if written.endswith(b"\n"):
                        tell("a line of the ledger's journal", error)


def parse_line(written: bytes) -> tuple[int, Line]:
    """The number of a line, and the line. Raises one of `damage.UNREADABLE`."""
    number, line = orjson.loads(written)
    return count(number), list(line)
