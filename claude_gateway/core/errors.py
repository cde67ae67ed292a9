"""Errors that the gateway returns to clients, and the status, type and code for each kind of failure. No I/O."""

import errno
import math
from collections.abc import Mapping
from typing import Any

from workers.core.errors import ErrorKind, Limit, WorkerError


class ApiError(Exception):
    """Error that the gateway returns to a client as an HTTP response.

    Attributes:
        status: HTTP status.
        type: Type of the error, such as `api_error`.
        message: Text for clients; contains no path and no secret.
        code: Code of the error, such as `queue_full`.
        param: Field path of the parameter that caused the error.
        retry_after: Whole seconds until a retry may succeed.
        extra: Further fields of the error object in the response.
        interrupts_stream: Whether the gateway ends a started stream by closing the connection instead of sending an
            error event. The gateway does so if the upstream connection was interrupted too.
    """

    def __init__(
        self,
        status: int,
        type_: str,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: int | None = None,
        extra: Mapping[str, Any] | None = None,
        interrupts_stream: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = type_
        self.message = message
        self.code = code
        self.param = param
        self.retry_after = retry_after
        self.extra = dict(extra or {})
        self.interrupts_stream = interrupts_stream

    def __reduce__(self) -> tuple[Any, ...]:
        """Make pickle copy all attributes, because the gateway sends errors from one process to another."""
        return _rebuild_error, (vars(self),)


def bad_request(param: str, message: str) -> ApiError:
    """Return an error with status 400 that names the invalid parameter."""
    return ApiError(400, "validation_error", f"{param}: {message}", code="invalid_request_error", param=param)


def _rebuild_error(fields: Mapping[str, Any]) -> ApiError:
    error = ApiError(fields["status"], fields["type"], fields["message"])
    vars(error).update(fields)
    return error


_DEFAULT_RETRY_SECONDS = 5
_HOST_RETRY_SECONDS = 30
# Codes of the errors that require an action by the operator.
HOST_ERROR_CODES = frozenset({"disk_full", "host_failure"})
_DISK_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})
_HOST_FAULT_ERRNOS = _DISK_FULL_ERRNOS | {
    *(errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EFBIG, errno.ESTALE),
    *(errno.ENODEV, errno.EREMOTEIO, errno.ENOLCK),
}

# Status, type and code of the error response for each kind of failure.
_RESPONSE_BY_KIND: Mapping[ErrorKind, tuple[int, str, str]] = {
    ErrorKind.INVALID_REQUEST: (400, "invalid_request_error", "invalid_request"),
    ErrorKind.CONTEXT_LENGTH_EXCEEDED: (400, "invalid_request_error", "context_length_exceeded"),
    ErrorKind.REQUEST_TOO_LARGE: (413, "request_too_large", "request_too_large"),
    ErrorKind.MODEL_NOT_FOUND: (404, "invalid_request_error", "model_not_found"),
    ErrorKind.BILLING: (402, "billing_error", "insufficient_quota"),
    ErrorKind.AUTHENTICATION: (503, "authentication_error", "claude_login_failed"),
    ErrorKind.RATE_LIMITED: (429, "rate_limit_exceeded", "upstream_rate_limited"),
    ErrorKind.LOGIN_LIMIT_REACHED: (429, "rate_limit_exceeded", "login_limit_reached"),
    ErrorKind.OVERLOADED: (503, "overloaded_error", "upstream_overloaded"),
    ErrorKind.UPSTREAM_ERROR: (502, "api_error", "upstream_error"),
    ErrorKind.UPSTREAM_DISCONNECTED: (502, "streaming_error", "upstream_disconnected"),
    ErrorKind.TIMEOUT: (504, "timeout_error", "timeout"),
    ErrorKind.WORKER_EXITED: (502, "streaming_error", "worker_exited"),
    ErrorKind.PROTOCOL_ERROR: (502, "api_error", "protocol_error"),
    ErrorKind.START_FAILED: (503, "api_error", "worker_unavailable"),
    ErrorKind.QUEUE_FULL: (429, "rate_limit_exceeded", "queue_full"),
    ErrorKind.QUEUE_TIMEOUT: (429, "rate_limit_exceeded", "queue_timeout"),
    ErrorKind.CONCURRENCY_LIMIT: (429, "rate_limit_exceeded", "concurrency_limit_exceeded"),
    ErrorKind.SHUTTING_DOWN: (503, "api_error", "shutting_down"),
    ErrorKind.TOOLS_UNAVAILABLE: (503, "api_error", "tools_unavailable"),
    ErrorKind.DISK_LIMIT: (413, "request_too_large", "session_disk_limit_exceeded"),
    ErrorKind.MEMORY_LIMIT: (413, "request_too_large", "memory_limit_exceeded"),
}

# The settings with which the operator changes each limit of the engine.
_SETTINGS_BY_LIMIT: Mapping[Limit, str] = {
    Limit.QUEUED_JOBS: "MAX_QUEUED_JOBS, CHAT_WORKERS",
    Limit.QUEUE_TIMEOUT: "QUEUE_TIMEOUT_SECONDS, CHAT_WORKERS",
    Limit.SESSION_DISK: "MAX_SESSION_DISK_MIB",
    Limit.KEY_DISK: "MAX_SESSION_DISK_PER_KEY_MIB",
    Limit.AGENT_MEMORY: "MAX_AGENT_MEMORY_MIB",
}

# Kinds of failure after which a retry may succeed. Most clients retry when a connection is interrupted, but not when
# they receive an error event (docs/clients.md).
_INTERRUPTING_KINDS = frozenset(
    {ErrorKind.UPSTREAM_DISCONNECTED, ErrorKind.UPSTREAM_ERROR, ErrorKind.WORKER_EXITED, ErrorKind.PROTOCOL_ERROR}
)


def stream_interrupted() -> ApiError:
    """Return the error for a stream that was interrupted, or that restarted after the client had received a part."""
    return ApiError(
        502,
        "streaming_error",
        "The response was interrupted before its end.",
        code="upstream_disconnected",
        interrupts_stream=True,
    )


def invalid_json_output(message: str, *, streamed: bool) -> ApiError:
    """Return the error for a reply that is not the JSON that the client requested."""
    return ApiError(502, "streaming_error" if streamed else "api_error", message, code="invalid_json_output")


def internal_error() -> ApiError:
    """Return the error for a fault in the gateway's own code. The text contains no details."""
    return ApiError(500, "api_error", "Internal error.", code="internal_error")


def host_failure(error: OSError) -> ApiError:
    """Return the error response for a failure of the gateway's machine, for example a full disk.

    The client may retry. The text contains no path.
    """
    is_disk_full = error.errno in _DISK_FULL_ERRNOS
    return ApiError(
        507 if is_disk_full else 503,
        "api_error",
        f"The gateway's machine cannot process the request now: {(error.strerror or 'host failure').lower()}.",
        code="disk_full" if is_disk_full else "host_failure",
        retry_after=_HOST_RETRY_SECONDS,
    )


def is_host_failure(error: OSError) -> bool:
    """Return whether the machine caused an error, for example by a full disk.

    Other errors come from a connection, or from a fault in the gateway.
    """
    return error.errno in _HOST_FAULT_ERRNOS


def error_code(kind: ErrorKind) -> str:
    """Return the error code for a kind of failure. Clients, usage records and metrics use this code."""
    return _RESPONSE_BY_KIND[kind][2]


def from_worker_error(error: WorkerError) -> ApiError:
    """Convert the error of a failed job to an error response.

    If the status is 429 or 503, the response always says when the client may retry.
    """
    status, type_, code = _RESPONSE_BY_KIND[error.kind]
    retry_after = None
    if status in (429, 503):
        retry_after = math.ceil(error.retry_after) if error.retry_after else _DEFAULT_RETRY_SECONDS
    interrupts_stream = error.kind in _INTERRUPTING_KINDS
    message = error.message
    if error.limit is not None:
        message = f"{message.removesuffix('.')} ({_SETTINGS_BY_LIMIT[error.limit]})."
    return ApiError(status, type_, message, code=code, retry_after=retry_after, interrupts_stream=interrupts_stream)


class StartupError(Exception):
    """Raised if the gateway or a command cannot start.

    The text of the error is one line with the reason and the remedy.
    """
