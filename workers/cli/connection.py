"""Connection to one `claude` process. It writes and reads frames, and raises every failure as a `WorkerError`."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from workers.cli.frames import FrameError
from workers.cli.output_reader import CanWait
from workers.cli.process import ProcessIO
from workers.cli.protocol import (
    PROTOCOL_FRAME_TYPES,
    CliProtocol,
    ControlRejectedError,
    ProtocolState,
    RemoteProtocolError,
)
from workers.cli.stderr_summary import summarize_stderr
from workers.cli.upstream_errors import parse_upstream_message, quote_upstream_message, should_quote
from workers.conversation.resume_file import ResumeFile
from workers.core.errors import ErrorKind, WorkerError
from workers.core.event_loop import loop_time
from workers.core.frame import Frame

# The CLI writes to stderr before it writes the frames, but stderr is a separate pipe, so its text may arrive later.
_STDERR_TIMEOUT_SECONDS = 0.1
_STDERR_POLL_SECONDS = 0.005

# The types of the frames that may describe the limits of the login (`workers.parsing.limit_report`).
_LIMIT_FRAME_TYPES = ("rate_limit_event", "assistant")

# A function that starts a process. If a resume file is given, the process resumes the conversation in the file.
ProcessFactory = Callable[[ResumeFile | None], Awaitable[ProcessIO]]


class CliConnection:
    """Reads and writes the frames of one process.

    Deadlines are times of the event loop. If a method does not finish before its deadline, it raises `WorkerError` with
    the kind TIMEOUT.

    Args:
        spawn: A function that starts a process.
        create_protocol: A function that creates the protocol for a new process.
        on_limit_frame: A function that is called with each frame that may describe the limits of the login.

    Attributes:
        protocol: The state of the protocol.
        corruption_reason: The reason for which the gateway must not use the process any more, or "" if it can use the
            process. Once a process has sent a frame that the protocol does not allow, all its later output is
            unreliable.
    """

    def __init__(
        self,
        spawn: ProcessFactory,
        create_protocol: Callable[[], CliProtocol],
        on_limit_frame: Callable[[Frame], None] = lambda _: None,
    ) -> None:
        self._spawn = spawn
        self._on_limit_frame = on_limit_frame
        self._process: ProcessIO | None = None
        self._inbox: deque[Frame] = deque()
        # The error that the next call of `next_frames` raises.
        self._delayed_error: WorkerError | None = None
        self._create_protocol = create_protocol
        self.protocol = create_protocol()
        self.corruption_reason = ""
        self._stderr_offset_bytes = 0

    @property
    def pid(self) -> int:
        """The id of the process, or 0 before the first start."""
        return self._process.pid if self._process else 0

    @property
    def is_corrupt(self) -> bool:
        """Whether the gateway must not use the process any more."""
        return bool(self.corruption_reason)

    @property
    def last_stderr_line(self) -> str:
        """The last line that the process wrote to stderr, without secrets, or "" if it wrote nothing."""
        return summarize_stderr(self._process.stderr_tail()) if self._process else ""

    async def open(self, resume_file: ResumeFile | None = None) -> None:
        """Start a process, then kill the process that the connection used before.

        Raises:
            OSError: The new process could not be started. The connection still uses the previous process.
        """
        new_process = await self._spawn(resume_file)
        self.kill()
        self._process = new_process
        self._inbox.clear()
        self._delayed_error = None
        self.protocol = self._create_protocol()

    async def mark_ready(self) -> None:
        """Record that the process has started, and remove its resume file, which is no longer needed."""
        assert self._process is not None
        await self._process.mark_ready()

    def kill(self) -> None:
        """Kill the process, if one was started."""
        if self._process is not None:
            self._process.kill()

    async def wait_exited(self) -> int:
        """Wait until the present process exits, and return the exit status.

        A process that `open` has replaced does not count.
        """
        while True:
            process = self._process
            status = await process.wait_exited() if process else 0
            if process is self._process:
                return status

    async def write(self, *frames: Frame, deadline: float | None) -> None:
        """Write frames to the process.

        Raises:
            WorkerError: TIMEOUT if the process has not read the frames before the deadline, WORKER_EXITED if it has
                exited.
        """
        assert self._process is not None
        try:
            await self._process.write(*frames, deadline=deadline)
        except TimeoutError:
            raise WorkerError(ErrorKind.TIMEOUT, "The reply took too long.") from None
        except ConnectionError:
            raise self._build_exit_error() from None

    async def next_frame(self, deadline: float | None = None) -> Frame:
        """Return the next frame, after the protocol has handled it.

        If the protocol has a response to the frame, the connection first writes the response to the CLI.
        """
        if not self._inbox:
            await self.wait_readable(deadline)
        frame = self._inbox.popleft()
        if response := self._receive(frame):
            await self.write(response, deadline=deadline)
        if frame.get("type") in _LIMIT_FRAME_TYPES:
            self._on_limit_frame(frame)
        return frame

    async def next_frames(self, deadline: float | None, can_wait: CanWait) -> list[Frame]:
        """Return the frames that have arrived, after the protocol has handled them. If none has arrived, wait.

        If the protocol has a response to a frame, the connection first writes the response to the CLI.

        Args:
            deadline: The deadline.
            can_wait: A function that returns whether a frame needs no reaction before the next frame arrives.
        """
        if self._delayed_error is not None:
            raise self._delayed_error
        if not self._inbox:
            await self.wait_readable(deadline, can_wait)
        frames: list[Frame] = []
        try:
            while self._inbox:
                frame = self._inbox.popleft()
                frame_type = frame.get("type")
                if frame_type in PROTOCOL_FRAME_TYPES and (response := self._receive(frame)):
                    await self.write(response, deadline=deadline)
                if frame_type in _LIMIT_FRAME_TYPES:
                    self._on_limit_frame(frame)
                frames.append(frame)
        except WorkerError as error:
            if not frames:
                raise
            self._delayed_error = error  # the frames before the error are valid
        return frames

    def _receive(self, frame: Frame) -> Frame | None:
        """Let the protocol handle a frame. Return the response that must be written to the CLI, if there is one."""
        try:
            return self.protocol.receive(frame)
        except ControlRejectedError as error:
            self.mark_corrupt(f"it rejected a setting: {error}")
            message = "Claude Code rejected a setting."
            raise WorkerError(ErrorKind.PROTOCOL_ERROR, message, detail=str(error)) from error
        except RemoteProtocolError as error:
            raise self.mark_corrupt(str(error)) from error

    async def wait_readable(self, deadline: float | None, can_wait: CanWait | None = None) -> None:
        """Wait until a frame has arrived. The frame stays unread.

        Args:
            deadline: The deadline.
            can_wait: A function that returns whether a frame needs no reaction before the next frame arrives; None if
                every frame needs a reaction.
        """
        assert self._process is not None
        try:
            while not self._inbox:
                _check_deadline(deadline)  # a read that does not have to wait never times out
                frames = await self._process.read(deadline, can_wait)
                if not frames:
                    self.protocol.mark_exited()
                    raise self._build_exit_error()
                self._inbox.extend(frames)
        except TimeoutError:
            raise WorkerError(ErrorKind.TIMEOUT, "The reply took too long.") from None
        except FrameError as error:
            raise self.mark_corrupt(str(error)) from error

    async def wait_idle(self, deadline: float | None) -> None:
        """Read frames until the process waits for a prompt."""
        while self.protocol.state is not ProtocolState.IDLE:
            await self.next_frame(deadline)

    async def wait_controls_answered(self, deadline: float | None) -> None:
        """Read frames until the CLI has responded to all control requests."""
        while self.protocol.has_pending_controls:
            await self.next_frame(deadline)

    def mark_stderr_position(self) -> None:
        """Remember the present end of stderr.

        `with_upstream_message` searches only the output that follows, which is from the new turn.
        """
        self._stderr_offset_bytes = self._process.stderr_byte_count if self._process else 0

    async def with_upstream_message(self, error: WorkerError) -> WorkerError:
        """Add the upstream's message to the error if the upstream rejected the request.

        Return other errors unchanged.
        """
        if not should_quote(error) or self._process is None:
            return error
        for _ in range(round(_STDERR_TIMEOUT_SECONDS / _STDERR_POLL_SECONDS)):
            if message := parse_upstream_message(self._process.stderr_tail(self._stderr_offset_bytes)):
                return quote_upstream_message(error, message)
            await asyncio.sleep(_STDERR_POLL_SECONDS)
        return error

    def mark_corrupt(self, detail: str) -> WorkerError:
        """Mark the process as unusable.

        Args:
            detail: The reason, for the log.

        Returns:
            The error that the calling code should raise.
        """
        self.corruption_reason = detail or "it sent something unexpected"
        return WorkerError(ErrorKind.PROTOCOL_ERROR, "Claude Code sent something unexpected.", detail=detail)

    def clear_corruption(self) -> None:
        """Allow the use of the process again, because a new process has replaced the unusable one and has started."""
        self.corruption_reason = ""

    def _build_exit_error(self) -> WorkerError:
        stderr_tail = self._process.stderr_tail() if self._process else ""
        return WorkerError(ErrorKind.WORKER_EXITED, "The claude process exited unexpectedly.", detail=stderr_tail)


@asynccontextmanager
async def convert_start_errors(deadline: float) -> AsyncIterator[None]:
    """Convert every error of a process start to `WorkerError` with the kind START_FAILED and the reason."""
    try:
        async with asyncio.timeout_at(deadline):
            yield
    except TimeoutError:  # before OSError, of which it is a subclass
        raise WorkerError(ErrorKind.START_FAILED, "Claude Code did not start in time.") from None
    except OSError as error:
        raise WorkerError(ErrorKind.START_FAILED, "Claude Code could not be started.", detail=str(error)) from error
    except WorkerError as error:
        raise WorkerError(
            ErrorKind.START_FAILED, "Claude Code exited while it started.", detail=error.detail
        ) from error


def _check_deadline(deadline: float | None) -> None:
    if deadline is not None and loop_time() >= deadline:
        raise TimeoutError
