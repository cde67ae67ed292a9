"""Everything that can go wrong between a job and its answer, by kind."""

from enum import Enum


class ErrorKind(Enum):
    """Why a job failed. The value says it in words; `claude_gateway.errors` maps each to a status."""

    INVALID_REQUEST = "the upstream refused the request itself"
    LOGIN = "Claude Code has no valid login"
    BILLING = "the upstream refuses this account for its billing"
    MODEL_NOT_FOUND = "the upstream does not know the model"
    TOO_LONG = "the conversation is longer than the model takes"
    TOO_LARGE = "the request is larger than the upstream takes"
    RATE_LIMITED = "the upstream's rate limit is reached"
    OVERLOADED = "the upstream is overloaded"
    UPSTREAM = "the upstream broke"
    CUT = "the upstream connection broke in the middle of the answer"
    TIMEOUT = "the answer took too long"
    WORKER_DIED = "the claude process ended in the middle of the job"
    WORKER_CONFUSED = "the claude process said something this gateway does not understand"
    START_FAILED = "no claude process could be started"
    QUEUE_FULL = "too many jobs are waiting"
    QUEUE_TIMEOUT = "the job waited too long for a worker"
    TOO_MANY_AT_ONCE = "this owner has as many jobs as he may have at once"
    STOPPING = "the gateway is stopping"
    NO_TOOLS = "Claude's own tools cannot be used here"
    DISK_FULL = "the directory of the work is full"
    MEMORY_FULL = "the work took more memory than it may"


class WorkerError(Exception):
    """A job failed. `message` is fit for the caller's eyes: no path, no secret; `str` gives it on one line, for logs.

    `retry_after` is in seconds, None where nobody knows. `detail` is for the log alone
    (the process's last lines on stderr).
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        retry_after: float | None = None,
        detail: str = "",
    ) -> None:
        # The upstream quotes what a client sent: it must not write lines of the log.
        super().__init__(" ".join(message.splitlines()))
        self.kind = kind
        self.message = message
        self.retry_after = retry_after
        self.detail = detail

    @property
    def another_attempt_could_help(self) -> bool:
        """True when the fault lies with one process or connection, so the same job may succeed on the next."""
        return self.kind in (ErrorKind.WORKER_DIED, ErrorKind.WORKER_CONFUSED, ErrorKind.CUT)


def stopping(retry_after: float | None = None) -> WorkerError:
    """A job comes too late for this gateway, or runs for too long."""
    return WorkerError(ErrorKind.STOPPING, "The gateway is stopping.", retry_after=retry_after)
