"""What a child process writes to stderr: read the moment it is there, the last of it kept for the log."""

import asyncio
import os
from collections import deque

_READ_SIZE = 64 * 1024
_KEPT_BYTES = 16 * 1024


class ErrorOutput:
    """A pipe whose `write_end` is given to the child, and closed here once it has it.

    `words` counts the bytes that it was sent, `ended` is set at the end of the stream.
    """

    def __init__(self) -> None:
        self._read_end, self.write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        self.ended = asyncio.Event()
        self.words = 0
        self._kept: deque[bytes] = deque()
        self._kept_size = 0
        self._unfinished = b""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._read_end, self._read)

    def close(self) -> None:
        """Read no more. May be called again."""
        if not self.ended.is_set():
            self._loop.remove_reader(self._read_end)
            os.close(self._read_end)
            self._keep(self._unfinished)
            self.ended.set()

    def last_words(self, since: int = 0) -> str:
        """The last that was kept, no more than what came after the first `since` bytes."""
        size = min(_KEPT_BYTES, self.words - since)
        return b"".join(self._kept)[-size:].decode("utf-8", "replace").strip() if size > 0 else ""

    def _read(self) -> None:
        try:
            data = os.read(self._read_end, _READ_SIZE)
        except BlockingIOError:
            return
        if not data:
            self.close()
            return
        *lines, unfinished = (self._unfinished + data).split(b"\n")
        self._unfinished = unfinished[-_KEPT_BYTES:]
        for line in lines:
            self._keep(line + b"\n")

    def _keep(self, line: bytes) -> None:
        self.words += len(line)
        self._kept.append(line)
        self._kept_size += len(line)
        while self._kept_size - len(self._kept[0]) > _KEPT_BYTES:
            self._kept_size -= len(self._kept.popleft())
