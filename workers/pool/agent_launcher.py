"""Starts and ends the agents of the agent pool."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from workers.conversation.resume_index import EMPTY_RESUME_INDEX, ResumeIndex, ResumePoint
from workers.core.background_tasks import BackgroundTasks
from workers.core.errors import WorkerError
from workers.core.event_loop import loop_time
from workers.core.settings import AgentSettings
from workers.host.workspaces import Workspaces
from workers.pool.agent_limits import SessionKey
from workers.pool.process_reporter import ProcessReporter, describe_exit
from workers.worker.agent_worker import AgentWorker
from workers.worker.prepared_job import PreparedAgentJob

# A function that creates an agent. The parameters are the workspace, the built-in tools, the resume index of the
# conversation, the point at which the process resumes the conversation, or None, and the name of the login.
AgentFactory = Callable[[Path, tuple[str, ...], ResumeIndex, ResumePoint | None, str], AgentWorker]


@dataclass(slots=True, eq=False)
class PooledAgent:
    """An agent in the pool, with the data that the pool keeps about it.

    Attributes:
        agent: The agent.
        workspace: The directory in which the agent works.
        tools: The built-in tools of the agent.
        login: The name of the login that the agent uses.
        session_key: The session whose conversation the agent holds. None for a spare, and for an agent that runs a job
            without a session.
        error: The error with which the pool ended the agent in the middle of a job, or None.
        is_ending: Whether the pool is ending the agent or knows that the agent has exited.
    """

    agent: AgentWorker
    workspace: Path
    tools: tuple[str, ...]
    login: str
    session_key: SessionKey | None = None
    error: WorkerError | None = None
    is_ending: bool = False

    def find_mismatch(self, prepared: PreparedAgentJob) -> str | None:
        """Return the reason for which the agent cannot run the next job of its session, or None if it can."""
        if self.login != prepared.job.login:
            return "the next job of its session uses another login"
        if self.tools != prepared.options.builtin_tools:
            return "the next job of its session needs other tools"
        if self.agent.conversation_key != prepared.keys.history_key or len(prepared.job.turns) == 1:
            return "the next job of its session does not continue its conversation"
        return None


class AgentLauncher:
    """Starts and ends agents."""

    def __init__(
        self,
        create_agent: AgentFactory,
        workspaces: Workspaces,
        settings: AgentSettings,
        reporter: ProcessReporter,
        on_exit: Callable[[PooledAgent], None],
    ) -> None:
        """Create a launcher.

        Args:
            create_agent: A function that creates an agent whose process is not started yet.
            workspaces: The directories in which agents work.
            settings: The limits of agents.
            reporter: The reporter of process starts and exits.
            on_exit: A function that is called with an agent that has exited by itself.
        """
        self._create_agent = create_agent
        self._workspaces = workspaces
        self._settings = settings
        self._reporter = reporter
        self._on_exit = on_exit
        self._watch_tasks = BackgroundTasks()

    def create(
        self,
        workspace: Path,
        tools: tuple[str, ...],
        login: str,
        session_key: SessionKey | None = None,
        resume_index: ResumeIndex = EMPTY_RESUME_INDEX,
        resume_point: ResumePoint | None = None,
    ) -> PooledAgent:
        """Create an agent whose process is not started yet."""
        agent = self._create_agent(workspace, tools, resume_index, resume_point, login)
        return PooledAgent(agent, workspace, tools, login, session_key)

    async def start(self, pooled: PooledAgent, deadline: float | None = None) -> None:
        """Start the process of an agent.

        Raises:
            WorkerError: The process did not start. The calling code must still discard the agent.
        """
        start_deadline = loop_time() + self._settings.start_timeout_seconds
        if deadline is not None:
            start_deadline = min(deadline, start_deadline)
        await self._reporter.measure_start(pooled.agent.start(start_deadline))
        self._watch_tasks.start(self._watch_exit(pooled))

    async def start_or_discard(self, pooled: PooledAgent, deadline: float) -> PooledAgent:
        """Start the process of an agent, and return the agent. If the start fails, discard the agent.

        Raises:
            WorkerError: The process did not start.
        """
        try:
            await self.start(pooled, deadline)
        except BaseException:
            await self.discard(pooled)
            raise
        return pooled

    async def stop(self, pooled: PooledAgent) -> None:
        """End the process of an agent and wait until it exits. The workspace stays."""
        pooled.is_ending = True
        await pooled.agent.stop()

    async def discard(self, pooled: PooledAgent) -> None:
        """End the process of an agent. Remove the agent's workspace, unless it belongs to a session."""
        await self.stop(pooled)
        if pooled.session_key is None:
            await self._workspaces.remove(pooled.workspace)

    def close(self) -> None:
        """Stop watching the processes for exits."""
        self._watch_tasks.cancel()

    async def report_exit_in_job(self, pooled: PooledAgent) -> None:
        """Report the exit of an agent whose output has ended in the middle of a job."""
        status = await pooled.agent.find_exit_status()
        if status is not None:
            self._note_exit(pooled, status)

    async def _watch_exit(self, pooled: PooledAgent) -> None:
        """Wait until an agent exits by itself, and report its exit.

        If the agent is running a job, the job fails because the agent's output ends.
        """
        with suppress(ProcessLookupError):
            self._note_exit(pooled, await pooled.agent.wait_exited())

    def _note_exit(self, pooled: PooledAgent, status: int) -> None:
        if pooled.is_ending:
            return
        pooled.is_ending = True
        self._reporter.report_replacement(
            pooled.agent.pid, "exited", describe_exit(status, pooled.agent.last_stderr_line)
        )
        self._on_exit(pooled)
