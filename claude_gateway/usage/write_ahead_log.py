"""Write-ahead log for usage records that are not in the database yet. It consists of two files beside the database.

Writing one record to the database would delay a job by half a millisecond, because it needs a statement, a thread and
two wake-ups of the event loop. Appending the record to the log takes only some microseconds. Soon afterwards, the
gateway writes many records to the database at once. Each line of the log is one record. The gateway appends each line
with one system call, so the line survives a killed process. Like the usage records in the database, the line may be
lost if the machine loses power.

The gateway alternates between the two files. While it writes the records of one file to the database, it appends new
lines to the other file. Each line has a number, and the numbers are in the order in which the gateway appends the
lines. Reading a line twice is harmless, because the gateway uses only the latest line of each job.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from claude_gateway.storage.backup import USAGE_LOG_SUFFIXES
from claude_gateway.storage.row_reader import READ_ERRORS, log_unreadable, require_count

# Maximum size of a log file. A file reaches this size only while the gateway cannot write to the database, and a larger
# file would not help in that case.
_MAX_FILE_BYTES = 4 * 1024 * 1024
_OPEN_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


RecordRow = Sequence[Any]


class WriteAheadLog:
    """Appends usage records to the two log files beside a database, and reads the log files after a crash.

    Args:
        path: Path of the database file.

    Raises:
        OSError: The log files cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._files: list[int] = []
        try:
            for suffix in USAGE_LOG_SUFFIXES:
                self._files.append(os.open(f"{path}{suffix}", _OPEN_FLAGS, 0o600))
        except OSError:
            self.close()
            raise
        self._sizes = [os.fstat(file).st_size for file in self._files]
        self._current_index = 0
        self._last_number = 0

    def append(self, row: RecordRow) -> bool:
        """Append a row to the current log file. Return False if the row could not be written.

        The method runs on the event loop. The system call takes only some microseconds, because it writes to the page
        cache.
        """
        self._last_number += 1
        line = orjson.dumps([self._last_number, row]) + b"\n"
        file, size = self._files[self._current_index], self._sizes[self._current_index]
        if size + len(line) > _MAX_FILE_BYTES:
            return False
        try:
            if os.write(file, line) < len(line):
                os.ftruncate(file, size)  # otherwise the next line would follow an incomplete line
                return False
        except OSError:
            return False  # the disk is full, and the write to the database will fail and report this
        self._sizes[self._current_index] += len(line)
        return True

    def rotate(self) -> int:
        """Switch to the other of the two log files. Return the index of the file that was in use until now."""
        previous_index, self._current_index = self._current_index, 1 - self._current_index
        return previous_index

    def truncate_file(self, file_index: int) -> None:
        """Empty a log file, after the gateway has written the records in this file to the database."""
        if self._sizes[file_index]:
            os.ftruncate(self._files[file_index], 0)
            self._sizes[file_index] = 0

    def truncate_all(self) -> None:
        """Empty both log files."""
        for file_index in range(len(self._files)):
            self.truncate_file(file_index)

    def read_all(self) -> list[RecordRow]:
        """Return the rows that a killed gateway process left in the log files, oldest first.

        The method skips an incomplete line at the end of a file.
        """
        return [row for _, row in sorted(self._read_numbered_rows(), key=lambda numbered: numbered[0])]

    def close(self) -> None:
        """Close both log files."""
        for file in self._files:
            os.close(file)

    def _read_numbered_rows(self) -> Iterator[tuple[int, RecordRow]]:
        for file, size in zip(self._files, self._sizes, strict=True):
            for line in os.pread(file, min(size, _MAX_FILE_BYTES), 0).splitlines(keepends=True):
                try:
                    yield parse_log_line(line)
                except READ_ERRORS as error:
                    if line.endswith(b"\n"):
                        log_unreadable("a line of the write-ahead log of usage records", error)


def parse_log_line(raw_line: bytes) -> tuple[int, RecordRow]:
    """Parse a line of the write-ahead log, and return the number of the line and the row of values in the line.

    Raises one of the exceptions in `READ_ERRORS` if the line is damaged.
    """
    number, row = orjson.loads(raw_line)
    return require_count(number), list(row)
