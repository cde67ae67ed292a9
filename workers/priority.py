"""The priority of processes on a busy processor, as niceness: of two processes, the one with less is served first.

The gateway passes on every answer, so it comes first where the system allows that; then answers, then all other work.
Linux has two kinds of niceness. The niceness of a process counts only among the processes of its own session where
`kernel.sched_autogroup_enabled` is set and no control group says otherwise, as on most machines. Between sessions the
niceness of a session counts there (`/proc/PID/autogroup`, see sched(7)).
"""

import os
import resource
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_GATEWAY_NICENESS = -5
_CHAT_NICENESS = 0
_LATER_NICENESS = 10
_MAX_NICENESS = 19

_CAP_SYS_NICE = 23
# Without CAP_SYS_ADMIN, Linux accepts one such write in a tenth of a second.
_SESSION_TRIES = 10
_SESSION_WAIT_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Priority:
    """The priority of a process.

    Attributes:
        niceness: At its start.
        least: The least niceness that it may be given later.
    """

    niceness: int
    least: int

    def take(self) -> None:
        """Give it to this process, before it becomes another program. What is not allowed does not happen."""
        _, hard = resource.getrlimit(resource.RLIMIT_NICE)
        # The limit is 20 less the least niceness.
        limit = min(hard, 20 - self.least)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NICE, (limit, limit))
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, self.niceness)


def raise_own() -> None:
    """Put this process before those that it starts, as far as the system allows that. Blocks."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _GATEWAY_NICENESS)
    # A terminal's session holds other programs too.
    if os.getsid(0) == os.getpid():
        set_session_niceness(os.getpid(), _GATEWAY_NICENESS)


def of_chat() -> Priority:
    """That of a process that answers."""
    niceness = max(_CHAT_NICENESS, os.getpriority(os.PRIO_PROCESS, 0))
    return Priority(niceness, niceness)


def of_later_work() -> Priority:
    """That of a process that works with tools or reads large requests: it gives way to those that answer."""
    niceness = min(of_chat().niceness + _LATER_NICENESS, _MAX_NICENESS)
    return Priority(niceness, niceness)


def of_starting_chat() -> Priority:
    """That of a process that will answer. Its start takes half a second of a processor, which others are not to feel.

    The same as that of chat where the system would not let `restore` give it back.
    """
    return Priority(of_later_work().niceness, of_chat().niceness) if _can_restore() else of_chat()


def restore(pid: int) -> None:
    """Let a process that has started answer at the priority of chat, with all its threads. Blocks."""
    set_session_niceness(pid, of_chat().niceness)
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, int(thread.name), of_chat().niceness)


def set_session_niceness(pid: int, niceness: int) -> None:
    """Set that of the session of a process, where the system has such a thing and allows it. Blocks."""
    for _ in range(_SESSION_TRIES):
        try:
            Path(f"/proc/{pid}/autogroup").write_text(str(niceness))
        except BlockingIOError:
            time.sleep(_SESSION_WAIT_SECONDS)
        except OSError:
            return
        else:
            return


def _can_restore() -> bool:
    if resource.getrlimit(resource.RLIMIT_NICE)[0] >= 20 - of_chat().niceness:
        return True
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> _CAP_SYS_NICE & 1)
    return False
