"""Limited pool of chat workers. It starts spares in advance, and replaces workers that fail or are old."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager
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
from workers.pool.pooled_worker import PooledWorker, WorkerSet
from workers.pool.process_info import CliInfo, ProcessInfo
from workers.pool.process_reporter import ProcessReporter, describe_exit
from workers.pool.selection import (
    IDLE_PHASES,
    EvictWorker,
    Phase,
    UseWorker,
    WaitForStart,
    WaitForWorker,
    select_worker,
)
from workers.pool.summaries import begins_with_summary
from workers.pool.worker_supply import SupplyInputs, WorkerSupply
from workers.worker.chat_worker import ChatWorker
from workers.worker.prepared_job import PreparedJob

_log = logging.getLogger(__name__)

# One job adds less than a MiB, so a check after each job is not necessary.
_MEMORY_CHECK_INTERVAL_JOBS = 8
# The check takes microseconds in a thread. If no thread becomes free in this time, the worker gets its next job without
# a check.
_MEMORY_CHECK_TIMEOUT_SECONDS = 0.5
_MAX_FORMER_CONVERSATIONS = 1_000


class ChatPool:
    """Leases chat workers to jobs. Call `start` first, then `lease` for each job, and `close` at the end.

    The pool holds no lock while a process starts or streams.
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
        on_start_failed: Callable[[str], None] = lambda _: None,
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
            on_start_failed: A function that is called with the name of a login if no process starts with it at the
                start of the pool. `choose_login` may then return another login.
        """
        self._reporter = ProcessReporter("chat", observer)
        self._settings = settings
        self._choose_login = choose_login
        self._now = now
        self._workers = WorkerSet()
        self._tasks = BackgroundTasks()
        self._exit_tasks = BackgroundTasks()
        self._is_closing = False
        self._former_conversations = FormerConversations(_MAX_FORMER_CONVERSATIONS)
        self._cli_info: CliInfo | None = None
        inputs = SupplyInputs(create_worker, choose_login, read_memory, reserved_process_count, now, on_start_failed)
        self._supply = WorkerSupply(
            self._workers, settings, inputs, self._reporter, self._handle_started, self._terminate
        )

    async def start(self) -> None:
        """Start the first workers, and return when one is ready.

        Raises:
            WorkerError: No worker could be started.
        """
        await self._supply.start()

    async def close(self) -> None:
        """End all processes and wait until they exit."""
        self._is_closing = True
        self._workers.notify_changed()
        await self._supply.close()
        await self._tasks.cancel_and_wait()
        for pooled in self._workers:
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
        pooled, is_superseded = await self._acquire(prepared, deadline)
        self._assign(pooled, prepared, is_superseded=is_superseded)
        try:
            yield pooled.worker
        finally:
            self._supply.last_job_at = self._now()
            pooled.use = pooled.use.end_at(self._now())
            if pooled in self._workers and not self._is_closing:
                pooled.phase = Phase.RECOVERING
                self._tasks.start(self._recover(pooled))

    def expect(self, job: ChatJob) -> AbstractContextManager[None]:
        """Announce during a `with` block that a job waits for a slot, so that a process can start in the meantime."""
        return self._supply.expect(job.tenant, job.login)

    async def check_size(self) -> None:
        """End the processes that are not needed any more, and start missing spares. The pool does this regularly."""
        await self._supply.check_size()

    @property
    def capacity(self) -> int:
        """The maximum number of processes, including the spares."""
        return self._supply.capacity

    @property
    def last_failure(self) -> WorkerError | None:
        """The error of the last failed start, or None if a later start has succeeded."""
        return self._supply.last_failure

    @property
    def is_failing(self) -> bool:
        """Whether no worker is running and the last attempt to start one failed."""
        return self.last_failure is not None and self._find_started_worker() is None

    def count_phases(self) -> Counter[Phase]:
        """Count the workers in each phase."""
        return Counter(pooled.phase for pooled in self._workers)

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
                pooled.group,
            )
            for pooled in self._workers
        ]

    def find_cli_info(self) -> CliInfo | None:
        """Return the CLI version and the login that a process reported when it started. None before the first start."""
        if (worker := self._find_started_worker()) is not None:
            protocol = worker.protocol
            self._cli_info = CliInfo(protocol.cli_version, protocol.account, tuple(protocol.models))
        return self._cli_info

    def _find_started_worker(self) -> ChatWorker | None:
        started = (pooled.worker for pooled in self._workers if pooled.phase is not Phase.STARTING)
        return next(started, None)

    async def _acquire(self, prepared: PreparedJob, deadline: float) -> tuple[PooledWorker, bool]:
        wait = object()
        try:
            async with asyncio.timeout_at(deadline):
                while (acquired := self._try_acquire(prepared, wait)) is None:
                    self._supply.fail_fast(self._choose_login(prepared.job))
                    await self._workers.wait_changed()
                return acquired
        except TimeoutError:
            raise WorkerError(ErrorKind.TIMEOUT, "No worker became ready in time.") from None
        finally:
            self._supply.withdraw_request(wait)

    def _try_acquire(self, prepared: PreparedJob, wait: object) -> tuple[PooledWorker, bool] | None:
        """Select a worker for a job.

        Args:
            prepared: The job.
            wait: An object that identifies the wait of the job.

        Returns:
            The worker, and whether the job's conversation supersedes the one in the worker. None if the job has to wait
            until the state of a worker changes.

        Raises:
            WorkerError: The pool is closed, or no login can run the job.
        """
        while True:
            if self._is_closing:
                raise shutting_down()
            login = self._choose_login(prepared.job)
            self._supply.withdraw_request(wait)
            state = self._supply.take_state(login)
            is_known = prepared.keys.history_key in self._former_conversations
            superseded_id = self._find_superseded(prepared.job, login)
            decision = select_worker(
                prepared.job,
                prepared.keys.prefixes,
                state,
                login=login,
                is_known=is_known,
                superseded_id=superseded_id,
            )
            match decision:
                case UseWorker(id_):
                    return self._workers[id_], id_ == superseded_id
                case EvictWorker(id_):
                    self._supply.reserve_start(wait, login)  # before a spare with another login starts in its place
                    self._replace(self._workers[id_], "evicted", "another key or job needs its slot")
                case WaitForStart():
                    self._supply.request_start(wait, login)
                    return None
                case WaitForWorker():
                    return None
                case _:
                    assert_never(decision)

    def _find_superseded(self, job: ChatJob, login: str) -> int | None:
        """Return the id of the idle worker whose conversation the agent has summarized for the job, or None."""
        if len(job.turns) > 1:
            return None
        for pooled in self._workers:
            if (pooled.key_id, pooled.tenant, pooled.login) != (job.key_id, job.tenant, login):
                continue
            reply = pooled.worker.last_reply
            if (
                pooled.phase in IDLE_PHASES
                and pooled.use.continued_count
                and reply is not None
                and begins_with_summary(job.turns[0], reply)
            ):
                return pooled.id
        return None

    def _assign(self, pooled: PooledWorker, prepared: PreparedJob, *, is_superseded: bool) -> None:
        """Record that a worker runs a job, and that its process belongs to the tenant of the job."""
        now, job, was_spare = self._now(), prepared.job, pooled.tenant is None
        transcript = pooled.worker.transcript
        held_keys = (transcript.conversation_key, transcript.previous_conversation_key)
        has_history = len(prepared.keys.prefixes) > 1
        if is_superseded or (has_history and prepared.keys.history_key in held_keys):
            pooled.use = pooled.use.continue_at(now)
        else:
            self._remember_conversation(pooled)
            former_use = self._former_conversations.pop(prepared.keys.history_key)
            pooled.use = former_use.continue_at(now) if former_use else ConversationUse(now)
        pooled.phase, pooled.tenant, pooled.key_id = Phase.BUSY, job.tenant, job.key_id
        self._workers.notify_changed()
        self._supply.note_job(took_spare=was_spare)

    def _remember_conversation(self, pooled: PooledWorker) -> None:
        """Remember the use of the conversation that a process loses."""
        if (conversation_key := pooled.conversation_key) is not None:
            self._former_conversations.add(conversation_key, pooled.use)

    def _handle_started(self, pooled: PooledWorker) -> None:
        self.find_cli_info()
        self._tasks.start(self._watch_exit(pooled))

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
        elif pooled in self._workers:
            pooled.phase = Phase.READY
            self._workers.notify_changed()

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
        if pooled not in self._workers:
            return
        self._reporter.report_replacement(pooled.worker.pid, reason, detail)
        self._terminate(pooled)
        self._workers.notify_changed()
        self._supply.refill()

    def _terminate(self, pooled: PooledWorker) -> None:
        """End a worker and all processes in its process group."""
        self._remember_conversation(pooled)
        self._workers.discard(pooled)
        pooled.worker.kill()
        self._exit_tasks.start(pooled.worker.stop())
