"""Reports starts and replacements of processes to the log and to the observer of the engine."""

import asyncio
import logging
import signal
from collections.abc import Awaitable

from workers.core.observer import ExitReason, Observer, WorkerKind

_log = logging.getLogger(__name__)


class ProcessReporter:
    """Reports the starts and replacements of the processes of one pool."""

    def __init__(self, kind: WorkerKind, observer: Observer) -> None:
        self._kind: WorkerKind = kind
        self._observer = observer

    async def measure_start(self, start: Awaitable[None]) -> None:
        """Wait until a process has started, and report how long the start took.

        If the start fails, pass the error on.
        """
        loop = asyncio.get_running_loop()
        started_at = loop.time()
        await start
        self._observer.process_started(self._kind, loop.time() - started_at)

    def report_replacement(self, pid: int, reason: ExitReason, detail: str) -> None:
        """Report that a process was replaced or has exited by itself.

        The report is a warning, which operators see by default, because a gateway that often replaces its processes is
        slow.
        """
        _log.warning("%s worker replaced: process %d, %s: %s", self._kind, pid, reason, detail)
        self._observer.process_exited(self._kind, reason)

    def report_idle_exit(self, pid: int, detail: str) -> None:
        """Report that the pool ended a process that it does not need now."""
        _log.info("%s worker ended: process %d, idle: %s", self._kind, pid, detail)
        self._observer.process_exited(self._kind, "idle")


def describe_exit(status: int, last_stderr_line: str) -> str:
    """Describe the exit of a process on one line.

    Args:
        status: The exit status of the process. A negative status is the number of a signal.
        last_stderr_line: The last line that the process wrote to stderr.
    """
    cause = f"signal {_name_signal(-status)}" if status < 0 else f"exit status {status}"
    return f"{cause}, last line on stderr: {last_stderr_line}" if last_stderr_line else cause


def _name_signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
