"""What a caller can be told: one error class, and one table from kinds of failure to statuses and types."""

import errno
import math
from collections.abc import Mapping
from typing import Any

from workers.errors import ErrorKind, WorkerError


class ApiError(Exception):
    """An answer that is an error. `message` is read by callers: no path, no secret.

    `retry_after` is in whole seconds. `extra` joins the error object of the general envelope. With `breaks_off` a
    stream that has begun is not ended by this error: its connection breaks off, as it did upstream.
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
        breaks_off: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = type_
        self.message = message
        self.code = code
        self.param = param
        self.retry_after = retry_after
        self.extra = dict(extra or {})
        self.breaks_off = breaks_off

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy everything: an error crosses from one process to another."""
        return _restored, (vars(self),)


def _restored(fields: Mapping[str, Any]) -> ApiError:
    error = ApiError(fields["status"], fields["type"], fields["message"])
    vars(error).update(fields)
    return error


_DEFAULT_RETRY_SECONDS = 5
_MACHINE_RETRY_SECONDS = 30
# Their codes: whoever runs the gateway has to do something.
OF_THE_MACHINE = frozenset({"disk_full", "machine_failing"})
_DISK_IS_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_MACHINE_IS_AT_FAULT = _DISK_IS_FULL | {
    *(errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EFBIG, errno.ESTALE),
    *(errno.ENODEV, errno.EREMOTEIO, errno.ENOLCK),
}

# Status, type and code of each kind.
_KINDS: Mapping[ErrorKind, tuple[int, str, str]] = {
    ErrorKind.INVALID_REQUEST: (400, "invalid_request_error", "invalid_request"),
    ErrorKind.TOO_LONG: (400, "invalid_request_error", "context_length_exceeded"),
    ErrorKind.TOO_LARGE: (413, "request_too_large", "request_too_large"),
    ErrorKind.MODEL_NOT_FOUND: (404, "invalid_request_error", "model_not_found"),
    ErrorKind.BILLING: (402, "billing_error", "insufficient_quota"),
    ErrorKind.LOGIN: (503, "authentication_error", "claude_login_failed"),
    ErrorKind.RATE_LIMITED: (429, "rate_limit_exceeded", "upstream_rate_limit"),
    ErrorKind.OVERLOADED: (503, "overloaded_error", "upstream_overloaded"),
    ErrorKind.UPSTREAM: (502, "api_error", "upstream_error"),
    ErrorKind.CUT: (502, "streaming_error", "upstream_cut"),
    ErrorKind.TIMEOUT: (504, "timeout_error", "timeout"),
    ErrorKind.WORKER_DIED: (502, "streaming_error", "worker_died"),
    ErrorKind.WORKER_CONFUSED: (502, "api_error", "worker_confused"),
    ErrorKind.START_FAILED: (503, "api_error", "no_worker"),
    ErrorKind.QUEUE_FULL: (429, "rate_limit_exceeded", "queue_full"),
    ErrorKind.QUEUE_TIMEOUT: (429, "rate_limit_exceeded", "queue_timeout"),
    ErrorKind.TOO_MANY_AT_ONCE: (429, "rate_limit_exceeded", "too_many_jobs"),
    ErrorKind.STOPPING: (503, "api_error", "stopping"),
    ErrorKind.NO_TOOLS: (503, "api_error", "tools_unavailable"),
    ErrorKind.DISK_FULL: (413, "request_too_large", "session_disk_full"),
    ErrorKind.MEMORY_FULL: (413, "request_too_large", "session_memory_full"),
}

# Another attempt may succeed at these. Most programs make one where a connection breaks off, and give up at an error
# event (docs/clients.md).
_BREAKS_OFF = frozenset({ErrorKind.CUT, ErrorKind.UPSTREAM, ErrorKind.WORKER_DIED, ErrorKind.WORKER_CONFUSED})


def cut_short() -> ApiError:
    """An answer that broke off, or began again differently, behind what its reader already has."""
    return ApiError(502, "streaming_error", "The answer broke off in the middle.", code="upstream_cut", breaks_off=True)


def invalid_json_output(message: str, *, streamed: bool) -> ApiError:
    """An answer that is not the JSON asked for."""
    return ApiError(502, "streaming_error" if streamed else "api_error", message, code="invalid_json_output")


def internal() -> ApiError:
    """A fault of this program, of which the caller learns no more than that."""
    return ApiError(500, "api_error", "Internal error.", code="internal_error")


def machine_failing(error: OSError) -> ApiError:
    """The disk takes nothing, or the machine gives nothing: no fault of the client, who may come again. No path is
    named."""
    full = error.errno in _DISK_IS_FULL
    return ApiError(
        507 if full else 503,
        "api_error",
        f"The gateway's machine cannot do this now: {(error.strerror or 'it fails').lower()}.",
        code="disk_full" if full else "machine_failing",
        retry_after=_MACHINE_RETRY_SECONDS,
    )


def is_of_the_machine(error: OSError) -> bool:
    """Whether the disk or the machine is at fault: not a connection, nor what this program should have known."""
    return error.errno in _MACHINE_IS_AT_FAULT


def from_worker(error: WorkerError) -> ApiError:
    """The caller's view of a failed job. 429 and 503 always say when to come back."""
    status, type_, code = _KINDS[error.kind]
    retry_after = None
    if status in (429, 503):
        retry_after = math.ceil(error.retry_after) if error.retry_after else _DEFAULT_RETRY_SECONDS
    breaks_off = error.kind in _BREAKS_OFF
    return ApiError(status, type_, error.message, code=code, retry_after=retry_after, breaks_off=breaks_off)
