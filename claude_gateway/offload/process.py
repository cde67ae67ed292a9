"""One process that runs tasks, as its parent sees it. Everything here blocks: it is called in threads."""

import gc
import os
import pickle
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from claude_gateway.offload.limits import OffloadLimits
from claude_gateway.offload.outcome import Outcome
from workers.priority import of_later_work, set_session_niceness

_MODULE = "claude_gateway.offload.child"
# Nothing of the gateway's environment, which holds its secrets, is needed there.
_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "HOME", "VIRTUAL_ENV", "PYTHONPATH", "LD_LIBRARY_PATH", "TMPDIR")
# The timer of the process counts CPU time; on a busy machine that passes slowly.
_WALL_FACTOR = 15
_unpickling = threading.Lock()


class ProcessEnded(Exception):
    """The process ended before it had answered. `took_too_long`: because the task took all its time."""

    def __init__(self, reason: str, *, took_too_long: bool = False) -> None:
        super().__init__(reason)
        self.took_too_long = took_too_long


class TaskProcess:
    """A process that runs one task at a time."""

    def __init__(self, limits: OffloadLimits) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", _MODULE),
                    *(str(theirs.fileno()), str(limits.task_seconds), str(limits.task_bytes)),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                # A signal of the terminal is for the gateway, which ends its processes itself.
                start_new_session=True,
                env={name: value for name in _KEPT_VARIABLES if (value := os.environ.get(name)) is not None},
            )
        # Its start, too, gives way to the gateway; some sandboxes do not let it.
        niceness = of_later_work().niceness
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self._process.pid, niceness)
        set_session_niceness(self._process.pid, niceness)
        self._connection = Connection(ours.detach())
        self._wall_seconds = limits.task_seconds * _WALL_FACTOR

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def held_bytes(self) -> int:
        """The memory that it holds now."""
        try:
            fields = Path(f"/proc/{self.pid}/statm").read_text().split()
        except OSError:  # it has just ended
            return 0
        return int(fields[1]) * resource.getpagesize()

    def call(self, work: Callable[..., Any], arguments: tuple[Any, ...]) -> Outcome:
        """Run the task. Raises `ProcessEnded`; the process is of no more use then."""
        task = pickle.dumps((work, arguments), pickle.HIGHEST_PROTOCOL)
        try:
            self._connection.send_bytes(task)
            if not self._connection.poll(self._wall_seconds):
                raise ProcessEnded("no answer in time", took_too_long=True)
            answer = self._connection.recv_bytes()
        except (EOFError, OSError):
            self.kill()
            status = self._process.wait()
            raise ProcessEnded(f"status {status}", took_too_long=status == -signal.SIGPROF) from None
        return _read(answer)

    def kill(self) -> None:
        """End the process; a call that waits for it raises."""
        self._process.kill()

    def end(self) -> None:
        """End the process, and wait until the system has taken it back."""
        self._process.kill()
        self._process.wait()
        self._connection.close()


def _read(answer: bytes) -> Outcome:
    """Unpickle without collections of garbage, which multiply the time: they hold the interpreter for all threads."""
    with _unpickling:
        gc.disable()
        try:
            outcome: Outcome = pickle.loads(answer)  # noqa: S301 - our own process wrote it
        finally:
            gc.enable()
    return outcome
