"""Graceful shutdown. The gateway finishes the running requests, and starts no new job."""

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from workers.core.errors import shutting_down
from workers.core.event_loop import loop_time

# If another gateway process takes over the listening socket, clients that are connected to this process do not notice
# this. Therefore this process accepts requests on their connections for this time. New connections wait in the kernel
# for the other process.
_HANDOVER_GRACE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Signals:
    """Events that the signal handlers of the process set. The signal that begins the shutdown has no event.

    Attributes:
        force_shutdown: The handlers set this event if the gateway must end without waiting for running requests.
        reload: The handlers set this event if the gateway must read the settings and keys again.
    """

    force_shutdown: asyncio.Event = field(default_factory=asyncio.Event)
    reload: asyncio.Event = field(default_factory=asyncio.Event)


class GracefulShutdown:
    """Counts running requests, and rejects new jobs after the shutdown has begun.

    All times are values of the event loop's clock.
    """

    def __init__(self) -> None:
        self._deadline: float | None = None
        self._accept_until = 0.0
        self._is_handover = False
        self._request_count = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def is_draining(self) -> bool:
        """Whether the shutdown has begun."""
        return self._deadline is not None

    def begin(self, deadline: float, *, is_handover: bool) -> None:
        """Begin the shutdown.

        Args:
            deadline: Time at which the gateway ends requests that are still running.
            is_handover: Whether another gateway process accepts new connections from now on.
        """
        self._deadline = deadline
        self._is_handover = is_handover
        self._accept_until = loop_time() + (_HANDOVER_GRACE_SECONDS if is_handover else 0)

    def reject_if_draining(self) -> None:
        """Raise an error if the gateway is shutting down and accepts no more jobs.

        Raises:
            WorkerError: With the kind SHUTTING_DOWN.
        """
        if self.is_draining and loop_time() >= self._accept_until:
            raise shutting_down(self.retry_after)

    @property
    def retry_after(self) -> float:
        """Estimated number of seconds until a gateway accepts requests again."""
        remaining = 0.0 if self._deadline is None or self._is_handover else self._deadline - loop_time()
        return float(math.ceil(max(0.0, remaining)) + 1)

    @contextmanager
    def track_request(self) -> Iterator[None]:
        """Count a request as running while a `with` block runs."""
        self._request_count += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._request_count -= 1
            if not self._request_count:
                self._idle.set()

    async def wait_idle(self) -> None:
        """Wait until no request is running and the gateway accepts no further request."""
        await asyncio.sleep(max(0.0, self._accept_until - loop_time()))
        while self._request_count:
            await self._idle.wait()
