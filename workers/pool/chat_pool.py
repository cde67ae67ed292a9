"""Limited pool of chat workers. It starts spares in advance, and replaces workers that fail or are old."""

import asyncio
import itertools
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from workers.cli.stderr_summary import summarize_stderr
from workers.core.background_tasks import BackgroundTasks
from workers.core.errors import ErrorKind, WorkerError, shutting_down
from workers.core.observer import NULL_OBSERVER, ExitReason, Observer
from workers.core.settings import PoolSettings
from workers.host.memory_usage import read_rss_mib
from workers.pool.process_info import CliInfo, ProcessInfo
from workers.pool.process_reporter import ProcessReporter, describe_exit
from workers.pool.selection import EvictWorker, Phase, UseWorker, WaitForWorker, WorkerSnapshot, select_worker
from workers.worker.chat_worker import ChatWorker
from workers.worker.prepared_job import PreparedJob

_log = logging.getLogger(__name__)

# One job adds less than a MiB, so a check after each job is not necessary.
_MEMORY_CHECK_INTERVAL_JOBS = 8
# The check takes microseconds in a thread. If no thread becomes free in this time, the worker gets its next job without
# a check.
_MEMORY_CHECK_TIMEOUT_SECONDS = 0.5


@dataclass(slots=True, eq=False)
class _PooledWorker:
    """A worker in the pool, with the data that the pool keeps about it."""

    id: int
    worker: ChatWorker
    phase: Phase = Phase.STARTING
    key_id: str | None = None
    last_used_at: float = 0.0

    def take_snapshot(self) -> WorkerSnapshot:
        """Return the present state of the worker for `select_worker`."""
        worker = self.worker
        return WorkerSnapshot(
            self.id,
            self.phase,
            self.key_id,
            worker.model,
            worker.system_prompt_was_set,
            self.last_used_at,
            worker.transcript.conversation_key,
            worker.transcript.previous_conversation_key,
        )


class ChatPool:
    """Leases chat workers to jobs. Call `start` first, then `lease` for each job, and `close` at the end.

    The pool holds no lock while a process starts or streams.

    Attributes:
        last_failure: The error of the last failed start. None if a later start has succeeded.
    """

    def __init__(
        self, create_worker: Callable[[], ChatWorker], settings: PoolSettings, observer: Observer = NULL_OBSERVER
    ) -> None:
        self._create_worker = create_worker
        self._reporter = ProcessReporter("chat", observer)
        self._settings = settings
        self._workers: dict[int, _PooledWorker] = {}
        self._ids = itertools.count(1)
        self._tasks = BackgroundTasks()
        self._exit_tasks = BackgroundTasks()
        self._changed = asyncio.Event()
        self._backoff_seconds = 0.0
        self._is_refilling = False
        self._has_started = False
        self._is_closing = False
        self.last_failure: WorkerError | None = None

    async def start(self) -> None:
        """Start the workers, and return when the first one is ready.

        Raises:
            WorkerError: No worker could be started.
        """
        self._refill()
        while not any(pooled.phase is Phase.READY for pooled in self._workers.values()):
            self._fail_fast()
            await self._changed.wait()
        self._has_started = True

    async def close(self) -> None:
        """End all processes and wait until they exit."""
        self._is_closing = True
        self._notify_changed()
        await self._tasks.cancel_and_wait()
        for pooled in list(self._workers.values()):
            self._terminate(pooled)
        await self._exit_tasks.wait()

    @asynccontextmanager
    async def lease(self, prepared: PreparedJob, deadline: float) -> AsyncIterator[ChatWorker]:
        """Lease a worker to one job during a `with` block.

        At most `worker_count` leases may exist at the same time. The scheduler ensures this, because it has as many
        slots.

        Raises:
            WorkerError: START_FAILED if no process could be started, TIMEOUT after the deadline.
        """
        pooled = await self._acquire(prepared, deadline)
        pooled.phase, pooled.key_id = Phase.BUSY, prepared.job.key_id
        self._notify_changed()
        self._refill()
        try:
            yield pooled.worker
        finally:
            pooled.last_used_at = time.monotonic()
            if pooled.id in self._workers and not self._is_closing:
                pooled.phase = Phase.RECOVERING
                self._tasks.start(self._recover(pooled))

    @property
    def is_failing(self) -> bool:
        """Whether no worker is running and the last attempt to start one failed."""
        return self.last_failure is not None and self._find_started_worker() is None

    def count_phases(self) -> Counter[Phase]:
        """Count the workers in each phase."""
        return Counter(pooled.phase for pooled in self._workers.values())

    def processes(self) -> list[ProcessInfo]:
        """List all processes, oldest first."""
        return [
            ProcessInfo(
                "chat",
                pooled.worker.pid,
                pooled.phase.name.lower(),
                pooled.key_id,
                pooled.worker.model,
                pooled.worker.job_count,
            )
            for pooled in self._workers.values()
        ]

    def find_cli_info(self) -> CliInfo | None:
        """Return the CLI version and the login that a process reported when it started. None before the first start."""
        worker = self._find_started_worker()
        if worker is None:
            return None
        return CliInfo(worker.protocol.cli_version, worker.protocol.account, tuple(worker.protocol.models))

    def _find_started_worker(self) -> ChatWorker | None:
        started = (pooled.worker for pooled in self._workers.values() if pooled.phase is not Phase.STARTING)
        return next(started, None)

    async def _acquire(self, prepared: PreparedJob, deadline: float) -> _PooledWorker:
        try:
            async with asyncio.timeout_at(deadline):
                while True:
                    if self._is_closing:
                        raise shutting_down()
                    snapshots = [pooled.take_snapshot() for pooled in self._workers.values()]
                    match select_worker(prepared.job, prepared.keys.prefixes, snapshots, self._settings.worker_count):
                        case UseWorker(id_):
                            return self._workers[id_]
                        case EvictWorker(id_):
                            self._replace(self._workers[id_], "evicted", "another key or job needs its slot")
                        case WaitForWorker():
                            self._fail_fast()
                            await self._changed.wait()
        except TimeoutError:
            raise WorkerError(ErrorKind.TIMEOUT, "No worker became ready in time.") from None

    def _fail_fast(self) -> None:
        """Raise the error of the last start if there are no workers, because a job would wait for nothing."""
        if (failure := self.last_failure) is not None and not self._workers:
            raise WorkerError(failure.kind, failure.message, detail=failure.detail)

    def _refill(self) -> None:
        """Start each missing worker in a task. After a failed start, wait for the back-off first."""
        if self._is_closing or self._is_refilling:
            return
        missing_count = self._settings.worker_count + self._settings.spare_count - len(self._workers)
        if missing_count <= 0:
            return
        if self._backoff_seconds:
            self._is_refilling = True
            self._tasks.start(self._refill_after_backoff())
            return
        for _ in range(missing_count):
            self._tasks.start(self._start(self._add_worker()))

    async def _refill_after_backoff(self) -> None:
        await asyncio.sleep(self._backoff_seconds)
        self._is_refilling = False
        # Start only one worker. If the start succeeds, the pool then starts all missing workers.
        await self._start(self._add_worker())

    def _add_worker(self) -> _PooledWorker:
        pooled = _PooledWorker(next(self._ids), self._create_worker())
        self._workers[pooled.id] = pooled
        return pooled

    async def _start(self, pooled: _PooledWorker) -> None:
        try:
            await self._start_worker(pooled.worker)
        except WorkerError as error:
            self._terminate(pooled)
            self.last_failure = error
            if not self._is_refilling:  # workers that fail at the same time count once
                self._backoff_seconds = min(
                    self._settings.max_backoff_seconds, self._backoff_seconds * 2 or self._settings.min_backoff_seconds
                )
            # While the pool itself starts, `start` raises the same error, so a warning would repeat the error.
            level = logging.WARNING if self._has_started else logging.DEBUG
            _log.log(
                level,
                "a chat worker did not start, next attempt in %.1f s: %s %s",
                self._backoff_seconds,
                error,
                error.detail,
            )
        else:
            self._backoff_seconds = 0.0
            self.last_failure = None
            pooled.phase = Phase.READY
            self._tasks.start(self._watch_exit(pooled))
        self._notify_changed()
        self._refill()

    async def _start_worker(self, worker: ChatWorker) -> None:
        """Start a worker, and convert every error to `WorkerError`, so that the pool can handle it."""
        try:
            await self._reporter.measure_start(worker.start(self._settings.start_timeout_seconds))
        except WorkerError:
            raise
        except Exception as error:
            _log.exception("the start of a worker failed unexpectedly")
            raise WorkerError(ErrorKind.START_FAILED, "Claude Code could not be started.") from error

    async def _watch_exit(self, pooled: _PooledWorker) -> None:
        """Wait until a worker exits by itself, and replace it."""
        self._replace_exited(pooled, await pooled.worker.wait_exited())

    def _replace_exited(self, pooled: _PooledWorker, status: int) -> None:
        self._replace(pooled, "exited", describe_exit(status, pooled.worker.last_stderr_line))

    async def _recover(self, pooled: _PooledWorker) -> None:
        """Make a worker ready for its next job, or end the worker.

        The pool calls this after the client has received the reply of the last job.
        """
        try:
            await pooled.worker.recover(self._settings.recover_timeout_seconds)
        except WorkerError as error:
            if error.kind is ErrorKind.WORKER_EXITED and (status := await pooled.worker.find_exit_status()) is not None:
                self._replace_exited(pooled, status)
            else:
                self._replace(
                    pooled, "unhealthy", f"it did not recover: {error} {summarize_stderr(error.detail)}".strip()
                )
            return
        except Exception:
            _log.exception("the recovery of a worker failed unexpectedly")
            self._replace(pooled, "unhealthy", "it did not recover")
            return
        if recycle_reason := await self._find_recycle_reason(pooled.worker):
            self._replace(pooled, "recycled", recycle_reason)
        elif pooled.id in self._workers:
            pooled.phase = Phase.READY
            self._notify_changed()

    async def _find_recycle_reason(self, worker: ChatWorker) -> str | None:
        limits = self._settings
        if worker.job_count >= limits.max_jobs:
            return f"it has run {worker.job_count} jobs"
        if time.monotonic() - worker.started_at >= limits.max_age_seconds:
            return f"it is older than {limits.max_age_seconds:.0f} s"
        if (worker.job_count - 1) % _MEMORY_CHECK_INTERVAL_JOBS:
            return None
        try:
            async with asyncio.timeout(_MEMORY_CHECK_TIMEOUT_SECONDS):
                used_mib = await read_rss_mib(worker.pid)
        except TimeoutError:
            return None  # a later job repeats the check
        return f"it holds {used_mib} MiB of memory" if used_mib >= limits.max_rss_mib else None

    def _replace(self, pooled: _PooledWorker, reason: ExitReason, detail: str) -> None:
        if pooled.id not in self._workers:
            return
        self._reporter.report_replacement(pooled.worker.pid, reason, detail)
        self._terminate(pooled)
        self._notify_changed()
        self._refill()

    def _terminate(self, pooled: _PooledWorker) -> None:
        """End a worker and all processes in its process group."""
        self._workers.pop(pooled.id, None)
        pooled.worker.kill()
        self._exit_tasks.start(pooled.worker.stop())

    def _notify_changed(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
