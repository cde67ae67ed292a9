"""One child process: its pipes, its group, its end. Moves bytes and knows nothing of what they mean."""

import asyncio
import contextlib
import ctypes
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, Self

from workers.error_output import ErrorOutput
from workers.frames import Frame, FrameDecoder, encode
from workers.priority import Priority, set_session_niceness

_READ_SIZE = 256 * 1024
_LAST_WORDS_WAIT = 1.0
_PR_SET_PDEATHSIG = 1
_SYS_KEYCTL = 250 if os.uname().machine == "x86_64" else 219
_KEYCTL_JOIN_SESSION_KEYRING = 1
_libc = ctypes.CDLL(None, use_errno=True)


class Pipe(Protocol):
    """What a worker needs of its process; the seam at which a test puts a scripted one."""

    pid: int

    async def read(self) -> list[Frame]:
        """The next frames, at least one; empty at the end of the stream. Raises `FrameError`."""
        ...

    async def write(self, *frames: Frame) -> None:
        """Raises `ConnectionError` when nobody reads any more."""
        ...

    async def started(self) -> None:
        """It is up, and has read whatever it was started from."""
        ...

    def kill(self) -> None: ...

    async def ended(self) -> int: ...

    def last_words(self, since: int = 0) -> str: ...

    @property
    def words(self) -> int:
        """How much it has written to stderr so far: a `since` for `last_words`."""
        ...


class Process:
    """A child in a process group of its own, that dies with this program however this program dies."""

    def __init__(
        self, child: asyncio.subprocess.Process, decoder: FrameDecoder | None = None, errors: ErrorOutput | None = None
    ) -> None:
        self.pid = child.pid
        self._child = child
        self._decoder = decoder or FrameDecoder()
        self._errors = errors

    @classmethod
    async def spawn(
        cls,
        argv: tuple[str, ...],
        env: Mapping[str, str],
        directory: Path,
        decoder: FrameDecoder | None = None,
        *,
        hears_errors: bool = True,
        priority: Priority | None = None,
    ) -> Self:
        """Start `argv` in `directory` with exactly `env`; `decoder` reads what it says. Its priority is that of this
        process where none is given. Raises `OSError` when it cannot be started."""
        parent = os.getpid()

        def die_with_parent() -> None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            # A keyring of its own: the one of the gateway's session may hold keys, and would lead from box to box.
            _libc.syscall(_SYS_KEYCTL, _KEYCTL_JOIN_SESSION_KEYRING, None)
            if priority is not None:
                priority.take()
            if os.getppid() != parent:  # it died before the signal was armed
                os._exit(1)

        errors = ErrorOutput() if hears_errors else None
        try:
            child = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors.write_end if errors else asyncio.subprocess.DEVNULL,
                cwd=directory,
                env=dict(env),
                start_new_session=True,
                preexec_fn=die_with_parent,
                limit=_READ_SIZE,
            )
        except BaseException:
            if errors:
                errors.close()
            raise
        finally:
            if errors:
                os.close(errors.write_end)
        if priority is not None:
            # Its session is there now; the write may be refused for a moment, and nobody waits for that.
            asyncio.get_running_loop().run_in_executor(None, set_session_niceness, child.pid, priority.niceness)
        return cls(child, decoder, errors)

    async def read(self) -> list[Frame]:
        assert self._child.stdout is not None
        while data := await self._child.stdout.read(_READ_SIZE):
            if frames := self._decoder.feed(data):
                return frames
        await self._hear_last_words()
        return []

    async def write(self, *frames: Frame) -> None:
        assert self._child.stdin is not None
        try:
            if self._child.stdin.is_closing():  # uvloop raises a RuntimeError where asyncio writes into the void
                raise ConnectionResetError("the process no longer reads")
            self._child.stdin.write(b"".join(map(encode, frames)))
            await self._child.stdin.drain()
        except ConnectionError:
            await self._hear_last_words()
            raise

    async def _hear_last_words(self) -> None:
        """stderr ends with the process, but on a pipe of its own: the last words may be a moment behind."""
        if self._errors:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORDS_WAIT):
                    await self._errors.ended.wait()

    async def forget_output(self) -> None:
        """Read what it still writes, and drop it: the end of a process is only seen behind the last of its output."""
        assert self._child.stdout is not None
        while await self._child.stdout.read(_READ_SIZE):
            pass

    async def started(self) -> None:
        """Nothing to do for a process that was started from nothing."""

    def kill(self) -> None:
        """End the whole group at once: a tool that the child started goes with it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    async def ended(self) -> int:
        """Wait for the end; returns the exit status (negative: the signal)."""
        status = await self._child.wait()
        if self._errors:
            self._errors.close()
        await self._close_stdin()
        return status

    async def _close_stdin(self) -> None:
        """Close the pipe and take the error that a write may have left in it: up to 3.11.3, Python prints one that
        nobody takes ("Future exception was never retrieved: BrokenPipeError")."""
        stdin = self._child.stdin
        assert stdin is not None
        if not stdin.is_closing():
            stdin.transport.abort()
        with contextlib.suppress(ConnectionError):
            await stdin.wait_closed()

    @property
    def words(self) -> int:
        """How many bytes of stderr were kept so far."""
        return self._errors.words if self._errors else 0

    def last_words(self, since: int = 0) -> str:
        """The last of what it wrote to stderr, no more than what came after the first `since` bytes."""
        return self._errors.last_words(since) if self._errors else ""
