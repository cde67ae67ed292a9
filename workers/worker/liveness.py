"""Timeouts for steps in which the CLI itself must react without waiting for the upstream.

A healthy process reacts within milliseconds. The timeouts are longer, so that they also suit an overloaded machine. If
a process hangs, the gateway stops waiting for it long before the deadline of the job, so that another process can run
the job.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from workers.cli.connection import CliConnection
from workers.cli.output_reader import CanWait
from workers.core.errors import ErrorKind, WorkerError
from workers.core.event_loop import loop_time
from workers.core.frame import Frame

DEFAULT_LIVENESS_TIMEOUT_SECONDS = 30.0
# A process that waits for the upstream still responds to other requests at once.
_PING_TIMEOUT_SECONDS = 8.0
# The minimum timeout shortly before the deadline, because a healthy process needs some time on a busy machine.
_MIN_TIMEOUT_SECONDS = 1.0


class LivenessMonitor:
    """Detects a process that hangs while a job waits for it.

    Args:
        connection: The connection to the process.
        timeout_seconds: The longest time for which the process may send nothing.
    """

    def __init__(self, connection: CliConnection, timeout_seconds: float = DEFAULT_LIVENESS_TIMEOUT_SECONDS) -> None:
        self._connection = connection
        self._timeout_seconds = timeout_seconds

    def get_reaction_deadline(self, deadline: float) -> float:
        """Return the time until which the process must react.

        If the process does not react until then, another process can still run the job before the deadline.
        """
        return _limit_deadline(self._timeout_seconds, deadline)

    @contextmanager
    def guard(self, deadline: float) -> Iterator[None]:
        """Convert a timeout that occurs in the `with` block before `deadline` into the error PROTOCOL_ERROR.

        Such a timeout means that the process hangs.

        Raises:
            WorkerError: PROTOCOL_ERROR for such a timeout. All other errors are raised unchanged.
        """
        try:
            yield
        except WorkerError as error:
            if error.kind is ErrorKind.TIMEOUT and loop_time() < deadline:
                raise self._connection.mark_corrupt("it does not react") from error
            raise

    async def next_frames(
        self, create_ping_frame: Callable[[], Frame], deadline: float, can_wait: CanWait
    ) -> list[Frame]:
        """Wait for the next frames of a reply and return them.

        The method waits for the model until the deadline. If the process sends nothing, the method pings the process,
        early enough that another process can still run the job.

        Args:
            create_ping_frame: A function that creates a request to which the process responds at once.
            deadline: The end of the job's time, by the clock of the event loop.
            can_wait: A function that returns whether a frame needs no reaction before the next frame arrives.

        Raises:
            WorkerError: PROTOCOL_ERROR if the process does not respond to the ping.
        """
        while True:
            try:
                return await self._connection.next_frames(_limit_deadline(self._timeout_seconds, deadline), can_wait)
            except WorkerError as error:
                with self.guard(deadline):
                    await self._ping(error, create_ping_frame, deadline)

    async def _ping(self, error: WorkerError, create_ping_frame: Callable[[], Frame], deadline: float) -> None:
        """Ping the process after a timeout. A process that only waits for the upstream responds to the ping.

        Raises:
            WorkerError: TIMEOUT if the process does not respond. The given error, if it is not a timeout before the
                deadline.
        """
        if error.kind is not ErrorKind.TIMEOUT or loop_time() >= deadline:
            raise error
        ping_deadline = _limit_deadline(min(_PING_TIMEOUT_SECONDS, self._timeout_seconds), deadline)
        await self._connection.write(create_ping_frame(), deadline=ping_deadline)
        await self._connection.wait_readable(ping_deadline)


def _limit_deadline(timeout_seconds: float, deadline: float) -> float:
    """Return the time at which a timeout ends.

    If there is enough time, two thirds of the time until the deadline remain after the timeout.
    """
    now = loop_time()
    remaining_seconds = deadline - now
    return now + min(timeout_seconds, remaining_seconds, max(remaining_seconds / 3, _MIN_TIMEOUT_SECONDS))
