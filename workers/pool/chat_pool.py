"""Limited pool of chat workers. It starts spares in advance, and replaces workers that fail or are old."""

import asyncio
import itertools
import logging
import os
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import assert_never

from workers.cli.stderr_summary import summarize_stderr
from workers.core.background_tasks import BackgroundTasks
from workers.core.errors import ErrorKind, WorkerError, shutting_down
from workers.core.job import ChatJob
from workers.core.memory_state import MemoryState
from workers.core.observer import NULL_OBSERVER, ExitReason, Observer
from workers.core.settings import PoolSettings
from workers.host.memory_state import read_memory_state
from workers.host.memory_usage import read_rss_mib
from workers.pool.conversation_use import ConversationUse, FormerConversations
from workers.pool.pool_size import (
    compute_capacity,
    count_kept_spares,
    count_wanted_spares,
    find_unneeded_workers,
    find_worker_to_end_for_spare,
)
from workers.pool.pooled_worker import PooledWorker
from workers.pool.process_info import CliInfo, ProcessInfo
from workers.pool.process_reporter import ProcessReporter, describe_exit
from workers.pool.selection import (
    EvictWorker,
    Phase,
    PoolState,
    UseWorker,
    WaitForStart,
    WaitForWorker,
    WorkerSnapshot,
    select_worker,
)
from workers.worker.chat_worker import ChatWorker
from workers.worker.prepared_job import PreparedJob

_log = logging.getLogger(__name__)

# One job adds less than a MiB, so a check after each job is not necessary.
_MEMORY_CHECK_INTERVAL_JOBS = 8
# The check takes microseconds in a thread. If no thread becomes free in this time, the worker gets its next job without
# a check.
_MEMORY_CHECK_TIMEOUT_SECONDS = 0.5
_MAX_FORMER_CONVERSATIONS = 1_000
# The time between two checks for processes that are not needed any more.
_SIZE_CHECK_INTERVAL_SECONDS = 1.0
# The number of starts that the pool begins ahead of need at the same time. A start takes half a second of one core.
_MAX_CONCURRENT_STARTS = max(2, os.cpu_count() or 1)


class ChatPool:
    """Leases chat workers to jobs. Call `start` first, then `lease` for each job, and `close` at the end.

    The pool holds no lock while a process starts or streams.

    Attributes:
        capacity: The maximum number of processes, including the spares.
        last_failure: The error of the last failed start. None if a later start has succeeded.
    """

    def __init__(
        self,
        create_worker: Callable[[str], ChatWorker],
        settings: PoolSettings,
        observer: Observer = NULL_OBSERVER,
        *,
        choose_login: Callable[[ChatJob | None], str] = lambda _: "",
        read_memory: Callable[[], Awaitable[MemoryState]] = read_memory_state,
        reserved_process_count: int = 0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create a pool without processes.

        Args:
            create_worker: A function that creates a worker for the login with this name. The process of the worker is
                not started yet.
            settings: The limits of the pool.
            observer: The observer to which the pool reports starts and exits of processes.
            choose_login: A function that returns the name of the login with which a job runs. For None, it returns the
                login of the spares. It raises `WorkerError` if no login can run the job now.
            read_memory: A function that reads the memory of the machine.
            reserved_process_count: The number of other processes, such as agents, for which memory must stay.
            now: A clock that never goes back, in seconds.
        """
        self._create_worker = create_worker
        self._reporter = ProcessReporter("chat", observer)
        self._settings = settings
        self._choose_login = choose_login
        self._read_memory = read_memory
        self._reserved_process_count = reserved_process_count
        self._now = now
        self._workers: dict[int, PooledWorker] = {}
        self._ids = itertools.count(1)
        self._tasks = BackgroundTasks()
        self._exit_tasks = BackgroundTasks()
        self._changed = asyncio.Event()
        self._backoff_seconds = 0.0
        self._is_refilling = False
        self._has_started = False
        self._is_closing = False
        # The logins of the jobs that wait for a process which is starting, by the id of the wait.
        self._start_waits: dict[int, str] = {}
        self._expected_jobs: Counter[str] = Counter()
        self._spare_use_times: deque[float] = deque(maxlen=_MAX_CONCURRENT_STARTS)
        self._former_conversations = FormerConversations(_MAX_FORMER_CONVERSATIONS)
        self._cli_info: CliInfo | None = None
        self._last_job_at = now()
        self.capacity = settings.worker_count + settings.spare_count
        self.last_failure: WorkerError | None = None

    async def start(self) -> None:
        """Start the first workers, and return when one is ready.

        Raises:
            WorkerError: No worker could be started.
        """
        memory = await self._read_memory()
        self.capacity = compute_capacity(self._settings, memory, self._reserved_process_count)
        first_count = min(self._settings.worker_count + self._settings.spare_count, self.capacity)
        self._start_workers([self._choose_login(None)] * first_count)
        while not any(pooled.phase is Phase.READY for pooled in self._workers.values()):
            self._fail_fast()
            await self._changed.wait()
        self._has_started = True
        self._tasks.start(self._check_size_regularly())

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
        self._assign(pooled, prepared)
        try:
            yield pooled.worker
        finally:
            self._last_job_at = self._now()
            pooled.use = pooled.use.end_at(self._last_job_at)
            if pooled.id in self._workers and not self._is_closing:
                pooled.phase = Phase.RECOVERING
                self._tasks.start(self._recover(pooled))

    @contextmanager
    def expect(self, job: ChatJob) -> Iterator[None]:
        """Announce during a `with` block that a job waits for a slot, so that a process can start in the meantime."""
        self._expected_jobs[job.tenant] += 1
        if not self._is_closing:
            self._end_worker_for_spare()
            self._refill()
        try:
            yield
        finally:
            self._expected_jobs -= Counter({job.tenant: 1})

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
        if (worker := self._find_started_worker()) is not None:
            protocol = worker.protocol
            self._cli_info = CliInfo(protocol.cli_version, protocol.account, tuple(protocol.models))
        return self._cli_info

    def _find_started_worker(self) -> ChatWorker | None:
        started = (pooled.worker for pooled in self._workers.values() if pooled.phase is not Phase.STARTING)
        return next(started, None)

    async def _acquire(self, prepared: PreparedJob, deadline: float) -> PooledWorker:
        wait_id = next(self._ids)
        try:
            async with asyncio.timeout_at(deadline):
                while True:
                    if self._is_closing:
                        raise shutting_down()
                    login = self._choose_login(prepared.job)
                    self._start_waits.pop(wait_id, None)
                    decision = select_worker(
                        prepared.job,
                        prepared.keys.prefixes,
                        self._take_state(login),
                        login=login,
                        is_known=prepared.keys.history_key in self._former_conversations,
                    )
                    match decision:
                        case UseWorker(id_):
                            return self._workers[id_]
                        case EvictWorker(id_):
                            self._replace(self._workers[id_], "evicted", "another key or job needs its slot")
                            continue
                        case WaitForStart():
                            self._start_waits[wait_id] = login
                            self._refill()
                        case WaitForWorker():
                            pass
                        case _:
                            assert_never(decision)
                    self._fail_fast()
                    await self._changed.wait()
        except TimeoutError:
            raise WorkerError(ErrorKind.TIMEOUT, "No worker became ready in time.") from None
        finally:
            self._start_waits.pop(wait_id, None)

    def _assign(self, pooled: PooledWorker, prepared: PreparedJob) -> None:
        """Record that a worker runs a job, and that its process belongs to the tenant of the job."""
        now, job = self._now(), prepared.job
        self._last_job_at = now
        if pooled.tenant is None:
            self._spare_use_times.append(now)
        transcript = pooled.worker.transcript
        if len(prepared.keys.prefixes) > 1 and prepared.keys.history_key in (
            transcript.conversation_key,
            transcript.previous_conversation_key,
        ):
            pooled.use = pooled.use.continue_at(now)
        else:
            self._remember_conversation(pooled)
            former_use = self._former_conversations.pop(prepared.keys.history_key)
            pooled.use = former_use.continue_at(now) if former_use else ConversationUse(now)
        pooled.phase, pooled.tenant, pooled.key_id = Phase.BUSY, job.tenant, job.key_id
        self._notify_changed()
        self._refill()

    def _remember_conversation(self, pooled: PooledWorker) -> None:
        """Remember the use of the conversation that a process loses."""
        if (conversation_key := pooled.conversation_key) is not None:
            self._former_conversations.add(conversation_key, pooled.use)

    def _take_state(self, login: str) -> PoolState:
        snapshots, now = self._take_snapshots(), self._now()
        return PoolState(
            snapshots,
            self.capacity,
            now,
            self._settings.spare_count,
            sum(other == login for other in self._start_waits.values()),
        )

    def _take_snapshots(self) -> list[WorkerSnapshot]:
        return [pooled.take_snapshot() for pooled in self._workers.values()]

    def _fail_fast(self) -> None:
        """Raise the error of the last start if there are no workers, because a job would wait for nothing."""
        if (failure := self.last_failure) is not None and not self._workers:
            raise WorkerError(failure.kind, failure.message, detail=failure.detail)

    def _refill(self) -> None:
        """Start the missing processes in tasks. After a failed start, wait for the back-off first."""
        if self._is_closing or self._is_refilling:
            return
        if self._backoff_seconds:
            self._is_refilling = True
            self._tasks.start(self._refill_after_backoff())
        else:
            self._start_workers(self._list_missing_logins())

    def _list_missing_logins(self) -> list[str]:
        """Return the login of each process that should start now.

        A job waits for each of the first processes. The others are spares, which the pool starts a few at a time.
        """
        snapshots = self._take_snapshots()
        starting = Counter(worker.login for worker in snapshots if _is_starting(worker))
        missing = Counter(self._start_waits.values()) - starting
        logins = list(missing.elements())
        try:
            spare_login = self._choose_login(None)
        except WorkerError:
            spare_login = None  # no login can run a job now
        if spare_login is not None:
            spare_count = sum(worker.tenant is None and worker.login == spare_login for worker in snapshots)
            now = self._now()
            kept_count = count_kept_spares(self._settings, snapshots, self._last_job_at, now)
            wanted_count = count_wanted_spares(
                kept_count, self._settings, snapshots, self._expected_jobs, self._spare_use_times, now
            )
            free_starts = _MAX_CONCURRENT_STARTS - starting.total() - len(logins)
            logins += [spare_login] * max(0, min(wanted_count - spare_count - len(logins), free_starts))
        return logins[: max(0, self.capacity - len(self._workers))]

    async def _refill_after_backoff(self) -> None:
        await asyncio.sleep(self._backoff_seconds)
        self._is_refilling = False
        # Start only one worker. If the start succeeds, the pool then starts all missing workers.
        for login in self._list_missing_logins()[:1]:
            await self._start(self._add_worker(login))

    def _start_workers(self, logins: Iterable[str]) -> None:
        for login in logins:
            self._tasks.start(self._start(self._add_worker(login)))

    def _add_worker(self, login: str) -> PooledWorker:
        pooled = PooledWorker(next(self._ids), self._create_worker(login), login, ConversationUse(self._now()))
        self._workers[pooled.id] = pooled
        return pooled

    async def _check_size_regularly(self) -> None:
        interval = min(_SIZE_CHECK_INTERVAL_SECONDS, self._settings.idle_seconds)
        while True:
            await asyncio.sleep(interval)
            try:
                await self.check_size()
            except Exception:
                _log.exception("the check for unneeded processes failed")

    async def check_size(self) -> None:
        """End the processes that are not needed any more, and start missing spares."""
        memory = await self._read_memory()
        capacity = compute_capacity(self._settings, memory, self._reserved_process_count)
        self.capacity = self._settings.worker_count if memory.is_scarce else capacity
        state = self._take_state("")
        kept_count = count_kept_spares(self._settings, state.workers, self._last_job_at, state.now)
        unneeded = find_unneeded_workers(state, kept_count, self._settings.idle_seconds, is_scarce=memory.is_scarce)
        for id_, detail in unneeded.items():
            self._end_idle(self._workers[id_], detail)
        self._end_worker_for_spare()
        self._refill()

    def _end_worker_for_spare(self) -> None:
        id_ = find_worker_to_end_for_spare(self._take_state(""), self._expected_jobs)
        if id_ is not None:
            self._end_idle(self._workers[id_], "a spare needs its memory")

    async def _start(self, pooled: PooledWorker) -> None:
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
            self.find_cli_info()
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

    async def _watch_exit(self, pooled: PooledWorker) -> None:
        """Wait until a worker exits by itself, and replace it."""
        self._replace_exited(pooled, await pooled.worker.wait_exited())

    def _replace_exited(self, pooled: PooledWorker, status: int) -> None:
        self._replace(pooled, "exited", describe_exit(status, pooled.worker.last_stderr_line))

    async def _recover(self, pooled: PooledWorker) -> None:
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
        if self._now() - worker.started_at >= limits.max_age_seconds:
            return f"it is older than {limits.max_age_seconds:.0f} s"
        if (worker.job_count - 1) % _MEMORY_CHECK_INTERVAL_JOBS:
            return None
        try:
            async with asyncio.timeout(_MEMORY_CHECK_TIMEOUT_SECONDS):
                used_mib = await read_rss_mib(worker.pid)
        except TimeoutError:
            return None  # a later job repeats the check
        return f"it holds {used_mib} MiB of memory" if used_mib >= limits.max_rss_mib else None

    def _replace(self, pooled: PooledWorker, reason: ExitReason, detail: str) -> None:
        if pooled.id not in self._workers:
            return
        self._reporter.report_replacement(pooled.worker.pid, reason, detail)
        self._terminate(pooled)
        self._notify_changed()
        self._refill()

    def _end_idle(self, pooled: PooledWorker, detail: str) -> None:
        self._reporter.report_idle_exit(pooled.worker.pid, detail)
        self._terminate(pooled)
        self._notify_changed()

    def _terminate(self, pooled: PooledWorker) -> None:
        """End a worker and all processes in its process group."""
        self._remember_conversation(pooled)
        self._workers.pop(pooled.id, None)
        pooled.worker.kill()
        self._exit_tasks.start(pooled.worker.stop())

    def _notify_changed(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _is_starting(worker: WorkerSnapshot) -> bool:
    return worker.tenant is None and worker.phase is Phase.STARTING
