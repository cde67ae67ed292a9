"""Notifications to systemd, or to another service manager that sets NOTIFY_SOCKET, according to sd_notify(3)."""

import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial

from claude_gateway.core.periodic import run_every

# The gateway pings the watchdog twice within the watchdog's timeout, as sd_watchdog_enabled(3) advises.
_PINGS_PER_TIMEOUT = 2


class SystemdNotifier:
    """Sends notifications to the service manager. Without a service manager, it does nothing.

    The gateway does not wait for the service manager. If the service manager does not accept a notification at once,
    the notification is lost.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        path = environment.get("NOTIFY_SOCKET", "")
        # If the path begins with @, the socket is in the abstract namespace, whose names begin with a zero byte.
        self._path = f"\0{path[1:]}" if path.startswith("@") else path
        self._watchdog_seconds = _watchdog_seconds(environment)

    def notify_ready(self, status: str) -> None:
        """Report that the gateway accepts requests, together with a status line for the operator."""
        self._send("READY=1", f"STATUS={status}")

    def notify_reloading(self) -> None:
        """Report that the gateway reads its settings again."""
        # systemd compares the time with the monotonic clock, in microseconds.
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1_000}")

    def notify_stopping(self) -> None:
        """Report that the gateway is shutting down."""
        self._send("STOPPING=1", "STATUS=Finishing running requests")

    @asynccontextmanager
    async def watchdog(self, is_healthy: Callable[[], bool]) -> AsyncIterator[None]:
        """Ping the watchdog of the service manager while a `with` block runs.

        The pings stop if the event loop is blocked, or while `is_healthy` returns False.
        """
        if not self._watchdog_seconds:
            yield
            return
        async with run_every(
            self._watchdog_seconds / _PINGS_PER_TIMEOUT,
            partial(self._ping, is_healthy),
            task_name="the ping of the systemd watchdog",
            starts_at_once=True,
        ):
            yield

    async def _ping(self, is_healthy: Callable[[], bool]) -> None:
        if is_healthy():
            self._send("WATCHDOG=1")

    def _send(self, *states: str) -> None:
        if not self._path:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto("\n".join(states).encode(), self._path)


def _watchdog_seconds(environment: Mapping[str, str]) -> float:
    """Return the timeout of the watchdog for this process in seconds; 0 if this process has no watchdog."""
    is_for_this_process = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    microseconds = environment.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1e6 if is_for_this_process and microseconds.isdecimal() else 0.0
