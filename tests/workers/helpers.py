"""What the tests of the engine share: jobs in few words, and a scripted process with a will of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from workers.affinity import Phase
from workers.events import Event, Restarted, TextDelta, ThinkingDelta
from workers.fake import ScriptedProcess
from workers.frames import Frame
from workers.job import ChatJob, Text, Tuning, Turn
from workers.pool import Pool
from workers.worker import Worker

MODEL = "claude-test"
PATIENCE = 10.0  # for whatever must come; reached only by a test that fails

T = TypeVar("T")


def user(text: str) -> Turn:
    return Turn("user", (Text(text),))


def assistant(text: str) -> Turn:
    return Turn("assistant", (Text(text),))


def a_job(
    *turns: Turn, owner: str = "ann", model: str = MODEL, system: str = "", max_tokens: int | None = None
) -> ChatJob:
    return ChatJob(owner, model, turns or (user("hi"),), system, Tuning(max_tokens=max_tokens))


async def allowed() -> None:
    """The check of a job that may begin."""


def later() -> float:
    """A deadline, in the loop's clock, that nothing should reach."""
    return asyncio.get_running_loop().time() + PATIENCE


async def soon(work: Awaitable[T]) -> T:
    return await asyncio.wait_for(work, PATIENCE)


async def until(condition: Callable[[], bool]) -> None:
    """For what a running task does within the loop, and announces to nobody."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - there is no event to wait on
            await asyncio.sleep(0)


async def all_ready(pool: Pool) -> None:
    """Until every process of the pool is up: one that is missing is already booting."""
    await until(lambda: set(pool.phases()) == {Phase.READY})


async def answer_of(worker: Worker, job: ChatJob) -> list[Event]:
    return [event async for event in worker.run(job, later())]


def reads(events: Iterable[Event]) -> tuple[str, str]:
    """The text and the thinking that a reader who honours `Restarted` ends up with."""
    text = thinking = ""
    for event in events:
        match event:
            case Restarted():
                text = thinking = ""
            case TextDelta(more):
                text += more
            case ThinkingDelta(more):
                thinking += more
    return text, thinking


def kind(frame: Frame) -> str:
    """What a frame asks of the CLI, in one word."""
    match frame:
        case {"request": {"subtype": "apply_flag_settings", "settings": {"model": _}}}:
            return "switch_model"
        case {"type": "control_request", "request": {"subtype": str(subtype)}}:
            return subtype
        case {"type": "user", "shouldQuery": False}:
            return "load"
        case {"type": "user"}:
            return "ask"
        case {"type": "assistant"}:
            return "append"
    return str(frame["type"])


def kinds(frames: Iterable[Frame]) -> list[str]:
    """What the frames ask, in their order."""
    return [kind(frame) for frame in frames]


class WilfulProcess(ScriptedProcess):
    """Dies at, refuses, holds back or misunderstands the frames of one kind."""

    def __init__(
        self,
        answers: Iterable[list[Frame]] = (),
        *,
        dies_at: str = "",
        refuses: str = "",
        holds: str = "",
        code: str = "",
        instead: tuple[str, list[Frame]] = ("", []),
    ) -> None:
        super().__init__(answers)
        self.holding = asyncio.Event()
        self._held: list[Frame] = []
        self.dies_at, self.refuses, self.holds = dies_at, refuses, holds
        self._code, self._instead = code, instead

    def _reply(self, frame: Frame) -> list[Frame]:
        word = kind(frame)
        if word == self.dies_at:
            self.stderr = "its last words"
            self.die()
            return []
        if word == self.holds:
            self._held.append(frame)
            self.holding.set()
            return []
        if word == self.refuses:
            refusal = {"subtype": "error", "request_id": frame["request_id"], "error": "no", "error_code": self._code}
            return [{"type": "control_response", "response": refusal}]
        if word == self._instead[0]:
            return self._instead[1]
        return super()._reply(frame)

    def release(self) -> None:
        """Answer what was held back, and hold back no more."""
        self.holds = ""
        for frame in self._held:
            self._out.put_nowait(super()._reply(frame))


async def boot(process: ScriptedProcess, *, patience: float = PATIENCE, system_in_body: bool = True) -> Worker:
    """A booted worker on the process; what `boot` wrote is forgotten."""

    async def spawn(_: object) -> ScriptedProcess:
        return process

    worker = Worker(spawn, MODEL, patience=patience, system_in_body=system_in_body)
    await worker.boot(PATIENCE)
    process.written.clear()
    return worker
