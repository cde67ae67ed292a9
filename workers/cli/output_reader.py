"""Reader of the frames that a process writes to stdout.

The reader of asyncio wakes a task after each read from the pipe. This reader lets the task sleep while the frames need
no reaction, because the wake-up of a task that runs a job takes longer than the read itself.
"""

import asyncio
from collections.abc import Callable

from workers.cli.frames import FrameDecoder
from workers.core.frame import Frame

# If more output than this is unread, the reader stops reading from the pipe, so that the process must wait.
_MAX_UNREAD_BYTES = 512 * 1024
# A task does not wait longer once this many frames have arrived.
_MAX_WAITING_FRAMES = 100
# The timers of uvloop fire at whole milliseconds, so a timer may fire this long before its time.
_CLOCK_RESOLUTION_SECONDS = 0.001

# A function that returns whether a frame needs no reaction before the next frame arrives.
CanWait = Callable[[Frame], bool]


class OutputReader:
    """Decodes the output of one process. Only one task at a time may read."""

    def __init__(self, decoder: FrameDecoder) -> None:
        self._decoder = decoder
        self._loop = asyncio.get_running_loop()
        self._pipe: asyncio.ReadTransport | None = None
        self._is_paused = False
        self._unread_chunks: list[bytes] = []
        self._unread_bytes = 0
        self._has_ended = False
        self._is_discarding = False
        self._frames: list[Frame] = []
        self._has_urgent_frame = False
        self._error: Exception | None = None
        # The task that waits for frames.
        self._waiter: asyncio.Future[None] | None = None
        self._can_wait: CanWait | None = None
        self._deadline: float | None = None
        # One timer for all reads, because a reply has thousands of reads and each has a deadline. The timer does not
        # stop when a read ends. If it fires before the present deadline, it starts again.
        self._timer: asyncio.TimerHandle | None = None

    def attach_pipe(self, pipe: asyncio.ReadTransport) -> None:
        """Set the read end of the process's stdout."""
        self._pipe = pipe

    def feed(self, data: bytes) -> None:
        """Add output of the process, and wake the task that waits for it."""
        if self._is_discarding:
            return
        self._unread_chunks.append(data)
        self._unread_bytes += len(data)
        if self._waiter is not None:
            if self._can_wait is None or self._decode():
                self._wake()
        elif self._unread_bytes > _MAX_UNREAD_BYTES and self._pipe is not None and not self._is_paused:
            self._is_paused = True
            self._pipe.pause_reading()

    def feed_eof(self) -> None:
        """Record that the output has ended."""
        self._has_ended = True
        self._wake()

    async def read(self, deadline: float | None = None, can_wait: CanWait | None = None) -> list[Frame]:
        """Wait for frames and return them. An empty list means that the output has ended.

        Args:
            deadline: The end of the wait, by the clock of the event loop; None to wait forever.
            can_wait: A function that returns whether a frame needs no reaction before the next frame arrives; None if
                every frame needs a reaction. Frames that can wait are returned together with a later frame, or at the
                deadline.

        Raises:
            TimeoutError: No frame has arrived before the deadline.
            FrameError: The output is not valid.
        """
        self._can_wait, self._has_urgent_frame = can_wait, bool(self._frames)
        while not self._decode() and not self._has_ended:
            self._waiter, self._deadline = self._loop.create_future(), deadline
            if deadline is not None and (self._timer is None or deadline < self._timer.when()):
                self._start_timer(deadline)
            try:
                await self._waiter
            except TimeoutError:
                if not self._frames:
                    raise
                break
            finally:
                self._waiter = None
        frames, self._frames = self._frames, []
        if not frames and self._error is not None:
            error, self._error = self._error, None
            raise error
        return frames

    async def discard(self) -> None:
        """Wait until the output has ended, and discard it."""
        self._is_discarding = True
        self._take_chunks()
        while not self._has_ended:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _decode(self) -> bool:
        """Decode the unread output. Return whether the task that waits for frames must wake up."""
        try:
            for chunk in self._take_chunks() if self._unread_chunks else ():
                frames = self._decoder.feed(chunk)
                self._frames += frames
                if not self._has_urgent_frame and frames:
                    self._has_urgent_frame = self._can_wait is None or not all(map(self._can_wait, frames))
        except Exception as error:  # the task that reads handles it
            self._error = error
        return self._has_urgent_frame or self._error is not None or len(self._frames) > _MAX_WAITING_FRAMES

    def _take_chunks(self) -> list[bytes]:
        chunks, self._unread_chunks, self._unread_bytes = self._unread_chunks, [], 0
        if self._is_paused and self._pipe is not None:
            self._is_paused = False
            self._pipe.resume_reading()
        return chunks

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _start_timer(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._check_deadline)

    def _check_deadline(self) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done() or self._deadline is None:
            return
        if self._deadline <= self._loop.time() + _CLOCK_RESOLUTION_SECONDS:
            self._waiter.set_exception(TimeoutError())
        else:
            self._start_timer(self._deadline)
