"""Heartbeats, which keep an idle stream open."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

_log = logging.getLogger(__name__)


class Heartbeats:
    """Sends heartbeats while an `async with` block runs.

    Most streams end before the first heartbeat. Therefore this class starts a task for each heartbeat, instead of one
    task that waits during the whole stream.

    Args:
        send: Sends one heartbeat.
        interval_seconds: The pause before each heartbeat.
    """

    def __init__(self, send: Callable[[], Awaitable[None]], interval_seconds: float) -> None:
        self._send = send
        self._interval_seconds = interval_seconds
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        self._schedule()

    async def __aexit__(self, *_: object) -> None:
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _schedule(self) -> None:
        self._timer = self._loop.call_later(self._interval_seconds, self._start_task)

    def _start_task(self) -> None:
        self._task = self._loop.create_task(self._send_and_schedule())

    async def _send_and_schedule(self) -> None:
        try:
            await self._send()
        except Exception:
            _log.exception("the heartbeat of a stream failed")
        self._schedule()
