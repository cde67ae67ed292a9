"""Errors of jobs as clients receive them."""

import pytest

from claude_gateway.config import Settings
from claude_gateway.core.errors import ApiError, from_worker_error, internal_error
from workers.core.errors import ErrorKind, Limit, WorkerError

TYPES = {
    *("validation_error", "authentication_error", "permission_error", "streaming_error", "api_error"),
    *("rate_limit_exceeded", "request_too_large", "overloaded_error", "timeout_error", "invalid_request_error"),
    "billing_error",
}


def to_api_error(kind: ErrorKind, retry_after: float | None = None) -> ApiError:
    return from_worker_error(WorkerError(kind, "What happened.", retry_after=retry_after, detail="/etc/secret"))


@pytest.mark.parametrize("kind", ErrorKind)
def test_every_kind_has_a_status_a_type_and_a_code(kind: ErrorKind) -> None:
    error = to_api_error(kind)

    assert 400 <= error.status < 600
    assert error.type in TYPES
    assert [to_api_error(other).code for other in ErrorKind].count(error.code) == 1


@pytest.mark.parametrize("kind", ErrorKind)
def test_hides_log_detail_from_the_client(kind: ErrorKind) -> None:
    assert "secret" not in str(vars(to_api_error(kind)))


@pytest.mark.promise("errors.retry-after")
@pytest.mark.parametrize("kind", ErrorKind)
def test_retry_after_is_in_whole_seconds(kind: ErrorKind) -> None:
    unknown, known = to_api_error(kind), to_api_error(kind, retry_after=0.2)

    if unknown.status in (429, 503):
        assert isinstance(unknown.retry_after, int)
        assert unknown.retry_after >= 1
        assert known.retry_after == 1
    else:
        assert unknown.retry_after is known.retry_after is None


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (ErrorKind.INVALID_REQUEST, 400),
        (ErrorKind.BILLING, 402),
        (ErrorKind.MODEL_NOT_FOUND, 404),
        (ErrorKind.REQUEST_TOO_LARGE, 413),
        (ErrorKind.RATE_LIMITED, 429),
        (ErrorKind.QUEUE_FULL, 429),
        (ErrorKind.QUEUE_TIMEOUT, 429),
        (ErrorKind.UPSTREAM_ERROR, 502),
        (ErrorKind.WORKER_EXITED, 502),
        (ErrorKind.AUTHENTICATION, 503),
        (ErrorKind.SHUTTING_DOWN, 503),
        (ErrorKind.TIMEOUT, 504),
    ],
)
def test_failure_has_the_documented_status(kind: ErrorKind, status: int) -> None:
    assert to_api_error(kind).status == status


def test_internal_error_is_a_500() -> None:
    assert internal_error().status == 500


@pytest.mark.parametrize("limit", Limit)
def test_error_of_a_limit_names_the_settings_that_change_it(limit: Limit) -> None:
    message = from_worker_error(WorkerError(ErrorKind.QUEUE_FULL, "It is full.", limit=limit)).message

    text, _, settings = message.removesuffix(").").partition(" (")
    assert text == "It is full"
    assert all(name.lower() in Settings.model_fields for name in settings.split(", "))
