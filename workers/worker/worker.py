"""Base class of chat workers and agents, with the methods that the pools use."""

import asyncio
from contextlib import suppress

from workers.worker.cli_session import CliSession

# The time from the end of a process's output until the process has exited.
_EXIT_TIMEOUT_SECONDS = 1.0


class Worker:
    """A worker with a long-lived process that runs one job at a time.

    Attributes:
        job_count: The number of jobs that the process has started.
    """

    def __init__(self, session: CliSession) -> None:
        self._session = session
        self.job_count = 0

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._session.connection.pid

    @property
    def model(self) -> str:
        """The model to which the process is set. A job for another model must first change the model."""
        return self._session.config.model

    @property
    def corruption_reason(self) -> str:
        """The reason for which the gateway must not use the process any more, or "" if it can use the process."""
        return self._session.connection.corruption_reason

    @property
    def last_stderr_line(self) -> str:
        """The last line that the process wrote to stderr, without secrets."""
        return self._session.connection.last_stderr_line

    def kill(self) -> None:
        """Kill the process."""
        self._session.connection.kill()

    async def wait_exited(self) -> int:
        """Wait until the process exits, and return the exit status. A negative status is the number of a signal."""
        return await self._session.connection.wait_exited()

    async def find_exit_status(self) -> int | None:
        """Return the exit status of a process whose output has ended, or None if the process does not exit soon."""
        try:
            async with asyncio.timeout(_EXIT_TIMEOUT_SECONDS):
                return await self.wait_exited()
        except TimeoutError:
            return None

    async def stop(self) -> None:
        """Kill the process, and wait until it has exited."""
        self.kill()
        with suppress(ProcessLookupError):
            await self.wait_exited()
