"""Helpers of the engine's tests: short ways to make jobs, and a scripted process that misbehaves."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from tests.events import each_event
from tests.workers.scripted_process import ScriptedProcess
from workers.core.events import Event, StreamReset, TextDelta, ThinkingDelta
from workers.core.frame import Frame
from workers.core.job import ChatJob, GenerationParams, Text, Turn
from workers.pool.chat_pool import ChatPool
from workers.pool.selection import Phase
from workers.scheduling.scheduler import Scheduler, StartGuard
from workers.worker.chat_worker import ChatWorker
from workers.worker.prepared_job import prepare_chat_job

MODEL = "claude-test"
TIMEOUT_SECONDS = 60.0  # only failing tests wait this long

T = TypeVar("T")
W = TypeVar("W")


def user_turn(text: str) -> Turn:
    return Turn("user", (Text(text),))


def assistant_turn(text: str) -> Turn:
    return Turn("assistant", (Text(text),))


def make_job(
    *turns: Turn,
    key_id: str = "ann",
    model: str = MODEL,
    system: str = "",
    max_tokens: int | None = None,
    login: str = "",
) -> ChatJob:
    return ChatJob(
        key_id, model, turns or (user_turn("hi"),), system, GenerationParams(max_tokens=max_tokens), login=login
    )


@asynccontextmanager
async def acquire_worker(
    scheduler: Scheduler[Any, W], job: ChatJob, deadline: float, check: StartGuard
) -> AsyncIterator[W]:
    """Lease a worker for the job, in a slot that is held for the same time."""
    async with scheduler.acquire_slot(job, deadline, check) as slot, slot.lease() as worker:
        yield worker


async def always_allow() -> None:
    """Start guard that lets every job start."""


def far_deadline() -> float:
    """Return a deadline, in the loop's clock, that no successful test reaches."""
    return asyncio.get_running_loop().time() + TIMEOUT_SECONDS


async def with_timeout(awaitable: Awaitable[T]) -> T:
    return await asyncio.wait_for(awaitable, TIMEOUT_SECONDS)


async def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that a task of the same loop fulfils without an event."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not condition():  # noqa: ASYNC110 - there is no event to wait on
            await asyncio.sleep(0)


async def wait_all_ready(pool: ChatPool) -> None:
    """Wait until every process of the pool is ready; a missing process is already starting."""
    await wait_until(lambda: set(pool.count_phases()) == {Phase.READY})


async def collect_events(worker: ChatWorker, job: ChatJob) -> list[Event]:
    return [event async for event in each_event(worker.run(prepare_chat_job(job), far_deadline()))]


def visible_text_and_thinking(events: Iterable[Event]) -> tuple[str, str]:
    """Return the final text and thinking of a reader that handles `StreamReset`."""
    text = thinking = ""
    for event in events:
        match event:
            case StreamReset():
                text = thinking = ""
            case TextDelta(more):
                text += more
            case ThinkingDelta(more):
                thinking += more
    return text, thinking


def frame_kind(frame: Frame) -> str:
    """Name the purpose of a frame that is sent to the CLI: a subtype or a method of `CliProtocol`."""
    match frame:
        case {"request": {"subtype": "apply_flag_settings", "settings": {"model": _}}}:
            return "switch_model"
        case {"type": "control_request", "request": {"subtype": str(subtype)}}:
            return subtype
        case {"type": "user", "shouldQuery": False}:
            return "replay_user"
        case {"type": "user"}:
            return "prompt"
        case {"type": "assistant"}:
            return "replay_assistant"
    return str(frame["type"])


def frame_kinds(frames: Iterable[Frame]) -> list[str]:
    """Name the purposes of frames, in their order."""
    return [frame_kind(frame) for frame in frames]


class MisbehavingProcess(ScriptedProcess):
    """A process that handles the frames of one kind wrongly: it exits, rejects, holds or answers otherwise.

    The kinds are those of `frame_kind`.

    Attributes:
        frame_held: Set once a frame was held.
        exit_at: Kind of frames at which the process exits.
        reject: Kind of control requests that it rejects.
        hold: Kind of frames that it does not answer until `release_held_frames`.
    """

    def __init__(
        self,
        replies: Iterable[list[Frame]] = (),
        *,
        exit_at: str = "",
        reject: str = "",
        hold: str = "",
        error_code: str = "",
        substitute: tuple[str, list[Frame]] = ("", []),
    ) -> None:
        super().__init__(replies)
        self.frame_held = asyncio.Event()
        self._held_frames: list[Frame] = []
        self.exit_at, self.reject, self.hold = exit_at, reject, hold
        self._error_code, self._substitute = error_code, substitute

    def _handle_frame(self, frame: Frame) -> list[Frame]:
        kind = frame_kind(frame)
        if kind == self.exit_at:
            self.stderr = "its last line"
            self.exit_with()
            return []
        if kind == self.hold:
            self._held_frames.append(frame)
            self.frame_held.set()
            return []
        if kind == self.reject:
            rejection = {
                "subtype": "error",
                "request_id": frame["request_id"],
                "error": "no",
                "error_code": self._error_code,
            }
            return [{"type": "control_response", "response": rejection}]
        if kind == self._substitute[0]:
            return self._substitute[1]
        return super()._handle_frame(frame)

    def release_held_frames(self) -> None:
        """Answer the held frames, and hold no further frames."""
        self.hold = ""
        for frame in self._held_frames:
            self._output_queue.put_nowait(super()._handle_frame(frame))


async def start_worker(
    process: ScriptedProcess, *, timeout_seconds: float = TIMEOUT_SECONDS, system_in_body: bool = True
) -> ChatWorker:
    """Start a worker with this process and clear the frames that its start has written."""

    async def spawn(_: object) -> ScriptedProcess:
        return process

    worker = ChatWorker(spawn, MODEL, liveness_timeout_seconds=timeout_seconds, system_in_body=system_in_body)
    await worker.start(TIMEOUT_SECONDS)
    process.written_frames.clear()
    return worker
