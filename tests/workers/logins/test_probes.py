"""Probes: the single jobs that find out whether the upstream accepts a login again."""

import pytest

from tests.workers.logins.helpers import DAY, HOUR, OPUS, SONNET, START, Logins, rejected
from workers.core.errors import ErrorKind, WorkerError
from workers.logins.login_state import MAX_PROBE_INTERVAL_SECONDS, PROBE_INTERVAL_SECONDS
from workers.logins.monitor import LoginAttempt

UNFINISHED_KINDS = [
    ErrorKind.INVALID_REQUEST,
    ErrorKind.CONTEXT_LENGTH_EXCEEDED,
    ErrorKind.REQUEST_TOO_LARGE,
    ErrorKind.MODEL_NOT_FOUND,
    ErrorKind.QUEUE_TIMEOUT,
    None,
]


def end(attempt: LoginAttempt, kind: ErrorKind | None) -> None:
    """End an attempt with an error, or without one if its client has disconnected."""
    if kind is not None:
        attempt.convert_error(WorkerError(kind, "x"))
    attempt.end()


def test_only_one_probe_runs_at_a_time() -> None:
    logins = Logins()
    logins.reach(rejected())
    logins.clock.now = START + PROBE_INTERVAL_SECONDS - 1
    logins.refusal()
    logins.clock.now = START + PROBE_INTERVAL_SECONDS + 1
    probe = logins.begin()
    logins.refusal()
    probe.report_accepted()
    assert logins.begin().login == "default"


def test_failed_probes_become_rarer() -> None:
    logins = Logins()
    logins.reach(rejected(resets_in=None))
    gaps: list[int] = []
    last = START
    while len(gaps) < 7:
        logins.clock.now += 1
        try:
            probe = logins.begin()
        except WorkerError:
            continue
        probe.convert_error(WorkerError(ErrorKind.LOGIN_LIMIT_REACHED, "x"))
        probe.end()
        gaps.append(round((logins.clock.now - last) / 10) * 10)
        last = logins.clock.now
    assert gaps == [60, 120, 240, 480, 900, 900, 900]
    assert MAX_PROBE_INTERVAL_SECONDS == 900


@pytest.mark.parametrize("kind", [ErrorKind.TIMEOUT, ErrorKind.UPSTREAM_ERROR, ErrorKind.RATE_LIMITED])
def test_probe_that_shows_nothing_leaves_the_login_closed(kind: ErrorKind) -> None:
    logins = Logins()
    logins.reach(rejected())
    logins.clock.now += PROBE_INTERVAL_SECONDS + 1
    probe = logins.begin()
    assert probe.convert_error(WorkerError(kind, "x")).kind is kind
    probe.end()
    logins.refusal()
    logins.clock.now += PROBE_INTERVAL_SECONDS + 1
    logins.begin()


def test_only_one_probe_is_rejected_before_a_known_reset() -> None:
    logins = Logins()
    logins.reach(rejected("seven_day", resets_in=3 * DAY))
    logins.clock.now = START + PROBE_INTERVAL_SECONDS + 1
    probe = logins.begin()
    logins.reach(rejected("seven_day", resets_in=3 * DAY))
    end(probe, ErrorKind.LOGIN_LIMIT_REACHED)
    for hours in range(1, 72, 5):
        logins.clock.now = START + hours * HOUR
        logins.refusal()
    logins.clock.now = START + 3 * DAY
    logins.begin().report_accepted()
    logins.reach(rejected("seven_day", resets_in=10 * DAY))
    logins.clock.now += PROBE_INTERVAL_SECONDS + 1
    assert logins.begin().login == "default"  # the next window has a probe of its own


def test_limit_of_one_model_has_a_probe_of_its_own() -> None:
    logins = Logins()
    logins.reach(rejected("seven_day_opus", resets_in=3 * DAY), model=OPUS)
    logins.clock.now += PROBE_INTERVAL_SECONDS + 1
    end(logins.begin(OPUS), ErrorKind.LOGIN_LIMIT_REACHED)
    logins.reach(rejected("five_hour"), model=SONNET)
    logins.refusal()
    logins.clock.now += PROBE_INTERVAL_SECONDS + 1
    logins.refusal(OPUS)
    end(logins.begin(SONNET), ErrorKind.LOGIN_LIMIT_REACHED)
    logins.clock.now += 2 * MAX_PROBE_INTERVAL_SECONDS
    logins.refusal()


@pytest.mark.parametrize("kind", UNFINISHED_KINDS)
def test_next_probe_is_due_at_once_if_a_probe_shows_nothing_about_the_limit(kind: ErrorKind | None) -> None:
    logins = Logins()
    logins.reach(rejected())
    logins.clock.now += PROBE_INTERVAL_SECONDS + 1
    end(logins.begin(OPUS), kind)
    assert logins.monitor.summarize()[0].is_limited
    assert logins.begin(SONNET).login == "default"
    logins.refusal()


@pytest.mark.parametrize("kind", UNFINISHED_KINDS[:4])
def test_error_of_the_request_itself_shows_that_the_login_works(kind: ErrorKind) -> None:
    logins = Logins("first", "second")
    logins.fail(ErrorKind.AUTHENTICATION)
    logins.clock.now += PROBE_INTERVAL_SECONDS + 1
    probe = logins.begin(OPUS)
    assert probe.login == "first"
    end(probe, kind)
    assert logins.monitor.summarize()[0].failure is None
    assert logins.begin().login == "first"


def test_probe_whose_client_disconnects_leaves_the_login_failed() -> None:
    logins = Logins("first", "second")
    logins.fail(ErrorKind.AUTHENTICATION)
    logins.clock.now += PROBE_INTERVAL_SECONDS + 1
    end(logins.begin(), None)
    assert logins.monitor.summarize()[0].is_rejected
    assert (logins.begin().login, logins.begin().login) == ("first", "second")


def test_job_for_a_model_that_the_login_lacks_is_not_a_probe() -> None:
    logins = Logins("first", "second")
    logins.reach(rejected(resets_in=None), login="first")
    logins.clock.now += PROBE_INTERVAL_SECONDS + 1
    probe = logins.begin()
    assert probe.convert_error(WorkerError(ErrorKind.MODEL_NOT_FOUND, "x")).is_retryable
    assert logins.begin().login == "second"
