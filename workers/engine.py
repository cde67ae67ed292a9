"""The engine, which consists of the pools of `claude` processes and the queues for the jobs."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from workers.cli.command import (
    RESUME_FILE_NAME,
    build_agent_arguments,
    build_agent_environment,
    build_chat_command,
    build_environment,
    find_credential_files,
    find_login_directory,
    has_env_credentials,
)
from workers.cli.connection import ProcessFactory
from workers.cli.managed_process import LaunchSpec, ManagedProcess, spawn_managed
from workers.conversation.resume_file import ResumeFile
from workers.conversation.resume_index import ResumeIndex, ResumePoint
from workers.core.errors import ErrorKind, WorkerError
from workers.core.job import ChatJob
from workers.core.login_limits import LimitCallback
from workers.core.observer import NULL_OBSERVER, Observer, WorkerKind
from workers.core.settings import AgentSettings, AuthMethod, LaunchSettings, PoolSettings, QueueSettings
from workers.host import priority
from workers.host.priority import Priority
from workers.host.process_dirs import ProcessDirectories
from workers.host.workspaces import Workspaces, get_transcript_dir
from workers.logins.leases import LeasedWorker, LoginLeases
from workers.logins.login_state import LoginState
from workers.logins.monitor import LoginMonitor
from workers.pool.agent_launcher import AgentFactory
from workers.pool.agent_pool import AgentPool
from workers.pool.chat_pool import ChatPool
from workers.pool.process_info import CliInfo, ProcessInfo
from workers.sandbox import probe
from workers.sandbox.cli_sandbox import SandboxSpec, build_cli_sandbox_command
from workers.scheduling.scheduler import JobCounts, JobSlot, Scheduler, StartGuard
from workers.worker.agent_worker import AgentWorker
from workers.worker.chat_worker import ChatWorker
from workers.worker.prepared_job import PreparedAgentJob, PreparedJob, prepare_agent_job, prepare_chat_job

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
    launch_settings: LaunchSettings,
    pool_settings: PoolSettings,
    queue_settings: QueueSettings,
    agent_settings: AgentSettings,
    observer: Observer = NULL_OBSERVER,
) -> AsyncIterator[Engine]:
    """Run an engine during a `with` block. All processes of the engine have ended when the block is left.

    Raises:
        WorkerError: No chat worker could be started.
        StateDirectoryInUse: Another gateway uses the directory of `process_dirs`.
        OSError: The directory of `process_dirs` cannot be used.
    """
    await process_dirs.open()
    try:
        sandbox, problem = await probe_sandbox(launch_settings, agent_settings)
        workspaces = Workspaces(process_dirs.base, sandbox.uid if problem is None else None)
        await workspaces.open()
        # Without a sandbox, a process knows the path of its workspace. The gateway could not move the workspace of a
        # spare, so it starts no spares.
        pool_agent_settings = agent_settings if problem is None else replace(agent_settings, spare_count=0)
        logins = LoginMonitor([LoginState(launch_settings.name, launch_settings.auth_method)])
        on_limits = logins.create_limit_callback(launch_settings.name)
        agent_pool = AgentPool(
            _make_agent_factory(process_dirs, launch_settings, sandbox if problem is None else None, on_limits),
            workspaces,
            pool_agent_settings,
            observer,
        )
        spawn = _make_spawn(
            process_dirs,
            launch_settings,
            await asyncio.to_thread(priority.get_starting_priority),
            priority.get_chat_priority(),
        )
        chat_pool = ChatPool(
            lambda _: ChatWorker(
                spawn,
                launch_settings.default_model,
                observer=observer,
                system_in_body=launch_settings.auth_method is not AuthMethod.CLI,
                on_limits=on_limits,
            ),
            pool_settings,
            observer,
            reserved_process_count=agent_settings.worker_count + agent_settings.spare_count,
        )
        async with AsyncExitStack() as processes:
            processes.push_async_callback(workspaces.close)
            processes.push_async_callback(chat_pool.close)
            processes.push_async_callback(agent_pool.close)
            await chat_pool.start()
            yield Engine(
                chat_pool,
                Scheduler(LoginLeases(chat_pool, logins), prepare_chat_job, pool_settings.worker_count, queue_settings),
                agent_pool,
                Scheduler(
                    LoginLeases(agent_pool, logins), prepare_agent_job, agent_settings.worker_count, queue_settings
                ),
                logins,
                workspaces,
                problem or "",
                problem is None or agent_settings.allow_unsandboxed,
                processes,
            )
    finally:
        process_dirs.close()


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


def _make_spawn(
    process_dirs: ProcessDirectories, launch_settings: LaunchSettings, starting: Priority, later: Priority
) -> ProcessFactory:
    async def spawn(resume_file: ResumeFile | None) -> ManagedProcess:
        async def build_launch_spec(process_dir: Path) -> LaunchSpec:
            resume_path = process_dir / RESUME_FILE_NAME if resume_file else None
            if resume_file and resume_path:
                await asyncio.to_thread(resume_path.write_bytes, resume_file.content)
            env = build_environment(
                launch_settings, process_dir, os.environ, resume_file.model if resume_file else None
            )
            return LaunchSpec(build_chat_command(launch_settings, resume_path), env, process_dir, resume_path)

        # A job waits for a process that resumes a conversation, so the process starts with the priority of a chat
        # process.
        start_priority = starting if resume_file is None else later
        process = await spawn_managed(process_dirs, build_launch_spec, start_priority)
        process.restores_priority = start_priority != later
        return process

    return spawn


def _make_agent_factory(
    process_dirs: ProcessDirectories,
    launch_settings: LaunchSettings,
    sandbox: SandboxSpec | None,
    on_limits: LimitCallback,
) -> AgentFactory:
    def create_agent(
        workspace: Path, tools: tuple[str, ...], resume_index: ResumeIndex, resume_point: ResumePoint | None
    ) -> AgentWorker:
        async def build_launch_spec(process_dir: Path) -> LaunchSpec:
            arguments = build_agent_arguments(
                launch_settings, tools, sandboxed=sandbox is not None, resume_point=resume_point
            )
            env = build_agent_environment(
                launch_settings, process_dir, os.environ, sandbox, resume_point.model if resume_point else None
            )
            if sandbox is None:
                return LaunchSpec((str(launch_settings.cli_path), *arguments), env, workspace)
            login_dir = find_login_directory(launch_settings, os.environ)
            argv = build_cli_sandbox_command(
                sandbox, launch_settings.cli_path, arguments, workspace, login_dir, get_transcript_dir(workspace)
            )
            return LaunchSpec(argv, env, process_dir)

        return AgentWorker(
            lambda _: spawn_managed(process_dirs, build_launch_spec, priority.get_background_priority()),
            launch_settings.default_model,
            resume_index,
            resume_point,
            on_limits,
        )

    return create_agent
