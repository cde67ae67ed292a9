"""Checks of the disk and memory usage of jobs that run in agents."""

import asyncio
from contextlib import suppress
from pathlib import Path

from workers.core.errors import ErrorKind, Limit, WorkerError
from workers.core.settings import AgentSettings
from workers.host.memory_usage import measure_process_tree_mib
from workers.host.workspaces import Workspaces, measure_workspace
from workers.worker.agent_worker import AgentWorker

# The id of an API key and the id of one of its sessions.
SessionKey = tuple[str, str]

_CHECK_INTERVAL_SECONDS = 0.5
_DISK_MESSAGES = {
    Limit.SESSION_DISK: "The workspace of this session is larger than its limit. Delete files in it.",
    Limit.KEY_DISK: "The workspaces of this key's sessions are larger than their limit. Delete files or sessions.",
}


class AgentLimits:
    """Measures the disk and memory usage of agents, and compares it with the limits in the settings."""

    def __init__(self, workspaces: Workspaces, settings: AgentSettings) -> None:
        self._workspaces = workspaces
        self._settings = settings

    async def find_disk_problem(self, workspace: Path, session_key: SessionKey | None) -> WorkerError | None:
        """Measure the workspace of a job, and return an error if a disk limit is exceeded, otherwise None.

        If the job belongs to a session, the disk usage of all sessions of the key is compared with the limit of the
        key.

        Raises:
            OSError: A directory cannot be read.
        """
        if session_key is None:
            usage = total_usage = await measure_workspace(workspace)
        else:
            usage = await self._workspaces.measure_disk_usage(*session_key)
            total_usage = self._workspaces.disk_usage.get_total(session_key[0])
        limit = self._settings.disk_limits.find_exceeded(usage, total_usage)
        return WorkerError(ErrorKind.DISK_LIMIT, _DISK_MESSAGES[limit], limit=limit) if limit else None

    async def wait_exceeded(self, agent: AgentWorker, workspace: Path, session_key: SessionKey | None) -> WorkerError:
        """Wait until an agent exceeds a disk or memory limit, and return the error for its job."""
        while True:
            await asyncio.sleep(_CHECK_INTERVAL_SECONDS)
            with suppress(OSError):
                if problem := await self.find_disk_problem(workspace, session_key):
                    return problem
            used_mib = await measure_process_tree_mib(agent.pid)
            if used_mib > self._settings.max_memory_mib:
                return WorkerError(
                    ErrorKind.MEMORY_LIMIT,
                    "The processes of this job used more memory than their limit.",
                    detail=f"{used_mib} MiB of {self._settings.max_memory_mib} MiB",
                    limit=Limit.AGENT_MEMORY,
                )
