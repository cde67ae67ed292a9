"""The error that a failed job raises, and the kinds of such errors. No I/O."""

from enum import Enum, auto


class ErrorKind(Enum):
    """The kinds of `WorkerError`. The module `claude_gateway.core.errors` maps each kind to an HTTP status."""

    INVALID_REQUEST = "the upstream rejected the request"
    AUTHENTICATION = "Claude Code has no valid login"
    BILLING = "the upstream rejects the account because of its billing"
    MODEL_NOT_FOUND = "the upstream does not know the model"
    CONTEXT_LENGTH_EXCEEDED = "the conversation is longer than the context of the model"
    REQUEST_TOO_LARGE = "the request is larger than the upstream accepts"
    RATE_LIMITED = "the upstream's rate limit is reached"
    LOGIN_LIMIT_REACHED = "the usage limit of the login is reached"
    OVERLOADED = "the upstream is overloaded"
    UPSTREAM_ERROR = "the upstream failed"
    UPSTREAM_DISCONNECTED = "the upstream connection broke during the reply"
    TIMEOUT = "the reply took too long"
    WORKER_EXITED = "the claude process exited during the job"
    PROTOCOL_ERROR = "the claude process sent an unexpected message"
    START_FAILED = "no claude process could be started"
    QUEUE_FULL = "too many jobs are waiting"
    QUEUE_TIMEOUT = "the job waited too long for a worker"
    CONCURRENCY_LIMIT = "the key has reached its limit of concurrent jobs"
    SHUTTING_DOWN = "the gateway is shutting down"
    TOOLS_UNAVAILABLE = "the built-in tools are not available on this host"
    DISK_LIMIT = "the workspace has reached its disk limit"
    MEMORY_LIMIT = "the agent has reached its memory limit"


class Limit(Enum):
    """A limit in the settings of the engine.

    For error messages, the gateway maps the limit to the name of the setting that the operator can change.
    """

    QUEUED_JOBS = auto()
    QUEUE_TIMEOUT = auto()
    SESSION_DISK = auto()
    KEY_DISK = auto()
    AGENT_MEMORY = auto()


class WorkerError(Exception):
    """Raised if a job fails. `str` returns the message of the error on one line, for logs.

    Attributes:
        kind: The kind of the error.
        message: The text for the client, without paths and secrets.
        retry_after: The number of seconds until another attempt may succeed, or None if the number is unknown.
        detail: A text for the log only, for example the last lines that the process wrote to stderr.
        limit: The limit that the job has reached, or None if the error has another cause.
        other_login_may_succeed: Whether the job may run again with another login.
        concerns_only_model: Whether the upstream would accept the login for other models, although the kind of the
            error is AUTHENTICATION.
        is_model_unknown: Whether each login that serves the model has answered that it does not know the model.
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        retry_after: float | None = None,
        detail: str = "",
        limit: Limit | None = None,
    ) -> None:
        # The upstream's message may quote a text of the client. Such a text must not add lines to the log.
        super().__init__(" ".join(message.splitlines()))
        self.kind = kind
        self.message = message
        self.retry_after = retry_after
        self.detail = detail
        self.limit = limit
        self.other_login_may_succeed = False
        self.concerns_only_model = False
        self.is_model_unknown = False

    @property
    def is_retryable(self) -> bool:
        """Whether the job may succeed again, because only one process, connection or login has failed."""
        return self.other_login_may_succeed or self.kind in (
            ErrorKind.WORKER_EXITED,
            ErrorKind.PROTOCOL_ERROR,
            ErrorKind.UPSTREAM_DISCONNECTED,
        )


def shutting_down(retry_after: float | None = None) -> WorkerError:
    """Return the error for a job that cannot run or complete, because the gateway is shutting down."""
    return WorkerError(ErrorKind.SHUTTING_DOWN, "The gateway is shutting down.", retry_after=retry_after)
