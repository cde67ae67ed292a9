"""Observer that the engine calls when a process starts or exits, or when a job's history is loaded. No I/O."""

from typing import Literal, Protocol

WorkerKind = Literal["chat", "agent"]
# The reason for which a process ended while the gateway still runs: another job or conversation needed its place
# (evicted), it reached its limit of jobs, age or memory (recycled), it was not used for a while or the machine ran out
# of memory (idle), it did not recover from a failed job or exceeded a limit (unhealthy), or it exited by itself
# (exited).
ExitReason = Literal["evicted", "recycled", "idle", "unhealthy", "exited"]
# The source of a job's history in its process: the job had no history (new), the process already had the history
# (reused), the gateway sent it turn by turn (replayed), or a new process resumed it from a file (resumed).
HistorySource = Literal["new", "reused", "replayed", "resumed"]


class Observer(Protocol):
    """Receives events of the engine.

    The engine calls it in the event loop, so its methods must not block or raise errors.
    """

    def process_started(self, kind: WorkerKind, seconds: float) -> None:
        """Handle the event that a process has become ready, after a start of this duration."""
        ...

    def process_exited(self, kind: WorkerKind, reason: ExitReason) -> None:
        """Handle the event that a process has ended while the gateway still runs."""
        ...

    def history_loaded(self, kind: WorkerKind, source: HistorySource) -> None:
        """Handle the event that the history of a job is in the process, or is about to be sent to it."""
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
