"""Interface of an observer that the engine calls when a process starts, exits or gets the history of a job. No I/O."""

from typing import Literal, Protocol

WorkerKind = Literal["chat", "agent"]
# The reason why a process ended while the gateway still runs. `evicted` means that another job or conversation needed
# the process. `recycled` means that the process reached a limit on jobs, age or memory. `idle` means that the process
# had no job for some time, or that the machine ran out of memory. `unhealthy` means that the process did not recover
# from a failed job or exceeded a limit. `exited` means that the process exited by itself.
ExitReason = Literal["evicted", "recycled", "idle", "unhealthy", "exited"]
# The way in which a process got the history of a job. `new` means that the job had no history. `reused` means that the
# process already had the history. `replayed` means that the gateway sent the history turn by turn. `resumed` means that
# a new process read the history from a file.
HistorySource = Literal["new", "reused", "replayed", "resumed"]


class Observer(Protocol):
    """Interface of an object that the engine notifies of events.

    The engine calls the methods on the event loop, so the methods must not block or raise errors.
    """

    def process_started(self, kind: WorkerKind, seconds: float) -> None:
        """Handle the event that a process has become ready. `seconds` is the duration of the start."""
        ...

    def process_exited(self, kind: WorkerKind, reason: ExitReason) -> None:
        """Handle the event that a process has ended while the gateway still runs."""
        ...

    def history_loaded(self, kind: WorkerKind, source: HistorySource) -> None:
        """Handle the event that a process has the history of a job, or that the engine is about to send the history."""
        ...


class NullObserver:
    """An observer that does nothing."""

    def process_started(self, kind: WorkerKind, seconds: float) -> None:
        """Do nothing."""

    def process_exited(self, kind: WorkerKind, reason: ExitReason) -> None:
        """Do nothing."""

    def history_loaded(self, kind: WorkerKind, source: HistorySource) -> None:
        """Do nothing."""


NULL_OBSERVER = NullObserver()
