"""The engine, which consists of the pools of `claude` processes and the queues for the jobs."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from workers.cli.command import find_credential_files, has_env_credentials
from workers.core.errors import ErrorKind, WorkerError
from workers.core.job import ChatJob
from workers.core.observer import NULL_OBSERVER, Observer, WorkerKind
from workers.core.settings import AgentSettings, LaunchSettings, PoolSettings, QueueSettings
from workers.host import priority
from workers.host.process_dirs import ProcessDirectories
from workers.host.workspaces import Workspaces
from workers.logins.leases import LeasedWorker, LoginLeases
from workers.logins.login_state import LoginState
from workers.logins.monitor import LoginMonitor
from workers.pool.agent_pool import AgentPool
from workers.pool.chat_pool import ChatPool
from workers.pool.process_info import CliInfo, ProcessInfo
from workers.sandbox import probe
from workers.sandbox.cli_sandbox import SandboxSpec
from workers.scheduling.scheduler import JobCounts, JobSlot, Scheduler, StartGuard
from workers.worker.agent_worker import AgentWorker
from workers.worker.chat_worker import ChatWorker
from workers.worker.prepared_job import PreparedAgentJob, PreparedJob, prepare_agent_job, prepare_chat_job
from workers.worker_factory import WorkerFactory

# The tools with which the model can run any command.
COMMAND_TOOLS = frozenset({"Bash"})
CREDENTIALS_FILE_REASON = (
    "the login is in a file, which no sandbox shows; for AWS, set keys or AWS_BEARER_TOKEN_BEDROCK instead"
)


@dataclass(frozen=True, slots=True)
class Engine:
    """The pools of `claude` processes and the queues in which jobs wait for a process.

    Attributes:
        chat_pool: The pool of chat workers.
        chat_scheduler: The queue of the jobs that wait for a chat worker.
        agent_pool: The pool of agents. It also ends the agents of deleted sessions.
        agent_scheduler: The queue of the jobs that wait for an agent.
        logins: The monitor of the logins.
        workspaces: The directories in which agents work.
        sandbox_unavailable_reason: The reason for which commands cannot run in a sandbox on this machine, or "" if they
            can.
        can_run_commands: Whether agents can run commands, either in a sandbox or without one.
    """

    chat_pool: ChatPool
    chat_scheduler: Scheduler[PreparedJob, LeasedWorker[ChatWorker]]
    agent_pool: AgentPool
    agent_scheduler: Scheduler[PreparedAgentJob, LeasedWorker[AgentWorker]]
    logins: LoginMonitor
    workspaces: Workspaces
    sandbox_unavailable_reason: str
    can_run_commands: bool
    _exit_stack: AsyncExitStack

    def reject_waiters(self, retry_after: float) -> None:
        """Reject the jobs that wait for a worker. Running jobs continue.

        Args:
            retry_after: The seconds after which the clients of the rejected jobs should retry.
        """
        self.chat_scheduler.reject_waiters(retry_after)
        self.agent_scheduler.reject_waiters(retry_after)

    async def stop(self) -> None:
        """End all processes, even if a process is running a job."""
        await self._exit_stack.aclose()

    def acquire_slot(
        self, job: ChatJob, deadline: float, check: StartGuard
    ) -> AbstractAsyncContextManager[
        JobSlot[PreparedJob, LeasedWorker[ChatWorker]] | JobSlot[PreparedAgentJob, LeasedWorker[AgentWorker]]
    ]:
        """Wait for a slot for the job. The slot gives the job a worker, and another worker if the first one fails.

        Args:
            job: The job.
            deadline: The end of the job's time, by the clock of the event loop.
            check: A function that the scheduler awaits before the job starts. It raises an error if the job must not
                start.

        Raises:
            WorkerError: The same errors as in `Scheduler.acquire_slot`. TOOLS_UNAVAILABLE if the job may run commands
                but the machine has no sandbox for them.
        """
        if job.agent_options is None:
            return self.chat_scheduler.acquire_slot(job, deadline, check)
        if not self.can_run_commands and COMMAND_TOOLS & set(job.agent_options.builtin_tools):
            raise WorkerError(
                ErrorKind.TOOLS_UNAVAILABLE, "Tools that run commands are off here, because there is no sandbox."
            )
        return self.agent_scheduler.acquire_slot(job, deadline, check)

    @property
    def is_failing(self) -> bool:
        """Whether no chat worker is running and the last attempt to start one failed."""
        return self.chat_pool.is_failing

    def find_cli_info(self) -> CliInfo | None:
        """Return the CLI version and the login that a process reported when it started. None before the first start."""
        return self.chat_pool.find_cli_info()

    def processes(self) -> list[ProcessInfo]:
        """List all processes, first those of the chat pool, then those of the agent pool."""
        return [*self.chat_pool.processes(), *self.agent_pool.processes()]

    def count_chat_phases(self) -> dict[str, int]:
        """Count the chat workers in each phase, such as `ready` or `busy`."""
        return {phase.name.lower(): count for phase, count in self.chat_pool.count_phases().items()}

    def count_jobs(self) -> dict[WorkerKind, JobCounts]:
        """Count the running and the waiting jobs for each kind of worker."""
        return {
            "chat": JobCounts(self.chat_scheduler.running_count, self.chat_scheduler.waiting_count),
            "agent": JobCounts(self.agent_scheduler.running_count, self.agent_scheduler.waiting_count),
        }


@asynccontextmanager
async def run_engine(
    process_dirs: ProcessDirectories,
    logins: Sequence[LaunchSettings],
    pool_settings: PoolSettings,
    queue_settings: QueueSettings,
    agent_settings: AgentSettings,
    observer: Observer = NULL_OBSERVER,
    *,
    allows_login_fallback: bool = False,
) -> AsyncIterator[Engine]:
    """Run an engine during a `with` block. All processes of the engine have ended when the block is left.

    Args:
        process_dirs: The directories of the processes.
        logins: The settings of each login, in the order of preference. At least one.
        pool_settings: The limits of the chat pool.
        queue_settings: The limits of the queues.
        agent_settings: The limits of the agents.
        observer: The observer to which the pools report.
        allows_login_fallback: Whether a job may use another login than the first one that serves its model.

    Raises:
        WorkerError: No chat worker could be started.
        StateDirectoryInUse: Another gateway uses the directory of `process_dirs`.
        OSError: The directory of `process_dirs` cannot be used.
    """
    await process_dirs.open()
    try:
        sandbox, problem = await probe_sandboxes(logins, agent_settings)
        workspaces = Workspaces(process_dirs.base, sandbox.uid if problem is None else None)
        await workspaces.open()
        # Without a sandbox, a process knows the path of its workspace. The gateway could not move the workspace of a
        # spare, so it starts no spares.
        pool_agent_settings = agent_settings if problem is None else replace(agent_settings, spare_count=0)
        monitor = LoginMonitor(
            [LoginState(launch.name, launch.auth_method, launch.models, launch.model_names) for launch in logins],
            allows_fallback=allows_login_fallback,
        )
        factory = WorkerFactory(
            process_dirs,
            logins,
            monitor.create_limit_callback,
            await asyncio.to_thread(priority.get_starting_priority),
            sandbox if problem is None else None,
            observer,
        )
        choose_login = partial(_get_login, monitor, logins[0].default_model)
        agent_pool = AgentPool(
            factory.create_agent, workspaces, pool_agent_settings, observer, lambda: choose_login(None)
        )
        chat_pool = ChatPool(
            factory.create_chat_worker,
            pool_settings,
            observer,
            choose_login=choose_login,
            reserved_process_count=agent_settings.worker_count + agent_settings.spare_count,
            on_start_failed=monitor.on_start_failed,
        )
        async with AsyncExitStack() as processes:
            processes.push_async_callback(workspaces.close)
            processes.push_async_callback(chat_pool.close)
            processes.push_async_callback(agent_pool.close)
            await chat_pool.start()
            yield Engine(
                chat_pool,
                Scheduler(
                    LoginLeases(chat_pool, monitor), prepare_chat_job, pool_settings.worker_count, queue_settings
                ),
                agent_pool,
                Scheduler(
                    LoginLeases(agent_pool, monitor, counts_start_failures=False),
                    prepare_agent_job,
                    agent_settings.worker_count,
                    queue_settings,
                ),
                monitor,
                workspaces,
                problem or "",
                problem is None or agent_settings.allow_unsandboxed,
                processes,
            )
    finally:
        process_dirs.close()


def _get_login(monitor: LoginMonitor, default_model: str, job: ChatJob | None) -> str:
    """Return the login that `LoginLeases` has assigned to a job. Without a job, return the login of spares."""
    return monitor.choose_spare_login(default_model) if job is None else job.login


async def probe_sandboxes(
    logins: Sequence[LaunchSettings], agent_settings: AgentSettings
) -> tuple[SandboxSpec, str | None]:
    """Return the sandbox for agents, and the reason for which it does not work with one of the logins, or None."""
    for launch_settings in logins:
        sandbox, problem = await probe_sandbox(launch_settings, agent_settings)
        if problem is not None:
            break
    return sandbox, problem


async def probe_sandbox(
    launch_settings: LaunchSettings, agent_settings: AgentSettings
) -> tuple[SandboxSpec, str | None]:
    """Return the sandbox for agents, and the reason for which it does not work on this machine.

    The reason is None if the sandbox works.
    """
    is_root = os.geteuid() == 0
    sandbox = SandboxSpec(
        agent_settings.uid if is_root else None, agent_settings.max_workspace_bytes, agent_settings.max_process_bytes
    )
    if is_root and not has_env_credentials(launch_settings):
        return sandbox, "the gateway runs as root, so a `cli` login needs CLAUDE_CODE_OAUTH_TOKEN"
    files = find_credential_files(launch_settings, os.environ)
    if await asyncio.to_thread(lambda: any(file.exists() for file in files)):
        return sandbox, CREDENTIALS_FILE_REASON
    return sandbox, await probe.find_sandbox_problem(sandbox)
