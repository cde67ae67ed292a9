"""What systemd, or whoever else started this program and set NOTIFY_SOCKET, is told: sd_notify(3) in a few lines."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

# Twice in the time after which systemd gives us up, as sd_watchdog_enabled(3) advises.
_PINGS = 2


class ServiceManager:
    """Told nothing where there is none. What it does not take is lost: nobody waits for it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        path = environment.get("NOTIFY_SOCKET", "")
        # An @ stands for the zero byte of the abstract namespace.
        self._path = f"\0{path[1:]}" if path.startswith("@") else path
        self._watchdog_seconds = _watchdog_seconds(environment)

    def ready(self, status: str) -> None:
        self._say("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        # The clock that systemd compares with, in microseconds.
        self._say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1_000}")

    def stopping(self) -> None:
        self._say("STOPPING=1", "STATUS=Finishing running answers")

    @asynccontextmanager
    async def watchdog(self, is_well: Callable[[], bool]) -> AsyncIterator[None]:
        """For the length of a `with`: a sign of life as long as the loop turns and all is well, where one is wanted."""
        if not self._watchdog_seconds:
            yield
            return
        task = asyncio.create_task(self._ping(is_well, self._watchdog_seconds / _PINGS))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _ping(self, is_well: Callable[[], bool], interval: float) -> None:
        while True:
            if is_well():
                self._say("WATCHDOG=1")
            await asyncio.sleep(interval)

    def _say(self, *states: str) -> None:
        if not self._path:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.setblocking(False)
            to.sendto("\n".join(states).encode(), self._path)


def _watchdog_seconds(environment: Mapping[str, str]) -> float:
    """0 where no sign of life is wanted of this very process."""
    meant = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    microseconds = environment.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1e6 if meant and microseconds.isdecimal() else 0.0
