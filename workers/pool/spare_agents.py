"""Spare agents, which the pool starts in advance for jobs that have no agent yet."""

import asyncio
import logging
from collections.abc import Callable

from workers.core.background_tasks import BackgroundTasks
from workers.core.errors import ErrorKind, WorkerError
from workers.core.settings import AgentSettings
from workers.host.workspaces import Workspaces
from workers.pool.agent_launcher import AgentLauncher, PooledAgent
from workers.worker.agent_worker import AgentWorker

_log = logging.getLogger(__name__)


class SpareAgents:
    """Keeps spare agents with the default tools. `take` gives a spare to a job, and `refill` starts new spares."""

    def __init__(
        self,
        launcher: AgentLauncher,
        workspaces: Workspaces,
        settings: AgentSettings,
        tasks: BackgroundTasks,
        choose_login: Callable[[], str],
    ) -> None:
        """Create the collection without spares.

        Args:
            launcher: The launcher that starts and ends agents.
            workspaces: The directories in which agents work.
            settings: The limits of agents.
            tasks: The tasks of the pool.
            choose_login: A function that returns the name of the login with which spares start.
        """
        self._choose_login = choose_login
        self._launcher = launcher
        self._workspaces = workspaces
        self._settings = settings
        self._tasks = tasks
        # Each value is a future, which is done as soon as its spare has started. If the start fails, the future raises
        # the same error.
        self._spares: dict[PooledAgent, asyncio.Future[None]] = {}

    def list_by_phase(self) -> dict[str, list[PooledAgent]]:
        """Return the spares that are ready and the spares that are starting."""
        return {
            "ready": [pooled for pooled, started in self._spares.items() if started.done()],
            "starting": [pooled for pooled, started in self._spares.items() if not started.done()],
        }

    def remove(self, pooled: PooledAgent) -> bool:
        """Remove an agent from the spares. Return False if it is not a spare."""
        return self._spares.pop(pooled, None) is not None

    async def take(self, tools: tuple[str, ...], login: str, deadline: float) -> PooledAgent | None:
        """Return a spare with these tools and this login once it has started, or None if there is no such spare.

        Raises:
            WorkerError: The spare did not start, or did not start before the deadline.
        """
        spare = next((pooled for pooled in self._spares if (pooled.tools, pooled.login) == (tools, login)), None)
        if spare is None:
            return None
        started = self._spares.pop(spare)
        try:
            async with asyncio.timeout_at(deadline):
                await asyncio.shield(started)
        except TimeoutError:
            await self._launcher.discard(spare)
            raise WorkerError(ErrorKind.TIMEOUT, "No worker became ready in time.") from None
        except BaseException:
            await self._launcher.discard(spare)
            raise
        return spare

    def refill(self) -> None:
        """Start new spares until there are `spare_count` spares. Spares that are starting count too.

        Spares with another login than the present login of spares end.
        """
        login = self._choose_login()
        for spare in [pooled for pooled, started in self._spares.items() if pooled.login != login and started.done()]:
            del self._spares[spare]
            self._tasks.start(self._launcher.discard(spare))
        for _ in range(self._settings.spare_count - len(self._spares)):
            self._tasks.start(self._start_spare())

    async def refill_after_first_output(self, agent: AgentWorker) -> None:
        """Wait for the first output of a job, then start spares.

        The start needs processor time that the job should have first.
        """
        await agent.first_output.wait()
        self.refill()

    async def _start_spare(self) -> None:
        workspace = await self._workspaces.create_temporary()
        spare = self._launcher.create(workspace, self._settings.default_tools, self._choose_login())
        started = self._spares[spare] = asyncio.get_running_loop().create_future()
        try:
            await self._launcher.start(spare)
        except WorkerError as error:
            _log.warning("a spare agent did not start: %s %s", error, error.detail)
            if self.remove(spare):
                await self._launcher.discard(spare)
            else:
                started.set_exception(error)
        else:
            started.set_result(None)
