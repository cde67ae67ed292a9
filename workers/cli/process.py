"""A child process with its pipes, its process group and its exit. The frames are not interpreted here."""

import asyncio
import contextlib
import ctypes
import itertools
import os
import signal
from asyncio.subprocess import SubprocessStreamProtocol
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol, Self, cast

from workers.cli.frames import FrameDecoder
from workers.cli.output_reader import CanWait, OutputReader
from workers.cli.stderr_reader import StderrReader
from workers.core.frame import Frame, iter_line_chunks
from workers.host.priority import Priority, lower_session_priority, restore_chat_priority

_READ_BYTES = 256 * 1024
# The encoding of this many bytes takes at most a millisecond.
_ENCODE_STEP_BYTES = 256 * 1024
_STDERR_TIMEOUT_SECONDS = 1.0
_STDOUT_FD = 1
# The drain of a pipe does not wait for the process if less than this is unsent: asyncio lets a writer wait from 64 KiB
# until a quarter of that is left.
_MAX_UNTIMED_BYTES = 16 * 1024
_PR_SET_PDEATHSIG = 1
_SYS_KEYCTL = 250 if os.uname().machine == "x86_64" else 219
_KEYCTL_JOIN_SESSION_KEYRING = 1
_libc = ctypes.CDLL(None, use_errno=True)


class ProcessIO(Protocol):
    """The interface of a worker's process. Tests use a scripted process instead of a real one."""

    pid: int

    async def read(self, deadline: float | None = None, can_wait: CanWait | None = None) -> list[Frame]:
        """Wait for frames and return them, as described in `OutputReader.read`."""
        ...

    async def write(self, *frames: Frame, deadline: float | None = None) -> None:
        """Write frames to the process.

        Raises:
            ConnectionError: The process no longer reads.
            TimeoutError: The process has not read the frames before the deadline, by the clock of the event loop.
        """
        ...

    async def mark_ready(self) -> None:
        """Record that the process has started and has read its resume file."""
        ...

    def kill(self) -> None:
        """Kill the process group at once."""
        ...

    async def wait_exited(self) -> int:
        """Wait until the process exits, and return the exit status."""
        ...

    def stderr_tail(self, offset_bytes: int = 0) -> str:
        """Return the last part of the stderr output. The first `offset_bytes` bytes are left out."""
        ...

    @property
    def stderr_byte_count(self) -> int:
        """The number of bytes that the process has written to stderr.

        The number can be passed to `stderr_tail` as the offset.
        """
        ...


class ProcessProtocol(SubprocessStreamProtocol):
    """The protocol of asyncio for a child process, except that an `OutputReader` gets the child's stdout."""

    def __init__(self, output: OutputReader) -> None:
        super().__init__(limit=_READ_BYTES, loop=asyncio.get_running_loop())
        self._output = output

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Handle the start of the child."""
        super().connection_made(transport)
        pipe = cast(asyncio.SubprocessTransport, transport).get_pipe_transport(_STDOUT_FD)
        self._output.attach_pipe(cast(asyncio.ReadTransport, pipe))

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:  # noqa: ARG002 - stdout is the only pipe
        """Handle output of the child."""
        self._output.feed(data)  # type: ignore[arg-type] # it is never text

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Handle the end of stdin or stdout."""
        super().pipe_connection_lost(fd, exc)
        if fd == _STDOUT_FD:
            self._output.feed_eof()


class Process:
    """A child process in its own process group. The kernel kills the child when the gateway ends for any reason."""

    def __init__(
        self, child: asyncio.subprocess.Process, output: OutputReader, stderr: StderrReader | None = None
    ) -> None:
        self.pid = child.pid
        self._child = child
        self._output = output
        self._stderr = stderr
        self._session_lowered: asyncio.Future[bool] | None = None

    @classmethod
    async def spawn(
        cls,
        argv: tuple[str, ...],
        env: Mapping[str, str],
        directory: Path,
        decoder: FrameDecoder | None = None,
        *,
        capture_stderr: bool = True,
        priority: Priority | None = None,
    ) -> Self:
        """Start a process.

        Args:
            argv: The command line.
            env: The complete environment.
            directory: The working directory.
            decoder: The decoder for the output of the process.
            capture_stderr: Whether the gateway reads stderr. If not, the output on stderr is discarded.
            priority: The priority of the process, or None for the priority of the gateway.

        Raises:
            OSError: The process could not be started.
        """
        parent = os.getpid()

        def die_with_parent() -> None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            # Give the process a new keyring. The keyring of the gateway's session may hold keys, and all sandboxes
            # would share it.
            _libc.syscall(_SYS_KEYCTL, _KEYCTL_JOIN_SESSION_KEYRING, None)
            if priority is not None:
                priority.apply()
            if os.getppid() != parent:  # the parent ended before the signal was set
                os._exit(1)

        loop = asyncio.get_running_loop()
        output = OutputReader(decoder or FrameDecoder())
        stderr = StderrReader() if capture_stderr else None
        try:
            transport, protocol = await loop.subprocess_exec(
                lambda: ProcessProtocol(output),
                *argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr.write_fd if stderr else asyncio.subprocess.DEVNULL,
                cwd=directory,
                env=dict(env),
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        except BaseException:
            if stderr:
                stderr.close()
            raise
        finally:
            if stderr:
                os.close(stderr.write_fd)
        process = cls(asyncio.subprocess.Process(transport, protocol, loop), output, stderr)
        if priority is not None:
            # The session of the child exists now. `restore_priority` waits until its niceness is set.
            process._session_lowered = loop.run_in_executor(None, lower_session_priority, process.pid, priority)
        return process

    async def read(self, deadline: float | None = None, can_wait: CanWait | None = None) -> list[Frame]:
        """Wait for frames and return them, as described in `ProcessIO.read`."""
        frames = await self._output.read(deadline, can_wait)
        if not frames:
            await self._wait_stderr_ended()
        return frames

    async def write(self, *frames: Frame, deadline: float | None = None) -> None:
        """Write frames to the process, as described in `ProcessIO.write`."""
        stdin = self._child.stdin
        assert stdin is not None
        chunks, is_cancelled = await _encode_lines(frames)
        try:
            if stdin.is_closing():  # uvloop would raise a RuntimeError, asyncio would discard the data
                raise ConnectionResetError("the process no longer reads")
            stdin.writelines(chunks)
            if is_cancelled:
                raise asyncio.CancelledError
            if stdin.transport.get_write_buffer_size() <= _MAX_UNTIMED_BYTES:
                await stdin.drain()  # does not wait for the process
            else:
                async with asyncio.timeout_at(deadline):
                    await stdin.drain()
        except ConnectionError:
            await self._wait_stderr_ended()
            raise

    async def _wait_stderr_ended(self) -> None:
        """Wait until stderr ends. Stderr is a separate pipe, so its last output may arrive after the end of stdout."""
        if self._stderr:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STDERR_TIMEOUT_SECONDS):
                    await self._stderr.closed.wait()

    async def drain_stdout(self) -> None:
        """Read and discard the remaining output, because asyncio reports the exit only after all output is read."""
        await self._output.discard()

    async def mark_ready(self) -> None:
        """Do nothing, because this process has no resume file."""

    async def restore_priority(self) -> None:
        """Give a started process the priority of chat processes."""
        with_session = self._session_lowered is not None and await asyncio.shield(self._session_lowered)
        await asyncio.to_thread(restore_chat_priority, self.pid, with_session=with_session)

    def kill(self) -> None:
        """Kill the process group: the child and all tools that the child has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    async def wait_exited(self) -> int:
        """Wait until the process exits, and return the exit status. A negative status is the number of a signal."""
        status = await self._child.wait()
        if self._stderr:
            self._stderr.close()
        await self._close_stdin()
        return status

    async def _close_stdin(self) -> None:
        """Close stdin and retrieve the error that an earlier write may have stored in it.

        Until Python 3.11.3, the interpreter prints an error that is not retrieved ("Future exception was never
        retrieved: BrokenPipeError").
        """
        stdin = self._child.stdin
        assert stdin is not None
        if not stdin.is_closing():
            stdin.transport.abort()
        with contextlib.suppress(ConnectionError):
            await stdin.wait_closed()

    @property
    def stderr_byte_count(self) -> int:
        """The number of bytes of all complete lines that the process has written to stderr."""
        return self._stderr.byte_count if self._stderr else 0

    def stderr_tail(self, offset_bytes: int = 0) -> str:
        """Return the last part of the stderr output. The first `offset_bytes` bytes are left out."""
        return self._stderr.tail(offset_bytes) if self._stderr else ""


async def _encode_lines(frames: Iterable[Frame]) -> tuple[list[bytes], bool]:
    """Encode frames as lines. While a large frame is encoded, other tasks run in between.

    If the task is cancelled, the remaining frames are encoded without a pause. The protocol counts all frames as sent,
    so all of them must reach the process.

    Returns:
        The chunks of the encoded lines, and whether the task was cancelled.
    """
    chunks: list[bytes] = []
    step_bytes = 0
    is_cancelled = False
    for chunk in itertools.chain.from_iterable(map(iter_line_chunks, frames)):
        chunks.append(chunk)
        step_bytes += len(chunk)
        if step_bytes >= _ENCODE_STEP_BYTES and not is_cancelled:
            step_bytes = 0
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                is_cancelled = True
    return chunks, is_cancelled
