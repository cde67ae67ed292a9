"""Limited pool of agents. It gives each job an agent and a workspace."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext, suppress

from workers.core.background_tasks import BackgroundTasks
from workers.core.errors import ErrorKind, WorkerError, shutting_down
from workers.core.event_loop import loop_time
from workers.core.job import ChatJob
from workers.core.observer import NULL_OBSERVER, Observer
from workers.core.settings import AgentSettings
from workers.host.workspaces import Workspaces
from workers.pool.agent_launcher import AgentFactory, AgentLauncher, PooledAgent
from workers.pool.agent_limits import AgentLimits, SessionKey
from workers.pool.process_info import ProcessInfo
from workers.pool.process_reporter import ProcessReporter
from workers.pool.spare_agents import SpareAgents
from workers.worker.agent_worker import AgentWorker
from workers.worker.prepared_job import PreparedAgentJob

_log = logging.getLogger(__name__)


class AgentPool:
    """Leases agents to jobs. Call `lease` for each job and `close` at the end.

    An agent has only one conversation. At most `worker_count` agents run a job or keep a conversation for the next job.
    The pool starts spares only after the first job, because most gateways never run a job with built-in tools.
    """

    def __init__(
        self,
        create_agent: AgentFactory,
        workspaces: Workspaces,
        settings: AgentSettings,
        observer: Observer = NULL_OBSERVER,
        choose_spare_login: Callable[[], str] = lambda: "",
    ) -> None:
        """Create a pool without agents.

        Args:
            create_agent: A function that creates an agent whose process is not started yet.
            workspaces: The directories in which agents work.
            settings: The limits of agents.
            observer: The observer to which the pool reports starts and exits of processes.
            choose_spare_login: A function that returns the name of the login with which spares start.
        """
        self._observer = observer
        self._reporter = ProcessReporter("agent", observer)
        self._workspaces = workspaces
        self._settings = settings
        self._limits = AgentLimits(workspaces, settings)
        self._tasks = BackgroundTasks()
        self._launcher = AgentLauncher(create_agent, workspaces, settings, self._reporter, self._forget)
        self._spares = SpareAgents(self._launcher, workspaces, settings, self._tasks, choose_spare_login)
        self._idle: dict[SessionKey, PooledAgent] = {}
        self._busy: set[PooledAgent] = set()
        self._exiting: set[PooledAgent] = set()
        self._starting_keys: set[SessionKey] = set()
        self._lease_count = 0
        self._is_closing = False

    @asynccontextmanager
    async def lease(self, prepared: PreparedAgentJob, deadline: float) -> AsyncIterator[AgentWorker]:
        """Lease an agent to one job during a `with` block.

        At most `worker_count` leases may exist at the same time. The scheduler ensures this, because it has as many
        slots.

        Raises:
            WorkerError: No agent could be started, or the job failed. If the pool ended the job because the job
                exceeded a limit, this error names the limit and replaces the error of the job.
        """
        if self._is_closing:
            raise shutting_down()
        workspace_id = prepared.options.workspace_id
        session_key = (prepared.job.key_id, workspace_id) if workspace_id else None
        self._lease_count += 1
        try:
            async with self._monitor(await self._acquire(prepared, session_key, deadline)) as agent:
                yield agent
        finally:
            self._lease_count -= 1

    def expect(self, job: ChatJob) -> AbstractContextManager[None]:  # noqa: ARG002 - part of the protocol
        """Do nothing when a job starts to wait for a slot, because an agent starts for its session only."""
        return nullcontext()

    async def _acquire(
        self, prepared: PreparedAgentJob, session_key: SessionKey | None, deadline: float
    ) -> PooledAgent:
        self._starting_keys |= {session_key} if session_key else set()
        try:
            pooled = await self._find_or_start(prepared, session_key, deadline)
            self._busy.add(pooled)
            return pooled
        finally:
            self._starting_keys -= {session_key} if session_key else set()

    @asynccontextmanager
    async def _monitor(self, pooled: PooledAgent) -> AsyncIterator[AgentWorker]:
        tasks = [self._tasks.start(self._spares.refill_after_first_output(pooled.agent))]
        try:
            if problem := await self._limits.find_disk_problem(pooled.workspace, pooled.session_key):
                self._end_for_limit(pooled, problem)
                raise problem
            tasks.append(self._tasks.start(self._enforce_limits(pooled)))
            yield pooled.agent
        except WorkerError as error:
            if error.kind is ErrorKind.WORKER_EXITED and not pooled.is_ending:
                await self._launcher.report_exit_in_job(pooled)
            raise pooled.error or error from error
        finally:
            for task in tasks:
                task.cancel()
            if not self._is_closing:
                self._spares.refill()
            await asyncio.shield(self._tasks.start(self._release(pooled)))

    def processes(self) -> list[ProcessInfo]:
        """List all processes: busy agents, idle agents that keep a conversation, and spares."""
        groups = {"busy": self._busy, "idle": self._idle.values(), **self._spares.list_by_phase()}
        return [
            ProcessInfo(
                "agent",
                pooled.agent.pid,
                phase,
                pooled.session_key[0] if pooled.session_key else None,
                pooled.agent.model,
                pooled.agent.job_count,
            )
            for phase, group in groups.items()
            for pooled in group
        ]

    async def end_session(self, key_id: str, session_id: str) -> None:
        """End the agent of a deleted session, even in the middle of a job, and remove the workspace of the session."""
        session_key = (key_id, session_id)
        busy = [pooled for pooled in self._busy if pooled.session_key == session_key]
        if idle := self._idle.pop(session_key, None):
            await self._launcher.stop(idle)
        for pooled in busy:
            pooled.session_key = None  # `_release` then removes the workspace
            pooled.is_ending = True
            pooled.agent.kill()
        if not busy:
            await self._workspaces.remove(self._workspaces.get_session_path(key_id, session_id))

    async def retain_sessions(self, sessions: Collection[SessionKey]) -> None:
        """Remove the agents and workspaces of all sessions that are not in the list, unless a job uses them."""
        retained_keys = set(sessions)
        for session_key in [session_key for session_key in self._idle if session_key not in retained_keys]:
            await self._launcher.stop(self._idle.pop(session_key))
        used_keys = retained_keys | self._starting_keys
        used_workspaces = {pooled.workspace for pooled in self._busy}
        used_workspaces |= {self._workspaces.get_session_path(*session_key) for session_key in used_keys}
        await self._workspaces.remove_all_except(used_workspaces)
        await self._workspaces.measure_unknown(retained_keys)

    async def close(self) -> None:
        """End all processes and wait until they exit."""
        self._is_closing = True
        await self._tasks.cancel_and_wait()
        self._launcher.close()
        spares = [pooled for group in self._spares.list_by_phase().values() for pooled in group]
        agents = [*self._idle.values(), *self._busy, *spares, *self._exiting]
        await asyncio.gather(*map(self._launcher.stop, agents))
        await asyncio.gather(
            *(self._workspaces.remove(pooled.workspace) for pooled in agents if pooled.session_key is None)
        )

    async def _find_or_start(
        self, prepared: PreparedAgentJob, session_key: SessionKey | None, deadline: float
    ) -> PooledAgent:
        if session_key and (idle := self._idle.pop(session_key, None)):
            mismatch = idle.find_mismatch(prepared)
            if mismatch is None:
                self._observer.history_loaded("agent", "reused")
                return idle
            self._report_evicted(idle, mismatch)
            await self._launcher.stop(idle)
        while len(self._idle) + self._lease_count > self._settings.worker_count and self._idle:
            # Evict the agent that was used least recently, without waiting until it exits. The workspace of the agent
            # stays.
            oldest_key = min(self._idle, key=lambda key: self._idle[key].agent.last_used_at)
            oldest = self._idle.pop(oldest_key)
            self._exiting.add(oldest)
            self._report_evicted(oldest, "another session needs its slot")
            self._tasks.start(self._stop_evicted(oldest))
        if session_key and (resumed := await self._resume(prepared, session_key, deadline)):
            self._observer.history_loaded("agent", "resumed")
            return resumed
        self._observer.history_loaded("agent", "replayed" if len(prepared.job.turns) > 1 else "new")
        return await self._take_spare_or_start(
            prepared.options.builtin_tools, prepared.job.login, session_key, deadline
        )

    async def _stop_evicted(self, pooled: PooledAgent) -> None:
        await self._launcher.stop(pooled)
        self._exiting.discard(pooled)

    async def _resume(self, prepared: PreparedAgentJob, session_key: SessionKey, deadline: float) -> PooledAgent | None:
        """Start a process that resumes the recorded conversation of a session.

        Returns:
            The agent, or None if no prefix of the conversation is recorded or the process did not start.
        """
        resume_index = await self._workspaces.read_resume_index(*session_key)
        resume_point = resume_index.find_resume_point(
            prepared.content_keys.prefixes, prepared.keys.prefixes, prepared.job.model
        )
        if resume_point is None:
            return None
        workspace = self._workspaces.get_session_path(*session_key)
        tools = prepared.options.builtin_tools
        resumed = self._launcher.create(workspace, tools, prepared.job.login, session_key, resume_index, resume_point)
        try:
            return await self._launcher.start_or_discard(resumed, deadline)
        except WorkerError as error:
            if loop_time() >= deadline:
                raise
            _log.warning("a conversation could not be resumed: %s %s", error, error.detail)
            return None

    async def _take_spare_or_start(
        self, tools: tuple[str, ...], login: str, session_key: SessionKey | None, deadline: float
    ) -> PooledAgent:
        if (spare := await self._spares.take(tools, login, deadline)) is not None:
            if session_key:
                spare.workspace = await self._workspaces.promote(spare.workspace, *session_key)
                spare.session_key = session_key
            return spare
        workspace = await (
            self._workspaces.create_for_session(*session_key) if session_key else self._workspaces.create_temporary()
        )
        if session_key:
            await self._workspaces.reset_transcript(workspace)
        return await self._launcher.start_or_discard(
            self._launcher.create(workspace, tools, login, session_key), deadline
        )

    def _forget(self, pooled: PooledAgent) -> None:
        """Discard an agent that has exited by itself. If a job uses the agent, `_release` discards it later.

        The method starts no new spares. Only the next job starts spares, so spares that exit at once are not started
        again and again.
        """
        is_idle = pooled.session_key is not None and self._idle.get(pooled.session_key) is pooled
        if pooled.session_key is not None and is_idle:
            del self._idle[pooled.session_key]
        if is_idle or self._spares.remove(pooled):
            self._tasks.start(self._launcher.discard(pooled))

    async def _release(self, pooled: PooledAgent) -> None:
        """Keep the agent for the next job of its session, or end the agent."""
        if pooled.session_key:
            self._tasks.start(self._measure_disk_usage(*pooled.session_key))
        if pooled.session_key and not pooled.error:
            await pooled.agent.finish_turn()
        self._busy.discard(pooled)
        can_continue = pooled.session_key and not pooled.error and pooled.agent.conversation_key
        if can_continue:
            with suppress(OSError):  # a process then resumes from an earlier point
                await self._workspaces.write_resume_index(pooled.workspace, pooled.agent.resume_index)
        if pooled.session_key and can_continue and not self._is_closing and not pooled.is_ending:
            self._idle[pooled.session_key] = pooled
            return
        self._report_released(pooled)
        await self._launcher.discard(pooled)
        if pooled.session_key and pooled.error and pooled.error.kind is ErrorKind.DISK_LIMIT:
            await self._workspaces.reset_transcript(pooled.workspace)  # clients cannot delete it themselves

    def _report_released(self, pooled: PooledAgent) -> None:
        if pooled.is_ending or self._is_closing:
            return
        if corruption_reason := pooled.agent.corruption_reason:
            self._reporter.report_replacement(pooled.agent.pid, "unhealthy", corruption_reason)
        elif pooled.session_key:
            self._reporter.report_replacement(
                pooled.agent.pid, "recycled", "its last turn was interrupted, so its conversation cannot continue"
            )

    def _report_evicted(self, pooled: PooledAgent, detail: str) -> None:
        pooled.is_ending = True
        self._reporter.report_replacement(pooled.agent.pid, "evicted", detail)

    async def _measure_disk_usage(self, key_id: str, session_id: str) -> None:
        """Measure the workspace of a session after a job, so that the next check of the limits knows its disk usage."""
        with suppress(OSError):
            await self._workspaces.measure_disk_usage(key_id, session_id)

    async def _enforce_limits(self, pooled: PooledAgent) -> None:
        """End a job that exceeds a disk or memory limit. Its files stay, so that the client can delete them."""
        self._end_for_limit(
            pooled, await self._limits.wait_exceeded(pooled.agent, pooled.workspace, pooled.session_key)
        )

    def _end_for_limit(self, pooled: PooledAgent, problem: WorkerError) -> None:
        pooled.error, pooled.is_ending = problem, True
        self._reporter.report_replacement(pooled.agent.pid, "unhealthy", f"{problem} {problem.detail}".strip())
        pooled.agent.kill()
