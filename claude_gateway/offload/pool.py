"""The processes in which large requests are read, so that the event loop goes on.

orjson, pydantic and pickle hold the interpreter's lock for a whole call, so a thread would not do: one body of 10 MB
stopped all other requests for seconds.
"""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from claude_gateway.errors import ApiError
from claude_gateway.offload.limits import DEFAULT_LIMITS, OffloadLimits
from claude_gateway.offload.outcome import Outcome
from claude_gateway.offload.process import ProcessEnded, TaskProcess
from claude_gateway.offload.spending import Spending

_log = logging.getLogger(__name__)

T = TypeVar("T")

_RETRY_SECONDS = 5


@dataclass(eq=False, slots=True)
class _Waiter:
    key: str
    granted: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Offload:
    """Runs functions in processes: one at a time for each key, and next for the key that has spent least.

    A process starts when it is needed, or with `warm`; `close` ends all of them.
    """

    def __init__(self, limits: OffloadLimits = DEFAULT_LIMITS, now: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._now = now
        self._spending = Spending(limits.key_seconds, limits.key_share)
        self._threads = ThreadPoolExecutor(limits.processes, thread_name_prefix="offload")
        self._idle: list[TaskProcess] = []
        self._all: set[TaskProcess] = set()
        self._running: set[str] = set()
        self._waiters: deque[_Waiter] = deque()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closing = False

    async def warm(self) -> None:
        """Start a process ahead of need. Where that fails the first large request says so."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._start_spare)
        except OSError as error:
            _log.warning("no process could be started to read large requests: %s", error)

    async def close(self) -> None:
        """End every process."""
        self._closing = True
        for process in list(self._all):
            process.kill()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for process in list(self._all):
            await asyncio.to_thread(process.end)
        self._threads.shutdown(wait=False)

    async def run(self, key: str, work: Callable[..., T], *arguments: Any) -> T:
        """Return what the function returns; it and its arguments must be such that can be pickled.

        Raises:
            ApiError: What the function raises; 413 where it needs more time or memory than a task may have, 429 where
                the key has spent its time, 503 where the task has waited too long for its turn.
        """
        if wait := self._spending.wait(key, self._now()):
            raise _spent(wait)
        await self._take_turn(key)
        task = asyncio.create_task(self._run(key, work, arguments))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        # A client that leaves does not end the process: starting another costs more than the rest of most tasks.
        outcome = await asyncio.shield(task)
        if outcome.error is not None:
            raise outcome.error
        if outcome.is_out_of_memory:
            raise _too_costly("memory", f"{self.limits.task_bytes // 2**20} MiB")
        if outcome.fault:
            _log.error("a task failed in an unforeseen way: %s", outcome.fault)
            raise RuntimeError("a task failed in an unforeseen way")
        value: T = outcome.value
        return value

    async def _run(self, key: str, work: Callable[..., Any], arguments: tuple[Any, ...]) -> Outcome:
        seconds = self.limits.task_seconds
        try:
            loop = asyncio.get_running_loop()
            outcome = await loop.run_in_executor(self._threads, self._call, work, arguments)
            seconds = outcome.seconds
        except ProcessEnded as error:
            if not error.took_too_long:
                _log.error("the process that read a request ended: %s", error)
                raise _busy("The process that read this request ended.") from None
            _log.warning("a request took too long to be read, and the process that read it was ended")
            raise _too_costly("CPU time", f"{self.limits.task_seconds:g} s") from None
        finally:
            self._spending.spend(key, seconds, self._now())
            self._running.discard(key)
            self._grant()
        return outcome

    async def _take_turn(self, key: str) -> None:
        if Counter(waiter.key for waiter in self._waiters)[key] >= self.limits.waiting_per_key:
            raise _busy("This key has too many large requests waiting to be read.")
        waiter = _Waiter(key)
        self._waiters.append(waiter)
        self._grant()
        try:
            async with asyncio.timeout(self.limits.wait_seconds):
                await waiter.granted
        except BaseException as error:
            if waiter.granted.done() and not waiter.granted.cancelled():
                self._running.discard(key)  # granted in the moment in which the client left
            else:
                self._waiters.remove(waiter)
            self._grant()
            if isinstance(error, TimeoutError):
                raise _busy("Other large requests are being read.") from None
            raise

    def _grant(self) -> None:
        """Give each free process to the key that has spent least, of those that have none."""
        now = self._now()
        while len(self._running) < self.limits.processes:
            able = [one for one in self._waiters if one.key not in self._running and not one.granted.done()]
            if not able:
                return
            chosen = min(able, key=lambda one: self._spending.spent(one.key, now))
            self._waiters.remove(chosen)
            self._running.add(chosen.key)
            chosen.granted.set_result(None)

    def _call(self, work: Callable[..., Any], arguments: tuple[Any, ...]) -> Outcome:
        """In a thread."""
        process = self._taken()
        try:
            outcome = process.call(work, arguments)
        except BaseException:
            self._end(process)
            if not self._closing:
                self._start_spare()
            raise
        if outcome.held_bytes > self.limits.idle_bytes:
            self._end(process)
            if not self._closing:
                self._start_spare()
        else:
            self._idle.append(process)
        return outcome

    def _taken(self) -> TaskProcess:
        while self._idle:
            with suppress(IndexError):  # another thread was faster
                process = self._idle.pop()
                if not process.has_ended:
                    return process
                self._end(process)
        return self._started()

    def _start_spare(self) -> None:
        self._idle.append(self._started())

    def _started(self) -> TaskProcess:
        if self._closing:
            raise ProcessEnded("the gateway stops")
        process = TaskProcess(self.limits)
        self._all.add(process)
        return process

    def _end(self, process: TaskProcess) -> None:
        process.end()
        self._all.discard(process)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # taken note of, also where the client has left


def _too_costly(what: str, limit: str) -> ApiError:
    return ApiError(
        413,
        "request_too_large",
        f"Reading this request needs more {what} than one request may take ({limit}). Send less at once.",
        code="request_too_costly",
    )


def _spent(wait: int) -> ApiError:
    return ApiError(
        429,
        "rate_limit_exceeded",
        f"Reading this key's large requests has taken all the time that a key may take. Try again in {wait} seconds.",
        code="reading_time_spent",
        retry_after=wait,
    )


def _busy(why: str) -> ApiError:
    return ApiError(
        503,
        "overloaded_error",
        f"{why} Try again in {_RETRY_SECONDS} seconds.",
        code="reading_busy",
        retry_after=_RETRY_SECONDS,
    )
