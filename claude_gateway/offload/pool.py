"""Pool of processes that parse large requests, so that parsing does not block the event loop.

Threads would not help, because orjson, pydantic and pickle hold the global interpreter lock during a whole call. In a
thread, one body of 10 MB would stop all other requests for seconds.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from claude_gateway.core.errors import ApiError
from claude_gateway.offload.limits import DEFAULT_OFFLOAD_LIMITS, OffloadLimits
from claude_gateway.offload.outcome import TaskOutcome
from claude_gateway.offload.process import TaskProcess, TaskProcessExited
from claude_gateway.offload.spending_meter import SpendingMeter

_log = logging.getLogger(__name__)

T = TypeVar("T")

_RETRY_SECONDS = 5
# The name under which a spending meter counts the time of all keys together.
_ALL_KEYS = "all keys"


class OffloadPool:
    """Runs functions in separate processes, at most one function at a time for each key.

    If tasks of several keys wait for a process, the pool first runs a task of the key that has recently used the least
    CPU time. The pool starts a process when a task needs it, or in `prestart`. `close` ends all processes.

    Args:
        limits: Limits for tasks and keys.
        now: Returns the current time in seconds.
        cpu_time: Returns the CPU time of the event loop's thread in seconds.
    """

    def __init__(
        self,
        limits: OffloadLimits = DEFAULT_OFFLOAD_LIMITS,
        now: Callable[[], float] = time.monotonic,
        cpu_time: Callable[[], float] = time.thread_time,
    ) -> None:
        self.limits = limits
        self._now = now
        self._cpu_time = cpu_time
        self._cpu_budget = SpendingMeter(limits.key_burst_seconds, limits.key_refill_rate)
        self._inline_key_budget = SpendingMeter(limits.inline_key_burst_seconds, limits.inline_key_refill_rate)
        self._inline_total_budget = SpendingMeter(limits.inline_total_burst_seconds, limits.inline_total_refill_rate)
        self._threads = ThreadPoolExecutor(limits.max_processes, thread_name_prefix="offload")
        self._idle: list[TaskProcess] = []
        self._processes: set[TaskProcess] = set()
        self._running_keys: set[str] = set()
        # The waiting tasks of each key, in order of arrival.
        self._waiters: dict[str, OrderedDict[asyncio.Future[None], None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_closing = False

    async def prestart(self) -> None:
        """Start a process before a task needs it.

        If the start fails, this method only logs a warning. The first large request then reports the error to its
        client.
        """
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._start_spare)
        except TaskProcessExited:
            return  # the gateway is shutting down
        except OSError as error:
            _log.warning("a process for parsing large requests could not be started: %s", error)

    async def close(self) -> None:
        """End all processes of the pool."""
        self._is_closing = True
        for process in list(self._processes):
            process.kill()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for process in list(self._processes):
            await asyncio.to_thread(process.close)
        self._threads.shutdown(wait=False)

    def has_inline_time(self, key_id: str) -> bool:
        """Return whether the gateway may parse a small request of the key on the event loop now.

        The gateway limits the time that small requests use on the event loop, because a hundred of them at once would
        also block the event loop. Even if all keys together have used up this time, a key that has recently used at
        most `inline_seconds_always` may use more.
        """
        now = self._now()
        if (
            self._inline_total_budget.wait_seconds(_ALL_KEYS, now)
            and self._inline_key_budget.spent(key_id, now) > self.limits.inline_seconds_always
        ):
            return False
        return not self._inline_key_budget.wait_seconds(key_id, now)

    def run_inline(self, key_id: str, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function, and count its CPU time as time that the key used on the event loop."""
        started_at = self._cpu_time()
        try:
            return function(*arguments)
        finally:
            seconds, now = self._cpu_time() - started_at, self._now()
            self._inline_key_budget.spend(key_id, seconds, now)
            self._inline_total_budget.spend(_ALL_KEYS, seconds, now)

    async def run(self, key_id: str, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function in a process and return its result. The function and its arguments must be picklable.

        Raises:
            ApiError: The `ApiError` that the function raised; or 413 if the task exceeds the CPU time or memory that
                one task may use; or 429 if the key has used up its CPU time; or 503 if the task waited too long, too
                many tasks of the key wait, or the process exited.
            RuntimeError: The function raised an unexpected error.
        """
        if wait_seconds := self._cpu_budget.wait_seconds(key_id, self._now()):
            raise _budget_exhausted(wait_seconds)
        await self._wait_for_process(key_id)
        task = asyncio.create_task(self._run_task(key_id, function, arguments))
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        # If the client disconnects, let the task continue. To stop the task, the pool would have to kill the process,
        # and the start of a new process takes longer than most tasks.
        outcome = await asyncio.shield(task)
        if outcome.error is not None:
            raise outcome.error
        if outcome.is_out_of_memory:
            raise _too_costly("memory", f"{self.limits.max_task_bytes // 2**20} MiB")
        if outcome.traceback:
            _log.error("a parsing task raised an unexpected error: %s", outcome.traceback)
            raise RuntimeError("a parsing task raised an unexpected error")
        value: T = outcome.value
        return value

    async def _run_task(self, key_id: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> TaskOutcome:
        seconds = self.limits.max_task_cpu_seconds
        loop = asyncio.get_running_loop()
        try:
            outcome = await loop.run_in_executor(self._threads, self._call_in_process, function, arguments)
            seconds = outcome.cpu_seconds
        except TaskProcessExited as error:
            if not error.timed_out:
                _log.error("a parsing process exited: %s", error)
                raise _busy("The process that parsed this request exited.") from None
            _log.warning("parsing a request took too long, and its process was killed")
            raise _too_costly("CPU time", f"{self.limits.max_task_cpu_seconds:g} s") from None
        finally:
            self._cpu_budget.spend(key_id, seconds, self._now())
            self._running_keys.discard(key_id)
            self._assign_processes()
        return outcome

    async def _wait_for_process(self, key_id: str) -> None:
        waiters = self._waiters.setdefault(key_id, OrderedDict())
        if len(waiters) >= self.limits.max_waiting_per_key:
            raise _busy("This key has too many requests that wait to be parsed.")
        waiter = asyncio.get_running_loop().create_future()
        waiters[waiter] = None
        self._assign_processes()
        try:
            async with asyncio.timeout(self.limits.queue_timeout_seconds):
                await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled():
                self._running_keys.discard(key_id)  # the pool assigned a process just as the client disconnected
            else:
                self._remove_waiter(key_id, waiter)
            self._assign_processes()
            if isinstance(error, TimeoutError):
                raise _busy("The gateway is parsing other large requests.") from None
            raise

    def _assign_processes(self) -> None:
        """Assign each free process to a waiting key that has no process yet.

        The key with the least used CPU time comes first.
        """
        now = self._now()
        while len(self._running_keys) < self.limits.max_processes:
            candidates = [key_id for key_id in self._waiters if key_id not in self._running_keys]
            if not candidates:
                return
            key_id = min(candidates, key=lambda candidate: self._cpu_budget.spent(candidate, now))
            waiter = next(iter(self._waiters[key_id]))
            self._remove_waiter(key_id, waiter)
            if not waiter.done():
                self._running_keys.add(key_id)
                waiter.set_result(None)

    def _remove_waiter(self, key_id: str, waiter: asyncio.Future[None]) -> None:
        waiters = self._waiters.get(key_id)
        if waiters is not None:
            waiters.pop(waiter, None)
            if not waiters:
                del self._waiters[key_id]

    def _call_in_process(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> TaskOutcome:
        """Run a task in a process of the pool, and return its outcome.

        This method blocks, so the pool calls it in a thread.
        """
        process = self._take_process()
        try:
            outcome = process.call(function, arguments)
        except BaseException:
            self._end_process(process)
            if not self._is_closing:
                self._start_spare()
            raise
        self._idle.append(process)
        return outcome

    def _take_process(self) -> TaskProcess:
        while self._idle:
            with suppress(IndexError):  # another thread took the last process
                process = self._idle.pop()
                if not process.has_exited and process.rss_bytes() <= self.limits.max_idle_bytes:
                    return process
                self._end_process(process)
        return self._start_process()

    def _start_spare(self) -> None:
        self._idle.append(self._start_process())

    def _start_process(self) -> TaskProcess:
        self._require_open()
        process = TaskProcess(self.limits)
        self._processes.add(process)
        try:
            self._require_open()  # the pool may have closed while the process started
        except TaskProcessExited:
            self._end_process(process)
            raise
        return process

    def _require_open(self) -> None:
        if self._is_closing:
            raise TaskProcessExited("the gateway is shutting down")

    def _end_process(self, process: TaskProcess) -> None:
        process.close()
        self._processes.discard(process)

    def _on_task_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # retrieve the error, so that asyncio does not log it if the client has disconnected


def _too_costly(resource: str, limit: str) -> ApiError:
    return ApiError(
        413,
        "request_too_large",
        f"Parsing this request needs more {resource} than one request may use ({limit}). Send a smaller request.",
        code="request_too_complex",
    )


def _budget_exhausted(wait_seconds: int) -> ApiError:
    return ApiError(
        429,
        "rate_limit_exceeded",
        "The large requests of this key have used all the parsing time that a key may use. "
        f"Try again in {wait_seconds} seconds.",
        code="parsing_budget_exceeded",
        retry_after=wait_seconds,
    )


def _busy(reason: str) -> ApiError:
    return ApiError(
        503,
        "overloaded_error",
        f"{reason} Try again in {_RETRY_SECONDS} seconds.",
        code="parsing_overloaded",
        retry_after=_RETRY_SECONDS,
    )
