"""From a kind of failure to what a caller is told."""

import pytest

from claude_gateway.errors import ApiError, from_worker, internal
from workers.errors import ErrorKind, WorkerError

TYPES = {
    *("validation_error", "authentication_error", "permission_error", "streaming_error", "api_error"),
    *("rate_limit_exceeded", "request_too_large", "overloaded_error", "timeout_error", "invalid_request_error"),
    "billing_error",
}


def told(kind: ErrorKind, retry_after: float | None = None) -> ApiError:
    return from_worker(WorkerError(kind, "What happened.", retry_after=retry_after, detail="/etc/secret"))


@pytest.mark.parametrize("kind", ErrorKind)
def test_every_kind_has_a_status_a_type_and_a_code_of_its_own(kind: ErrorKind) -> None:
    error = told(kind)

    assert 400 <= error.status < 600
    assert error.type in TYPES
    assert [told(other).code for other in ErrorKind].count(error.code) == 1


@pytest.mark.parametrize("kind", ErrorKind)
def test_what_is_meant_for_the_log_stays_there(kind: ErrorKind) -> None:
    assert "secret" not in str(vars(told(kind)))


@pytest.mark.promise("errors.retry-after")
@pytest.mark.parametrize("kind", ErrorKind)
def test_who_shall_come_back_is_told_when_in_whole_seconds(kind: ErrorKind) -> None:
    unknown, known = told(kind), told(kind, retry_after=0.2)

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
        (ErrorKind.TOO_LARGE, 413),
        (ErrorKind.RATE_LIMITED, 429),
        (ErrorKind.QUEUE_FULL, 429),
        (ErrorKind.QUEUE_TIMEOUT, 429),
        (ErrorKind.UPSTREAM, 502),
        (ErrorKind.WORKER_DIED, 502),
        (ErrorKind.LOGIN, 503),
        (ErrorKind.STOPPING, 503),
        (ErrorKind.TIMEOUT, 504),
    ],
)
def test_the_statuses_are_those_of_the_guide(kind: ErrorKind, status: int) -> None:
    assert told(kind).status == status


def test_a_fault_of_the_gateway_is_a_500() -> None:
    assert internal().status == 500
