"""Class that controls one process for parsing tasks. All functions block, so the pool calls them in threads."""

import gc
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from claude_gateway.offload.limits import OffloadLimits
from claude_gateway.offload.outcome import TaskOutcome
from workers.host.memory_usage import read_rss_bytes
from workers.host.priority import get_background_priority, set_session_niceness

_CHILD_MODULE = "claude_gateway.offload.child"
# The process inherits only these variables, because the environment of the gateway contains secrets.
_INHERITED_VARIABLES = ("PATH", "LANG", "LC_ALL", "HOME", "VIRTUAL_ENV", "PYTHONPATH", "LD_LIBRARY_PATH", "TMPDIR")
# The maximum wall-clock time of a task is its maximum CPU time multiplied by this factor. The factor is large, because
# a task may wait a long time for the CPU on a busy machine.
_WALL_CLOCK_FACTOR = 15
_unpickle_lock = threading.Lock()


class TaskProcessExited(Exception):
    """Raised if a process exits or times out before it has returned the outcome of a task.

    `timed_out` is True if the task exceeded its time limit.
    """

    def __init__(self, reason: str, *, timed_out: bool = False) -> None:
        super().__init__(reason)
        self.timed_out = timed_out


class TaskProcess:
    """A process that runs one task at a time."""

    def __init__(self, limits: OffloadLimits) -> None:
        parent_socket, child_socket = socket.socketpair()
        with child_socket:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", _CHILD_MODULE),
                    *(str(child_socket.fileno()), str(limits.max_task_cpu_seconds), str(limits.max_task_bytes)),
                ],
                pass_fds=[child_socket.fileno()],
                stdin=subprocess.DEVNULL,
                # The terminal must send its signals only to the gateway, which ends its processes itself.
                start_new_session=True,
                env={name: value for name in _INHERITED_VARIABLES if (value := os.environ.get(name)) is not None},
            )
        # The process gets a lower priority than the gateway right after its start. Some sandboxes do not allow this.
        niceness = get_background_priority().niceness
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self._process.pid, niceness)
        set_session_niceness(self._process.pid, niceness)
        self._connection = Connection(parent_socket.detach())
        self._wall_seconds = limits.max_task_cpu_seconds * _WALL_CLOCK_FACTOR

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def has_exited(self) -> bool:
        """Whether the process has exited."""
        return self._process.poll() is not None

    def rss_bytes(self) -> int:
        """Return the current resident memory of the process in bytes; 0 if the process has just exited."""
        return read_rss_bytes(self.pid)

    def call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> TaskOutcome:
        """Run a task in the process and return its outcome.

        Raises:
            TaskProcessExited: The process exited or timed out. It cannot run further tasks.
        """
        task = pickle.dumps((function, arguments), pickle.HIGHEST_PROTOCOL)
        try:
            self._connection.send_bytes(task)
            if not self._connection.poll(self._wall_seconds):
                raise TaskProcessExited("the task timed out", timed_out=True)
            outcome = self._connection.recv_bytes()
        except (EOFError, OSError):
            self.kill()
            status = self._process.wait()
            raise TaskProcessExited(f"status {status}", timed_out=status == -signal.SIGPROF) from None
        return _unpickle_outcome(outcome)

    def kill(self) -> None:
        """Kill the process. A `call` that is running then raises `TaskProcessExited`."""
        self._process.kill()

    def close(self) -> None:
        """Kill the process and wait for its exit."""
        self._process.kill()
        self._process.wait()
        self._connection.close()


def _unpickle_outcome(data: bytes) -> TaskOutcome:
    """Unpickle an outcome without garbage collections, because collections would take long and block all threads."""
    with _unpickle_lock:
        gc.disable()
        try:
            outcome: TaskOutcome = pickle.loads(data)  # noqa: S301 - written by a process of the gateway
        finally:
            gc.enable()
    return outcome
