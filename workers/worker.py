"""One long-lived `claude` process and what it currently is set to."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import replace

from workers.answer import Answer
from workers.continuation import Reply, history_key, reply_key
from workers.errors import ErrorKind, WorkerError
from workers.events import Event, Finished
from workers.frames import Frame, FrameError
from workers.job import ChatJob, Tool, Turn
from workers.process import Pipe
from workers.protocol import ControlRefused, Protocol, RemoteError, State
from workers.setup import Setup
from workers.tool_bridge import Names, inward

# What the CLI assumes where a job names no limit of its own.
_USUAL_OUTPUT_LIMIT = 32_000
# The most that a character costs; a guard that is armed early harms nobody.
_TOKENS_A_CHARACTER = 4
# After a refused switch: no job wants it, so the next one sets its own.
_UNKNOWN_MODEL = ""

# How an answer ends after which the conversation can go on as it stands.
_WHOLE = ("end_turn", "stop_sequence")

Spawn = Callable[[], Awaitable[Pipe]]


class Worker:
    """Runs one job at a time: `boot`, then `run` and `recover` in turns, until `kill`.

    After a `run` that was left early, or that raised, only `recover` makes it fit for another job.
    """

    def __init__(self, spawn: Spawn, default_model: str, new_protocol: Callable[[], Protocol] = Protocol) -> None:
        self._spawn = spawn
        self._pipe: Pipe | None = None
        self._protocol = new_protocol()
        self._inbox: deque[Frame] = deque()
        self._setup = Setup(default_model)
        self._confused = False
        self._tools: tuple[Tool, ...] = ()
        self._tool_sets = 0
        self._touched = False
        # The conversation that stands in the process after a whole answer (workers/continuation.py).
        self.conversation: str | None = None
        self.had_system = False
        self.jobs = 0
        self.born = time.monotonic()

    @property
    def pid(self) -> int:
        return self._pipe.pid if self._pipe else 0

    @property
    def model(self) -> str:
        """The model it is set to; a job for another one costs a switch."""
        return self._setup.model

    @property
    def protocol(self) -> Protocol:
        return self._protocol

    async def boot(self, timeout: float) -> None:
        """Start the process and wait until it takes prompts. Raises `WorkerError`."""
        try:
            async with asyncio.timeout(timeout):
                self._pipe = await self._spawn()
                await self._write(
                    self._protocol.initialize(),
                    # Where the model can do without thinking; by default the CLI spends 31,999 tokens on it.
                    self._protocol.set_thinking_budget(0),
                    self._protocol.set_environment(self._setup.variables()),
                    deadline=None,
                )
                while self._protocol.state is State.BOOTING or self._protocol.waits_for_control:
                    await self._next()
        except TimeoutError:  # before OSError, which it is a kind of
            raise WorkerError(ErrorKind.START_FAILED, "Claude Code did not start in time.") from None
        except OSError as error:
            raise WorkerError(ErrorKind.START_FAILED, "Claude Code could not be started.", detail=str(error)) from error
        except WorkerError as error:
            raise WorkerError(
                ErrorKind.START_FAILED, "Claude Code ended while it started.", detail=error.detail
            ) from error

    async def run(self, job: ChatJob, deadline: float) -> AsyncGenerator[Event, None]:
        """The events of one job, as they come. `deadline` is in the loop's clock.

        Raises `WorkerError`, TIMEOUT past the deadline. Leaving early is allowed.
        """
        self.jobs += 1
        answer = Answer()
        reply = Reply()
        names = Names(job)
        job = inward(job)
        continues = self.conversation is not None and self.conversation == history_key(job)
        await self._prepare(job, deadline, () if continues else job.turns[:-1])
        await self._write(self._protocol.ask(job.turns[-1]), deadline=deadline)
        while not answer.finished:
            frame = await self._next(deadline)
            for event in self._read(answer, frame):
                reply.feed(event)
                if isinstance(event, Finished) and event.stop_reason in _WHOLE:
                    # Known before the event is passed on: its reader may not come back.
                    self.conversation = reply_key(job, reply.turn())
                yield names.outward(event)
            await self._guard(answer, job, deadline)

    def _read(self, answer: Answer, frame: Frame) -> list[Event]:
        try:
            return answer.feed(frame)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self._confused = True
            raise WorkerError(
                ErrorKind.WORKER_CONFUSED, "Claude Code said something unexpected.", detail=repr(error)
            ) from error

    async def recover(self, timeout: float) -> None:
        """Stop what still runs and start a new, empty conversation. Raises `WorkerError`."""
        if self._confused:
            raise WorkerError(ErrorKind.WORKER_CONFUSED, "The claude process cannot be trusted any more.")
        deadline = asyncio.get_running_loop().time() + timeout
        if self._protocol.state is State.ANSWERING:
            await self._write(self._protocol.stop(), deadline=deadline)
        await self._settle(deadline)
        while self._protocol.waits_for_control:  # an answer to this job must not come into the next
            await self._next(deadline)
        # Only now can no request follow; and the upstream check of a next job's model must be able to leave.
        await self._apply(replace(self._setup, guarded=False), deadline)
        await self._begin(deadline)

    async def rest(self, timeout: float) -> None:
        """Read what the CLI still says of a finished answer; the conversation stays. Raises `WorkerError`."""
        deadline = asyncio.get_running_loop().time() + timeout
        await self._settle(deadline)
        await self._apply(replace(self._setup, guarded=False), deadline)

    async def _begin(self, deadline: float) -> None:
        """Start a new, empty conversation, where this one is not empty already."""
        self.conversation = None
        if not self._touched:
            return
        await self._write(self._protocol.clear(), deadline=deadline)
        await self._settle(deadline)
        self._touched = False

    def kill(self) -> None:
        if self._pipe is not None:
            self._pipe.kill()

    async def ended(self) -> int:
        """Wait for the process to end."""
        return await self._pipe.ended() if self._pipe else 0

    async def _prepare(self, job: ChatJob, deadline: float, history: Sequence[Turn]) -> None:
        """Set everything to what the job wants and put in what of its history is not there yet."""
        if history or len(job.turns) == 1:
            await self._begin(deadline)
        # From here on the conversation is no longer the one that was left, whatever becomes of the job.
        self.conversation = None
        self._touched = True
        await self._set_model(job, deadline)
        await self._apply(replace(self._setup, tuning=job.tuning, guarded=False), deadline)
        await self._offer(job.tools, deadline)
        for turn in history:
            if turn.role == "user":
                await self._write(self._protocol.load(turn), deadline=deadline)
                await self._settle(deadline)
            else:
                await self._write(self._protocol.append(turn, job.model), deadline=deadline)

    async def _set_model(self, job: ChatJob, deadline: float) -> None:
        current = self._setup.model == job.model
        if current and self._setup.system == job.system:
            return
        # Noted before it is sent: whoever leaves from here on leaves a process that may have taken it.
        self.had_system = self.had_system or bool(job.system)
        self._setup = replace(self._setup, model=job.model, system=job.system)
        await self._write(self._protocol.set_model(job.model, job.system, is_current=current), deadline=deadline)
        if not current:
            # The CLI asks the upstream whether the model exists; the prompt must not overtake a refusal.
            while self._protocol.waits_for_control:
                await self._next(deadline)

    async def _offer(self, tools: tuple[Tool, ...], deadline: float) -> None:
        """Make the caller's tools, and no others, those of the next request."""
        if tools == self._tools:
            return
        self._tools = tools
        self._protocol.offer(tools)
        # A name of its own for each set: under a name that it knows, the CLI goes on with the tools of before.
        self._tool_sets += 1
        names = (f"caller{self._tool_sets}",) if tools else ()
        await self._write(self._protocol.set_servers(names), deadline=deadline)
        while self._protocol.waits_for_control or (tools and not self._protocol.list_asked):
            await self._next(deadline)

    async def _apply(self, wanted: Setup, deadline: float) -> None:
        """Send what differs from the present set-up, without waiting for the answers."""
        frames = self._setup.frames_to(wanted, self._protocol)
        self._setup = wanted
        if frames:
            await self._write(*frames, deadline=deadline)

    async def _guard(self, answer: Answer, job: ChatJob, deadline: float) -> None:
        """Near the output limit, see to it that the CLI's own second request cannot leave the process.

        When the model stops at `max_tokens` the CLI asks it to go on, a millisecond later: no `interrupt`
        comes in time. While the stream is open and the limit in reach, the next request is made unsendable.
        """
        limit = job.tuning.max_tokens
        in_reach = limit is not None or answer.characters * _TOKENS_A_CHARACTER >= _USUAL_OUTPUT_LIMIT
        guarded = answer.streaming and in_reach
        if guarded is not self._setup.guarded:
            await self._apply(replace(self._setup, guarded=guarded), deadline)

    async def _settle(self, deadline: float) -> None:
        while self._protocol.state is not State.IDLE:
            await self._next(deadline)

    async def _next(self, deadline: float | None = None) -> Frame:
        """The next frame, already taken by the protocol. Raises `WorkerError`."""
        assert self._pipe is not None
        try:
            while not self._inbox:
                _check(deadline)  # a read that need not wait would never time out
                async with asyncio.timeout_at(deadline):
                    frames = await self._pipe.read()
                if not frames:
                    self._protocol.end()
                    raise self._died()
                self._inbox.extend(frames)
            frame = self._inbox.popleft()
            if reply := self._protocol.receive(frame):
                await self._write(reply, deadline=deadline)
        except TimeoutError:
            raise WorkerError(ErrorKind.TIMEOUT, "The answer took too long.") from None
        except ControlRefused as error:
            self._setup = replace(self._setup, model=_UNKNOWN_MODEL)
            self._confused = error.subtype != "set_model"
            raise _refused(error) from error
        except (FrameError, RemoteError) as error:
            self._confused = True
            raise WorkerError(
                ErrorKind.WORKER_CONFUSED, "Claude Code said something unexpected.", detail=str(error)
            ) from error
        return frame

    async def _write(self, *frames: Frame, deadline: float | None) -> None:
        assert self._pipe is not None
        try:
            async with asyncio.timeout_at(deadline):
                await self._pipe.write(*frames)
        except TimeoutError:
            raise WorkerError(ErrorKind.TIMEOUT, "The answer took too long.") from None
        except ConnectionError:
            raise self._died() from None

    def _died(self) -> WorkerError:
        words = self._pipe.last_words() if self._pipe else ""
        return WorkerError(ErrorKind.WORKER_DIED, "The claude process ended unexpectedly.", detail=words)


def _check(deadline: float | None) -> None:
    if deadline is not None and asyncio.get_running_loop().time() >= deadline:
        raise TimeoutError


def _refused(error: ControlRefused) -> WorkerError:
    """A refused `set_model` speaks of the caller's model; any other refusal is this side's misunderstanding."""
    if error.subtype != "set_model":
        return WorkerError(ErrorKind.WORKER_CONFUSED, "Claude Code refused a setting.", detail=str(error))
    if error.code == "check_failed":
        return WorkerError(ErrorKind.UPSTREAM, "The model could not be checked upstream.", detail=str(error))
    return WorkerError(ErrorKind.MODEL_NOT_FOUND, "The upstream does not know this model.", detail=str(error))


async def end(worker: Worker) -> None:
    """Kill a worker and wait until the system has taken its process back."""
    worker.kill()
    with contextlib.suppress(ProcessLookupError):
        await worker.ended()
