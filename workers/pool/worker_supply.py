"""Starts the processes of the chat pool, some of them ahead of need, and ends those that the pool does not need."""

import asyncio
import logging
import os
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

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
# The time after scarce memory in which the pool starts no further spares. Otherwise it would start and end processes in
# turns.
_SCARCE_SECONDS = 30.0
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
        on_start_failed: A function that is called with the name of a login if no process starts with it at the start of
            the pool.
    """

    create_worker: Callable[[str], ChatWorker]
    choose_login: Callable[[ChatJob | None], str]
    read_memory: Callable[[], Awaitable[MemoryState]]
    reserved_process_count: int
    now: Callable[[], float]
    on_start_failed: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class StartBackoff:
    """The wait after failed starts with one login.

    Attributes:
        seconds: The duration of the wait.
        failure: The error of the last start.
        is_waiting: Whether the wait has not ended.
    """

    seconds: float
    failure: WorkerError
    is_waiting: bool


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
        self._backoffs: dict[str, StartBackoff] = {}
        self._has_started = False
        self._is_closed = False
        # The login of each job that waits for a process which is starting, by the id of the wait.
        self._start_waits: dict[object, str] = {}
        # The number of jobs that wait for a slot, by tenant and login.
        self._expected_jobs: Counter[tuple[str, str]] = Counter()
        self._scarce_until = 0.0
        self._spare_use_times: deque[float] = deque(maxlen=_MAX_CONCURRENT_STARTS)
        self.last_job_at = inputs.now()
        self.capacity = settings.worker_count + settings.spare_count

    @property
    def last_failure(self) -> WorkerError | None:
        """The error of the last failed start with the login of the spares, or None if a later start has succeeded."""
        login = self._find_spare_login()
        return None if login is None or login not in self._backoffs else self._backoffs[login].failure

    async def start(self) -> None:
        """Start the first workers, and return when one is ready.

        Raises:
            WorkerError: No worker could be started.
        """
        memory = await self._inputs.read_memory()
        self.capacity = compute_capacity(self._settings, memory, self._inputs.reserved_process_count)
        first_count = min(self._settings.worker_count + self._settings.spare_count, self.capacity)
        login = self._inputs.choose_login(None)
        self._start_workers([login] * first_count)
        while not any(pooled.phase is Phase.READY for pooled in self._workers):
            try:
                self.fail_fast(login)
            except WorkerError:
                self._inputs.on_start_failed(login)
                if (next_login := self._inputs.choose_login(None)) == login:
                    raise
                login = next_login
                self._start_workers([login] * first_count)
            await self._workers.wait_changed()
        self._has_started = True
        self._tasks.start(self._check_size_regularly())

    async def close(self) -> None:
        """Start no further process, and stop the starts that are running. The started processes stay."""
        self._is_closed = True
        await self._tasks.cancel_and_wait()

    def fail_fast(self, login: str) -> None:
        """Raise the error of the last start if no worker has this login, because a job would wait for nothing."""
        backoff = self._backoffs.get(login)
        if backoff is not None and not any(pooled.login == login for pooled in self._workers):
            failure = backoff.failure
            raise WorkerError(failure.kind, failure.message, detail=failure.detail)

    def take_state(self, login: str) -> PoolState:
        """Return the present state of the pool for a job with this login."""
        waiting_count = sum(other == login for other in self._start_waits.values())
        snapshots = self._workers.take_snapshots()
        return PoolState(
            snapshots,
            self.capacity,
            self._inputs.now(),
            self._settings.spare_count,
            waiting_count,
            self._settings.worker_count,
            frozenset(self._start_waits.values()),
        )

    def request_start(self, wait: object, login: str) -> None:
        """Record that a job waits for the start of a process, and start one if not enough processes start already."""
        self.reserve_start(wait, login)
        self.refill()

    def reserve_start(self, wait: object, login: str) -> None:
        """Record that a job waits for the start of a process. The next refill starts one."""
        self._start_waits[wait] = login

    def withdraw_request(self, wait: object) -> None:
        """Record that a job no longer waits for the start of a process."""
        self._start_waits.pop(wait, None)

    def note_job(self, *, took_spare: bool) -> None:
        """Record that a job starts. If it took a spare, start missing processes."""
        self.last_job_at = self._inputs.now()
        if took_spare:
            spare_count = sum(pooled.tenant is None for pooled in self._workers)
            if spare_count < self._settings.spare_count:
                self._spare_use_times.append(self.last_job_at)
            self.refill()

    @contextmanager
    def expect(self, tenant: str, login: str) -> Iterator[None]:
        """Announce during a `with` block that a job of a tenant waits for a slot, so that a process can start."""
        self._expected_jobs[tenant, login] += 1
        if not self._is_closed:
            self._end_worker_for_spare()
            self.refill()
        try:
            yield
        finally:
            self._expected_jobs -= Counter({(tenant, login): 1})

    def refill(self) -> None:
        """Start the missing processes in tasks. After a failed start with a login, wait for the back-off first."""
        if not self._is_closed:
            logins = self._list_missing_logins()
            self._start_workers(login for login in logins if login not in self._backoffs)

    async def check_size(self) -> None:
        """End the processes that are not needed any more, and start missing spares."""
        memory = await self._inputs.read_memory()
        capacity = compute_capacity(self._settings, memory, self._inputs.reserved_process_count)
        if memory.is_scarce:
            self._scarce_until = self._inputs.now() + _SCARCE_SECONDS
        self.capacity = self._settings.worker_count if self._is_scarce else capacity
        state = self.take_state("")
        kept_count = count_kept_spares(self._settings, state.workers, self.last_job_at, state.now)
        unneeded = find_unneeded_workers(state, kept_count, self._settings.idle_seconds, is_scarce=memory.is_scarce)
        for id_, detail in unneeded.items():
            self._end_idle(self._workers[id_], detail)
        self._end_worker_for_spare()
        self.refill()

    async def _check_size_regularly(self) -> None:
        while True:
            await asyncio.sleep(_SIZE_CHECK_INTERVAL_SECONDS)
            try:
                await self.check_size()
            except Exception:
                _log.exception("the check for unneeded processes failed")

    def _end_worker_for_spare(self) -> None:
        id_ = find_worker_to_end_for_spare(self.take_state(""), {tenant for tenant, _ in self._expected_jobs})
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
            with_login = [worker for worker in snapshots if worker.login == spare_login]
            spare_count = sum(worker.tenant is None for worker in with_login)
            missing_count = self._count_wanted_spares(with_login, spare_login) - spare_count - len(logins)
            free_starts = _MAX_CONCURRENT_STARTS - starting.total() - len(logins)
            logins += [spare_login] * max(0, min(missing_count, free_starts))
        return logins[: max(0, self.capacity - len(self._workers))]

    def _find_spare_login(self) -> str | None:
        try:
            return self._inputs.choose_login(None)
        except WorkerError:
            return None  # no login can run a job now

    def _count_wanted_spares(self, snapshots: list[WorkerSnapshot], login: str) -> int:
        if self._is_scarce:
            return self._settings.spare_count
        now = self._inputs.now()
        kept_count = count_kept_spares(self._settings, snapshots, self.last_job_at, now)
        expected_tenants = [tenant for tenant, expected_login in self._expected_jobs if expected_login in ("", login)]
        return count_wanted_spares(kept_count, self._settings, snapshots, expected_tenants, self._spare_use_times, now)

    @property
    def _is_scarce(self) -> bool:
        """Whether the memory was scarce a short time ago."""
        return self._inputs.now() < self._scarce_until

    async def _retry_after_backoff(self, login: str) -> None:
        """Start one process after the back-off. If the start succeeds, the pool then starts all missing processes.

        A process starts even if no job waits for it, because jobs fail at once until a start succeeds.
        """
        backoff = self._backoffs[login]
        await asyncio.sleep(backoff.seconds)
        self._backoffs[login] = replace(backoff, is_waiting=False)
        if len(self._workers) < self.capacity:
            await self._start(self._add_worker(login))
        else:
            self._backoffs.pop(login)

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
            self._backoffs.pop(pooled.login, None)
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
        previous = self._backoffs.get(login)
        if previous is None or not previous.is_waiting:  # starts that fail at the same time count once
            seconds = min(
                self._settings.max_backoff_seconds,
                previous.seconds * 2 if previous else self._settings.min_backoff_seconds,
            )
            self._backoffs[login] = StartBackoff(seconds, error, is_waiting=True)
            self._tasks.start(self._retry_after_backoff(login))
        else:
            seconds = previous.seconds
        # While the pool itself starts, `start` raises the same error, so a warning would repeat the error.
        level = logging.WARNING if self._has_started else logging.DEBUG
        message = "a chat worker did not start, next attempt in %.1f s: %s %s"
        _log.log(level, message, seconds, error, error.detail)


def _is_starting(worker: WorkerSnapshot) -> bool:
    return worker.tenant is None and worker.phase is Phase.STARTING
