"""One process's pipe and protocol together: frames out, frames in, and every failure as a `WorkerError`."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from workers.errors import ErrorKind, WorkerError
from workers.frames import Frame, FrameError
from workers.prepared import Prepared
from workers.process import Pipe
from workers.protocol import ControlRefused, Protocol, RemoteError, State
from workers.upstream_words import is_quoted, quote, upstream_message

# The CLI writes to stderr before it writes the frames, but stderr is a pipe of its own.
_WORDS_SECONDS = 0.1
_WORDS_POLL_SECONDS = 0.005

# A process, or one that takes up a conversation.
Spawn = Callable[[Prepared | None], Awaitable[Pipe]]


class Link:
    """Deadlines are in the loop's clock; past one, TIMEOUT is raised. `confused` once the process said something
    that cannot be: nothing it says later is to be believed."""

    def __init__(
        self,
        spawn: Spawn,
        new_protocol: Callable[[], Protocol],
    ) -> None:
        self._spawn = spawn
        self._pipe: Pipe | None = None
        self._inbox: deque[Frame] = deque()
        self._new_protocol = new_protocol
        self.protocol = new_protocol()
        self.confused = False
        self._words_before = 0

    @property
    def pid(self) -> int:
        return self._pipe.pid if self._pipe else 0

    async def open(self, prepared: Prepared | None = None) -> None:
        """Start the process, in the place of the one before. Raises `OSError`."""
        fresh = await self._spawn(prepared)
        self.kill()
        self._pipe = fresh
        self._inbox.clear()
        self.protocol = self._new_protocol()

    async def opened(self) -> None:
        """The process is up: what it was started from may go."""
        assert self._pipe is not None
        await self._pipe.started()

    def kill(self) -> None:
        if self._pipe is not None:
            self._pipe.kill()

    async def ended(self) -> int:
        """Wait for the process to end, and not merely to give way to another."""
        while True:
            pipe = self._pipe
            status = await pipe.ended() if pipe else 0
            if pipe is self._pipe:
                return status

    async def write(self, *frames: Frame, deadline: float | None) -> None:
        assert self._pipe is not None
        try:
            async with asyncio.timeout_at(deadline):
                await self._pipe.write(*frames)
        except TimeoutError:
            raise WorkerError(ErrorKind.TIMEOUT, "The answer took too long.") from None
        except ConnectionError:
            raise self._died() from None

    async def next(self, deadline: float | None = None) -> Frame:
        """The next frame, already taken by the protocol and answered where it wants an answer."""
        await self.heard(deadline)
        frame = self._inbox.popleft()
        try:
            if reply := self.protocol.receive(frame):
                await self.write(reply, deadline=deadline)
        except ControlRefused as error:
            self.confused = True
            message = "Claude Code refused a setting."
            raise WorkerError(ErrorKind.WORKER_CONFUSED, message, detail=str(error)) from error
        except RemoteError as error:
            raise self.distrust(str(error)) from error
        return frame

    async def heard(self, deadline: float | None) -> None:
        """Wait until there is a next frame, whatever it says."""
        assert self._pipe is not None
        try:
            while not self._inbox:
                _check(deadline)  # a read that need not wait would never time out
                async with asyncio.timeout_at(deadline):
                    frames = await self._pipe.read()
                if not frames:
                    self.protocol.end()
                    raise self._died()
                self._inbox.extend(frames)
        except TimeoutError:
            raise WorkerError(ErrorKind.TIMEOUT, "The answer took too long.") from None
        except FrameError as error:
            raise self.distrust(str(error)) from error

    async def idle(self, deadline: float | None) -> None:
        """Read until the process waits for a prompt."""
        while self.protocol.state is not State.IDLE:
            await self.next(deadline)

    async def answered(self, deadline: float | None) -> None:
        """Read until no control request is unanswered."""
        while self.protocol.waits_for_control:
            await self.next(deadline)

    def mark_turn(self) -> None:
        """Take what the process writes to stderr from here on as said about the turn that now begins."""
        self._words_before = self._pipe.words if self._pipe else 0

    async def in_upstream_words(self, error: WorkerError) -> WorkerError:
        """Return the error of this turn with the upstream's own message, where the upstream refused the request."""
        if not is_quoted(error) or self._pipe is None:
            return error
        for _ in range(round(_WORDS_SECONDS / _WORDS_POLL_SECONDS)):
            if message := upstream_message(self._pipe.last_words(self._words_before)):
                return quote(error, message)
            await asyncio.sleep(_WORDS_POLL_SECONDS)
        return error

    def distrust(self, detail: str) -> WorkerError:
        """Never again use this process; the error to raise."""
        self.confused = True
        return WorkerError(ErrorKind.WORKER_CONFUSED, "Claude Code said something unexpected.", detail=detail)

    def _died(self) -> WorkerError:
        words = self._pipe.last_words() if self._pipe else ""
        return WorkerError(ErrorKind.WORKER_DIED, "The claude process ended unexpectedly.", detail=words)


@asynccontextmanager
async def starting(deadline: float) -> AsyncIterator[None]:
    """For what brings a process up: whatever goes wrong with it is a START_FAILED that says how."""
    try:
        async with asyncio.timeout_at(deadline):
            yield
    except TimeoutError:  # before OSError, which it is a kind of
        raise WorkerError(ErrorKind.START_FAILED, "Claude Code did not start in time.") from None
    except OSError as error:
        raise WorkerError(ErrorKind.START_FAILED, "Claude Code could not be started.", detail=str(error)) from error
    except WorkerError as error:
        raise WorkerError(ErrorKind.START_FAILED, "Claude Code ended while it started.", detail=error.detail) from error


def _check(deadline: float | None) -> None:
    if deadline is not None and asyncio.get_running_loop().time() >= deadline:
        raise TimeoutError
