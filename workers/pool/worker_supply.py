"""Starts the processes of the chat pool, some of them ahead of need, and ends those that the pool does not need."""

import asyncio
import logging
import os
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from workers.core.background_tasks import BackgroundTasks
from workers.core.errors import ErrorKind, WorkerError
from workers.core.job import ChatJob
from workers.core.memory_state import MemoryState
from workers.core.settings import PoolSettings
from workers.pool.conversation_use import ConversationUse
from workers.pool.pool_size import (
    compute_capacity,
    count_kept_spares,
    count_wanted_spares,
    find_unneeded_workers,
    find_worker_to_end_for_spare,
)
from workers.pool.pooled_worker import PooledWorker, WorkerSet
from workers.pool.process_reporter import ProcessReporter
from workers.pool.selection import Phase, PoolState, WorkerSnapshot
from workers.worker.chat_worker import ChatWorker

_log = logging.getLogger(__name__)

# The time between two checks for processes that are not needed any more.
_SIZE_CHECK_INTERVAL_SECONDS = 1.0
# The number of starts that the pool begins ahead of need at the same time. A start takes half a second of one core.
_MAX_CONCURRENT_STARTS = max(2, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class SupplyInputs:
    """The functions and values with which the supply starts processes.

    Attributes:
        create_worker: A function that creates a worker for the login with this name. The process of the worker is not
            started yet.
        choose_login: A function that returns the name of the login with which a job runs. For None, it returns the
            login of the spares. It raises `WorkerError` if no login can run the job now.
        read_memory: A function that reads the memory of the machine.
        reserved_process_count: The number of other processes, such as agents, for which memory must stay.
        now: A clock that never goes back, in seconds.
    """

    create_worker: Callable[[str], ChatWorker]
    choose_login: Callable[[ChatJob | None], str]
    read_memory: Callable[[], Awaitable[MemoryState]]
    reserved_process_count: int
    now: Callable[[], float]


class WorkerSupply:
    """Starts and ends the processes of the chat pool.

    Attributes:
        capacity: The maximum number of processes, including the spares.
        last_job_at: The time at which a job last started or ended.
    """

    def __init__(
        self,
        workers: WorkerSet,
        settings: PoolSettings,
        inputs: SupplyInputs,
        reporter: ProcessReporter,
        on_started: Callable[[PooledWorker], None],
        end_worker: Callable[[PooledWorker], None],
    ) -> None:
        """Create a supply that starts no process yet.

        Args:
            workers: The workers of the pool. The supply adds the workers that it starts.
            settings: The limits of the pool.
            inputs: The functions and values with which the supply starts processes.
            reporter: The reporter of starts and exits.
            on_started: A function that is called with each worker that has started.
            end_worker: A function that ends a worker and removes it from the pool.
        """
        self._workers = workers
        self._settings = settings
        self._inputs = inputs
        self._reporter = reporter
        self._on_started = on_started
        self._end_worker = end_worker
        self._tasks = BackgroundTasks()
        self._backoff_seconds = 0.0
        self._is_refilling = False
        self._has_started = False
        self._is_closed = False
        # The login of each job that waits for a process which is starting, by the id of the wait.
        self._start_waits: dict[object, str] = {}
        self._expected_jobs: Counter[str] = Counter()
        self._spare_use_times: deque[float] = deque(maxlen=_MAX_CONCURRENT_STARTS)
        self.last_job_at = inputs.now()
        self.capacity = settings.worker_count + settings.spare_count
        # The error of the last failed start with each login, unless a later start with the login has succeeded.
        self._failures: dict[str, WorkerError] = {}

    @property
    def last_failure(self) -> WorkerError | None:
        """The error of the last failed start, or None if a later start with the same login has succeeded."""
        return next(reversed(self._failures.values()), None)

    async def start(self) -> None:
        """Start the first workers, and return when one is ready.

        Raises:
            WorkerError: No worker could be started.
        """
        memory = await self._inputs.read_memory()
        self.capacity = compute_capacity(self._settings, memory, self._inputs.reserved_process_count)
        first_count = min(self._settings.worker_count + self._settings.spare_count, self.capacity)
        first_login = self._inputs.choose_login(None)
        self._start_workers([first_login] * first_count)
        while not any(pooled.phase is Phase.READY for pooled in self._workers):
            self.fail_fast(first_login)
            await self._workers.wait_changed()
        self._has_started = True
        self._tasks.start(self._check_size_regularly())

    async def close(self) -> None:
        """Start no further process, and stop the starts that are running. The started processes stay."""
        self._is_closed = True
        await self._tasks.cancel_and_wait()

    def fail_fast(self, login: str) -> None:
        """Raise the error of the last start if no worker has this login, because a job would wait for nothing."""
        failure = self._failures.get(login)
        if failure is not None and not any(pooled.login == login for pooled in self._workers):
            raise WorkerError(failure.kind, failure.message, detail=failure.detail)

    def take_state(self, login: str) -> PoolState:
        """Return the present state of the pool for a job with this login."""
        waiting_count = sum(other == login for other in self._start_waits.values())
        snapshots = self._workers.take_snapshots()
        return PoolState(snapshots, self.capacity, self._inputs.now(), self._settings.spare_count, waiting_count)

    def request_start(self, wait: object, login: str) -> None:
        """Record that a job waits for the start of a process, and start one if not enough processes start already."""
        self._start_waits[wait] = login
        self.refill()

    def withdraw_request(self, wait: object) -> None:
        """Record that a job no longer waits for the start of a process."""
        self._start_waits.pop(wait, None)

    def note_job(self, *, took_spare: bool) -> None:
        """Record that a job starts. If it took a spare, start missing processes."""
        self.last_job_at = self._inputs.now()
        if took_spare:
            self._spare_use_times.append(self.last_job_at)
            self.refill()

    @contextmanager
    def expect(self, tenant: str) -> Iterator[None]:
        """Announce during a `with` block that a job of a tenant waits for a slot, so that a process can start."""
        self._expected_jobs[tenant] += 1
        if not self._is_closed:
            self._end_worker_for_spare()
            self.refill()
        try:
            yield
        finally:
            self._expected_jobs -= Counter({tenant: 1})

    def refill(self) -> None:
        """Start the missing processes in tasks. After a failed start, wait for the back-off first."""
        if self._is_closed or self._is_refilling:
            return
        if self._backoff_seconds:
            self._is_refilling = True
            self._tasks.start(self._refill_after_backoff())
        else:
            self._start_workers(self._list_missing_logins())

    async def check_size(self) -> None:
        """End the processes that are not needed any more, and start missing spares."""
        memory = await self._inputs.read_memory()
        capacity = compute_capacity(self._settings, memory, self._inputs.reserved_process_count)
        self.capacity = self._settings.worker_count if memory.is_scarce else capacity
        state = self.take_state("")
        kept_count = count_kept_spares(self._settings, state.workers, self.last_job_at, state.now)
        unneeded = find_unneeded_workers(state, kept_count, self._settings.idle_seconds, is_scarce=memory.is_scarce)
        for id_, detail in unneeded.items():
            self._end_idle(self._workers[id_], detail)
        self._end_worker_for_spare()
        self.refill()

    async def _check_size_regularly(self) -> None:
        interval = min(_SIZE_CHECK_INTERVAL_SECONDS, self._settings.idle_seconds)
        while True:
            await asyncio.sleep(interval)
            try:
                await self.check_size()
            except Exception:
                _log.exception("the check for unneeded processes failed")

    def _end_worker_for_spare(self) -> None:
        id_ = find_worker_to_end_for_spare(self.take_state(""), self._expected_jobs)
        if id_ is not None:
            self._end_idle(self._workers[id_], "a spare needs its memory")

    def _end_idle(self, pooled: PooledWorker, detail: str) -> None:
        self._reporter.report_idle_exit(pooled.worker.pid, detail)
        self._end_worker(pooled)
        self._workers.notify_changed()

    def _list_missing_logins(self) -> list[str]:
        """Return the login of each process that should start now.

        A job waits for each of the first processes. The others are spares, which the pool starts a few at a time.
        """
        snapshots = self._workers.take_snapshots()
        starting = Counter(worker.login for worker in snapshots if _is_starting(worker))
        logins = list((Counter(self._start_waits.values()) - starting).elements())
        spare_login = self._find_spare_login()
        if spare_login is not None:
            spare_count = sum(worker.tenant is None and worker.login == spare_login for worker in snapshots)
            missing_count = self._count_wanted_spares(snapshots) - spare_count - len(logins)
            free_starts = _MAX_CONCURRENT_STARTS - starting.total() - len(logins)
            logins += [spare_login] * max(0, min(missing_count, free_starts))
        return logins[: max(0, self.capacity - len(self._workers))]

    def _find_spare_login(self) -> str | None:
        try:
            return self._inputs.choose_login(None)
        except WorkerError:
            return None  # no login can run a job now

    def _count_wanted_spares(self, snapshots: list[WorkerSnapshot]) -> int:
        now = self._inputs.now()
        kept_count = count_kept_spares(self._settings, snapshots, self.last_job_at, now)
        return count_wanted_spares(
            kept_count, self._settings, snapshots, self._expected_jobs, self._spare_use_times, now
        )

    async def _refill_after_backoff(self) -> None:
        await asyncio.sleep(self._backoff_seconds)
        self._is_refilling = False
        logins = self._list_missing_logins()
        spare_login = self._find_spare_login()
        if not logins and not self._workers and spare_login is not None:
            logins = [spare_login]  # jobs fail at once until a start succeeds, so none of them waits for one
        # Start only one worker. If the start succeeds, the pool then starts all missing workers.
        for login in logins[:1]:
            await self._start(self._add_worker(login))

    def _start_workers(self, logins: Iterable[str]) -> None:
        for login in logins:
            self._tasks.start(self._start(self._add_worker(login)))

    def _add_worker(self, login: str) -> PooledWorker:
        return self._workers.add(self._inputs.create_worker(login), login, self._inputs.now())

    async def _start(self, pooled: PooledWorker) -> None:
        try:
            await self._start_worker(pooled.worker)
        except WorkerError as error:
            self._end_worker(pooled)
            self._note_failure(pooled.login, error)
        else:
            self._backoff_seconds = 0.0
            self._failures.pop(pooled.login, None)
            pooled.phase, pooled.use = Phase.READY, ConversationUse(self._inputs.now())
            self._on_started(pooled)
        self._workers.notify_changed()
        self.refill()

    async def _start_worker(self, worker: ChatWorker) -> None:
        """Start a worker, and convert every error to `WorkerError`, so that the pool can handle it."""
        try:
            await self._reporter.measure_start(worker.start(self._settings.start_timeout_seconds))
        except WorkerError:
            raise
        except Exception as error:
            _log.exception("the start of a worker failed unexpectedly")
            raise WorkerError(ErrorKind.START_FAILED, "Claude Code could not be started.") from error

    def _note_failure(self, login: str, error: WorkerError) -> None:
        self._failures.pop(login, None)
        self._failures[login] = error
        if not self._is_refilling:  # workers that fail at the same time count once
            self._backoff_seconds = min(
                self._settings.max_backoff_seconds, self._backoff_seconds * 2 or self._settings.min_backoff_seconds
            )
        # While the pool itself starts, `start` raises the same error, so a warning would repeat the error.
        level = logging.WARNING if self._has_started else logging.DEBUG
        message = "a chat worker did not start, next attempt in %.1f s: %s %s"
        _log.log(level, message, self._backoff_seconds, error, error.detail)


def _is_starting(worker: WorkerSnapshot) -> bool:
    return worker.tenant is None and worker.phase is Phase.STARTING
