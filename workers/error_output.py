"""What a child process writes to stderr: read the moment it is there, the last of it kept for the log."""

import asyncio
import os
from collections import deque
from collections.abc import Callable

_READ_SIZE = 64 * 1024
_KEPT_BYTES = 16 * 1024
# With `--debug-to-stderr --debug=api:timing` the CLI writes one line once the headers of a request are made, before it
# sends the request, and one at the first byte of the answer; nothing else (CLI 2.1.332).
_TIMING = b"[API:timing]"
_REQUEST_BEGINS = b"[API:timing] dispatching"


class ErrorOutput:
    """A pipe whose `write_end` is given to the child, and closed here once it has it.

    It is read in a callback of the event loop and not in a task: what a line announces may come a millisecond later.
    `notice_request` is called at each line that announces an upstream request. `ended` is set at the end of the stream.
    """

    def __init__(self) -> None:
        self._read_end, self.write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        self.notice_request: Callable[[], None] = lambda: None
        self.ended = asyncio.Event()
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
            self.ended.set()

    def last_words(self) -> str:
        """The last that was written, without the lines that announce requests."""
        lines = b"".join(self._kept)[-_KEPT_BYTES:].split(b"\n")
        return b"\n".join(line for line in lines if _TIMING not in line).decode("utf-8", "replace").strip()

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
        if any(_REQUEST_BEGINS in line for line in lines):
            self.notice_request()
        self._kept.append(data)
        self._kept_size += len(data)
        while self._kept_size - len(self._kept[0]) > _KEPT_BYTES:
            self._kept_size -= len(self._kept.popleft())
