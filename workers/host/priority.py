"""Sets the priorities of processes, which matter on a busy host.

A priority is a niceness, and a process with a lower niceness gets more processor time. All replies pass through the
gateway process, so it has the highest priority if the system allows that. Chat processes have the next priority, and
all other processes have the lowest priority.

Linux has two kinds of niceness, that of a process and that of a session of processes. On most machines,
`kernel.sched_autogroup_enabled` is set and no control group overrides it. Then the niceness of a process counts only in
comparison with the processes in the same session. In comparison with processes in other sessions, the niceness of the
session counts (`/proc/PID/autogroup`, see sched(7)).
"""

import os
import resource
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

_GATEWAY_NICENESS = -5
_CHAT_NICENESS = 0
_BACKGROUND_NICENESS = 10
_MAX_NICENESS = 19

_CAP_SYS_NICE = 23
# Linux accepts only one write to `autogroup` in each tenth of a second from a process without CAP_SYS_ADMIN.
_MAX_SESSION_ATTEMPTS = 10
_SESSION_RETRY_SECONDS = 0.05


class _Attempt(Enum):
    """The result of an attempt to change the niceness of a session."""

    DONE = auto()
    TRY_AGAIN = auto()
    REFUSED = auto()


@dataclass(frozen=True, slots=True)
class Priority:
    """The priority of a process.

    Attributes:
        niceness: The niceness with which the process starts.
        min_niceness: The lowest niceness that the process may get later.
    """

    niceness: int
    min_niceness: int

    def apply(self) -> None:
        """Set this priority for the process that calls the method.

        The gateway calls the method in a new process before `exec`. The method does nothing if the system does not
        allow the change.
        """
        _, hard = resource.getrlimit(resource.RLIMIT_NICE)
        # The value of the resource limit is 20 minus the lowest niceness that the process may set.
        limit = min(hard, 20 - self.min_niceness)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NICE, (limit, limit))
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, self.niceness)


def raise_gateway_priority() -> None:
    """Raise the priority of the gateway process above the priorities of its child processes, if the system allows it.

    The function blocks the calling thread.
    """
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _GATEWAY_NICENESS)
    # Change the niceness of the session only if the gateway has its own session. The session of a terminal also
    # contains other programs.
    if os.getsid(0) == os.getpid():
        set_session_niceness(os.getpid(), _GATEWAY_NICENESS)


def get_chat_priority() -> Priority:
    """Return the priority of a chat process."""
    niceness = max(_CHAT_NICENESS, os.getpriority(os.PRIO_PROCESS, 0))
    return Priority(niceness, niceness)


def get_background_priority() -> Priority:
    """Return the priority of agents and of processes that parse large requests. Chat processes have a higher one."""
    niceness = min(get_chat_priority().niceness + _BACKGROUND_NICENESS, _MAX_NICENESS)
    return Priority(niceness, niceness)


def get_starting_priority() -> Priority:
    """Return the priority of a chat process during its start. The start takes half a second of processor time.

    The priority is lower than that of other chat processes, and `restore_chat_priority` raises it after the start. If
    the system does not allow this, the process gets the chat priority from the beginning.
    """
    return (
        Priority(get_background_priority().niceness, get_chat_priority().niceness)
        if _can_restore()
        else get_chat_priority()
    )


def restore_chat_priority(pid: int, *, with_session: bool) -> None:
    """Set the chat priority for a started process and all its threads. The function blocks the calling thread.

    Args:
        pid: The id of the process.
        with_session: Whether `lower_session_priority` has changed the niceness of the process's session.
    """
    if with_session:
        set_session_niceness(pid, get_chat_priority().niceness)
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, int(thread.name), get_chat_priority().niceness)


def lower_session_priority(pid: int, priority: Priority) -> bool:
    """Set the niceness of the session of a process that has just started. The function blocks the calling thread.

    If `restore_chat_priority` will change the niceness again, this function makes only one attempt, because a second
    attempt could happen after the call of `restore_chat_priority`.

    Returns:
        Whether the function has changed the niceness.
    """
    if priority.min_niceness < priority.niceness:
        return _try_session_niceness(pid, priority.niceness) is _Attempt.DONE
    return set_session_niceness(pid, priority.niceness)


def set_session_niceness(pid: int, niceness: int) -> bool:
    """Set the niceness of a process's session. The function blocks the calling thread.

    If the system accepts the change only later, the function tries again.

    Returns:
        Whether the function has set the niceness. Some systems have no niceness for sessions, or do not allow the
        change.
    """
    for _ in range(_MAX_SESSION_ATTEMPTS):
        attempt = _try_session_niceness(pid, niceness)
        if attempt is not _Attempt.TRY_AGAIN:
            return attempt is _Attempt.DONE
        time.sleep(_SESSION_RETRY_SECONDS)
    return False


def _try_session_niceness(pid: int, niceness: int) -> _Attempt:
    try:
        Path(f"/proc/{pid}/autogroup").write_text(str(niceness))
    except BlockingIOError:
        return _Attempt.TRY_AGAIN
    except OSError:
        return _Attempt.REFUSED
    return _Attempt.DONE


def _can_restore() -> bool:
    if resource.getrlimit(resource.RLIMIT_NICE)[0] >= 20 - get_chat_priority().niceness:
        return True
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> _CAP_SYS_NICE & 1)
    return False
