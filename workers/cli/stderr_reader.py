"""Reader for the stderr of a child process. It reads all output at once and keeps the end of the output for the log."""

import asyncio
import os
from collections import deque

_READ_BYTES = 64 * 1024
_MAX_TAIL_BYTES = 16 * 1024


class StderrReader:
    """Reads a pipe to which a child process writes its stderr.

    Attributes:
        write_fd: The file descriptor to which the child writes. The code that starts the child closes it afterwards.
        closed: An event that is set when the child's stderr has ended.
        byte_count: The number of bytes of all complete lines that were read.
    """

    def __init__(self) -> None:
        self._read_fd, self.write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        self.closed = asyncio.Event()
        self.byte_count = 0
        self._tail_lines: deque[bytes] = deque()
        self._tail_bytes = 0
        self._partial_line = b""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._read_fd, self._read)

    def close(self) -> None:
        """Stop reading. This may be called more than once."""
        if not self.closed.is_set():
            self._loop.remove_reader(self._read_fd)
            os.close(self._read_fd)
            self._append_line(self._partial_line)
            self.closed.set()

    def tail(self, offset_bytes: int = 0) -> str:
        """Return the last part of the output, at most 16 KiB. The first `offset_bytes` bytes are left out."""
        size = min(_MAX_TAIL_BYTES, self.byte_count - offset_bytes)
        return b"".join(self._tail_lines)[-size:].decode("utf-8", "replace").strip() if size > 0 else ""

    def _read(self) -> None:
        try:
            data = os.read(self._read_fd, _READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            self.close()
            return
        *lines, partial_line = (self._partial_line + data).split(b"\n")
        self._partial_line = partial_line[-_MAX_TAIL_BYTES:]
        for line in lines:
            self._append_line(line + b"\n")

    def _append_line(self, line: bytes) -> None:
        self.byte_count += len(line)
        self._tail_lines.append(line)
        self._tail_bytes += len(line)
        while self._tail_bytes - len(self._tail_lines[0]) > _MAX_TAIL_BYTES:
            self._tail_bytes -= len(self._tail_lines.popleft())
