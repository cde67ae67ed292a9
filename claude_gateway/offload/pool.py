"""The processes in which large requests are read, so that the event loop goes on.

orjson, pydantic and pickle hold the interpreter's lock for a whole call, so a thread would not do: one body of 10 MB
stopped all other requests for seconds.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from claude_gateway.errors import ApiError
from claude_gateway.offload.limits import DEFAULT_LIMITS, OffloadLimits
from claude_gateway.offload.outcome import Outcome
from claude_gateway.offload.process import ProcessEnded, TaskProcess
from claude_gateway.offload.spending import Spending

_log = logging.getLogger(__name__)

T = TypeVar("T")

_RETRY_SECONDS = 5
# In the place of a key.
_ALL = "all keys"


class Offload:
    """Runs functions in processes: one at a time for each key, and next for the key that has spent least.

    A process starts when it is needed, or with `warm`; `close` ends all of them.
    """

    def __init__(
        self,
        limits: OffloadLimits = DEFAULT_LIMITS,
        now: Callable[[], float] = time.monotonic,
        cpu_time: Callable[[], float] = time.thread_time,
    ) -> None:
        self.limits = limits
        self._now = now
        self._cpu_time = cpu_time
        self._spending = Spending(limits.key_seconds, limits.key_share)
        self._inline = Spending(limits.inline_seconds, limits.inline_share)
        self._inline_of_all = Spending(limits.inline_seconds_of_all, limits.inline_share_of_all)
        self._threads = ThreadPoolExecutor(limits.processes, thread_name_prefix="offload")
        self._idle: list[TaskProcess] = []
        self._all: set[TaskProcess] = set()
        self._running: set[str] = set()
        # Those of each key in their order.
        self._waiting: dict[str, OrderedDict[asyncio.Future[None], None]] = {}
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

    def has_inline_time(self, key: str) -> bool:
        """True while a small request of the key may be read in the event loop: a hundred at once would stop it too.

        Where all keys together have taken their time, a key that has taken hardly any of it still has some.
        """
        now = self._now()
        if self._inline_of_all.wait(_ALL, now) and self._inline.spent(key, now) > self.limits.inline_seconds_always:
            return False
        return not self._inline.wait(key, now)

    @contextmanager
    def inline(self, key: str) -> Iterator[None]:
        """Count the time of a `with` as the event loop's, spent for the key."""
        began = self._cpu_time()
        try:
            yield
        finally:
            seconds, now = self._cpu_time() - began, self._now()
            self._inline.spend(key, seconds, now)
            self._inline_of_all.spend(_ALL, seconds, now)

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
        loop = asyncio.get_running_loop()
        try:
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
        line = self._waiting.setdefault(key, OrderedDict())
        if len(line) >= self.limits.waiting_per_key:
            raise _busy("This key has too many requests waiting to be read.")
        turn = asyncio.get_running_loop().create_future()
        line[turn] = None
        self._grant()
        try:
            async with asyncio.timeout(self.limits.wait_seconds):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._running.discard(key)  # granted in the moment in which the client left
            else:
                self._leave(key, turn)
            self._grant()
            if isinstance(error, TimeoutError):
                raise _busy("Other large requests are being read.") from None
            raise

    def _grant(self) -> None:
        """Give each free process to the key that has spent least, of those that have none."""
        now = self._now()
        while len(self._running) < self.limits.processes:
            able = [key for key in self._waiting if key not in self._running]
            if not able:
                return
            key = min(able, key=lambda one: self._spending.spent(one, now))
            turn = next(iter(self._waiting[key]))
            self._leave(key, turn)
            if not turn.done():
                self._running.add(key)
                turn.set_result(None)

    def _leave(self, key: str, turn: asyncio.Future[None]) -> None:
        line = self._waiting.get(key)
        if line is not None:
            line.pop(turn, None)
            if not line:
                del self._waiting[key]

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
        self._idle.append(process)
        return outcome

    def _taken(self) -> TaskProcess:
        while self._idle:
            with suppress(IndexError):  # another thread was faster
                process = self._idle.pop()
                if not process.has_ended and process.held_bytes() <= self.limits.idle_bytes:
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
