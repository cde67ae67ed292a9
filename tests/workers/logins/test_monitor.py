"""Limits and failures of logins: which jobs are sent upstream, and which errors the others get."""

import pytest

from tests.workers.helpers import make_job
from tests.workers.logins.helpers import DAY, HOUR, OPUS, SONNET, START, Clock, Logins, rejected
from workers.core.errors import ErrorKind, WorkerError
from workers.core.login_limits import LimitReport, LimitStatus, LimitWindow
from workers.core.settings import AuthMethod
from workers.logins.login_state import PROBE_INTERVAL_SECONDS, LoginState
from workers.logins.monitor import LoginMonitor


def test_error_names_the_window_and_the_time_of_the_reset() -> None:
    logins = Logins()
    logins.reach(rejected())
    error = logins.refusal()
    assert error.kind is ErrorKind.LOGIN_LIMIT_REACHED
    assert (
        error.message
        == "This gateway's login has reached its 5-hour limit. The limit resets at 2026-11-30 01:53:20 UTC."
    )
    assert error.retry_after == pytest.approx(HOUR, abs=1)
    assert logins.monitor.summarize()[0].held_back_count == 1


def test_later_reset_of_two_reached_limits_counts() -> None:
    logins = Logins()
    logins.reach(rejected("seven_day", 3 * DAY), rejected("five_hour", HOUR))
    error = logins.refusal()
    assert "weekly limit" in error.message
    assert error.retry_after == pytest.approx(3 * DAY, abs=1)
    logins.clock.now = START + 2 * HOUR
    assert logins.monitor.summarize()[0].limited_until == START + 3 * DAY


def test_limit_of_one_model_family_does_not_stop_other_models() -> None:
    logins = Logins()
    logins.reach(rejected("seven_day_opus"), model=OPUS)
    assert logins.refusal(OPUS).kind is ErrorKind.LOGIN_LIMIT_REACHED
    assert logins.refusal("claude-opus-4-1").kind is ErrorKind.LOGIN_LIMIT_REACHED
    assert logins.begin(SONNET).login == "default"


def test_login_opens_at_the_reset() -> None:
    logins = Logins()
    logins.reach(rejected())
    logins.clock.now = START + HOUR
    assert logins.begin().login == "default"
    assert logins.begin().login == "default"
    assert not logins.monitor.summarize()[0].is_limited


def test_limit_without_a_known_reset_ends_with_a_probe() -> None:
    logins = Logins()
    logins.reach(rejected(resets_in=None))
    error = logins.refusal()
    assert error.message.endswith("the time of its reset is unknown.")
    assert error.retry_after == pytest.approx(PROBE_INTERVAL_SECONDS, abs=1)
    logins.clock.now += PROBE_INTERVAL_SECONDS + 1
    logins.begin().report_accepted()
    logins.begin()


def test_limit_error_without_a_report_closes_the_login_for_the_model() -> None:
    logins = Logins()
    error = logins.fail()
    assert (error.message, error.retry_after) == ("x", PROBE_INTERVAL_SECONDS)
    assert not error.is_retryable
    logins.refusal()
    assert logins.begin(OPUS).login == "default"


def test_plain_rate_limit_does_not_close_the_login() -> None:
    logins = Logins()
    assert logins.fail(ErrorKind.RATE_LIMITED).kind is ErrorKind.RATE_LIMITED
    assert logins.begin().login == "default"


def test_job_that_started_before_the_limit_does_not_open_the_login() -> None:
    logins = Logins()
    early = logins.begin()
    logins.reach(rejected())
    early.report_accepted()
    logins.monitor.create_limit_callback("default")(
        LimitReport(False, (LimitWindow("five_hour", LimitStatus.ALLOWED, 0.99, START + HOUR),)), SONNET
    )
    logins.refusal()
    (window,) = logins.monitor.summarize()[0].windows
    assert (window.status, window.used_share) == (LimitStatus.REJECTED, 0.99)


def test_job_that_waited_for_a_process_is_not_sent_after_the_limit() -> None:
    logins = Logins()
    waiting = logins.begin()
    waiting.ensure_allowed()
    logins.reach(rejected())
    with pytest.raises(WorkerError) as caught:
        waiting.ensure_allowed()
    assert caught.value.kind is ErrorKind.LOGIN_LIMIT_REACHED


def test_windows_disappear_after_their_reset() -> None:
    logins = Logins()
    report = LimitReport(
        False,
        (
            LimitWindow("five_hour", LimitStatus.ALLOWED, 0.4, START + HOUR),
            LimitWindow("seven_day", LimitStatus.WARNING, 0.8, START + DAY),
        ),
    )
    logins.monitor.create_limit_callback("default")(report, SONNET)
    assert [window.kind for window in logins.monitor.summarize()[0].windows] == ["five_hour", "seven_day"]
    logins.clock.now = START + HOUR
    assert [window.kind for window in logins.monitor.summarize()[0].windows] == ["seven_day"]


def test_only_login_runs_each_job_after_it_was_rejected() -> None:
    logins = Logins()
    error = logins.fail(ErrorKind.AUTHENTICATION)
    assert not error.is_retryable
    assert logins.monitor.summarize()[0].is_rejected
    logins.begin().report_accepted()
    assert not logins.monitor.summarize()[0].is_rejected


@pytest.mark.parametrize(
    "kind",
    [
        ErrorKind.LOGIN_LIMIT_REACHED,
        ErrorKind.AUTHENTICATION,
        ErrorKind.BILLING,
        ErrorKind.START_FAILED,
        ErrorKind.MODEL_NOT_FOUND,
    ],
)
def test_job_goes_to_the_next_login_at_once(kind: ErrorKind) -> None:
    logins = Logins("first", "second")
    assert logins.fail(kind).is_retryable
    assert logins.begin().login == "second"


def test_job_stays_with_the_first_login_without_fallback() -> None:
    logins = Logins("first", "second", fallback=False)
    logins.reach(rejected(), login="first")
    assert not logins.refusal().is_retryable


def test_jobs_return_to_the_first_login_after_its_reset() -> None:
    logins = Logins("first", "second")
    logins.reach(rejected(), login="first")
    logins.clock.now += 10 * PROBE_INTERVAL_SECONDS
    assert logins.begin().login == "second"
    logins.clock.now = START + HOUR
    assert logins.begin().login == "first"


def test_probe_finds_out_that_the_first_login_was_renewed() -> None:
    logins = Logins("first", "second")
    logins.fail(ErrorKind.AUTHENTICATION)
    assert logins.begin().login == "second"
    logins.clock.now += PROBE_INTERVAL_SECONDS + 1
    probe = logins.begin()
    assert (probe.login, logins.begin().login) == ("first", "second")
    probe.report_accepted()
    assert logins.begin().login == "first"


def test_fallback_that_breaks_gives_the_error_of_the_limit() -> None:
    logins = Logins("first", "second")
    logins.reach(rejected(), login="first")
    error = logins.fail(ErrorKind.AUTHENTICATION)
    assert (error.kind, error.is_retryable) == (ErrorKind.AUTHENTICATION, False)
    refusal = logins.refusal()
    assert (refusal.kind, refusal.retry_after) == (ErrorKind.LOGIN_LIMIT_REACHED, pytest.approx(HOUR, abs=1))


def test_job_is_not_repeated_after_each_login_has_failed() -> None:
    logins = Logins("first", "second")
    assert logins.fail(ErrorKind.AUTHENTICATION).is_retryable
    assert not logins.fail(ErrorKind.AUTHENTICATION).is_retryable


def test_each_failed_login_is_tried_again_after_a_while() -> None:
    logins = Logins("first", "second")
    logins.fail(ErrorKind.AUTHENTICATION)
    logins.fail(ErrorKind.START_FAILED)
    assert logins.begin().login == "first"
    logins.clock.now += PROBE_INTERVAL_SECONDS + 1
    assert logins.fail(ErrorKind.AUTHENTICATION).is_retryable  # the second login is due for a probe
    probe = logins.begin()
    assert probe.login == "second"
    probe.report_accepted()
    assert logins.begin().login == "second"


def test_error_names_the_limit_that_resets_first() -> None:
    logins = Logins("first", "second")
    logins.reach(rejected("seven_day", 3 * DAY), login="first")
    logins.reach(rejected("five_hour", HOUR), login="second")
    assert logins.refusal().retry_after == pytest.approx(HOUR, abs=1)


def test_key_with_a_login_uses_no_other() -> None:
    logins = Logins("first", "second")
    assert logins.begin(login="second").login == "second"
    logins.reach(rejected(), login="second")
    assert not logins.refusal(login="second").is_retryable
    assert logins.refusal(login="removed").kind is ErrorKind.AUTHENTICATION


def test_login_without_the_model_is_tried_again_after_a_while() -> None:
    logins = Logins("first", "second")
    logins.fail(ErrorKind.MODEL_NOT_FOUND)
    assert (logins.begin().login, logins.begin(OPUS).login) == ("second", "first")
    logins.clock.now += HOUR
    assert logins.begin().login == "first"


def test_configured_models_decide_without_fallback() -> None:
    clock = Clock()
    states = [LoginState("a", AuthMethod.CLI, [SONNET]), LoginState("b", AuthMethod.API_KEY, [OPUS])]
    monitor = LoginMonitor(states, now=clock)
    assert monitor.begin(make_job(model=OPUS)).login == "b"
    with pytest.raises(WorkerError) as caught:
        monitor.begin(make_job(model="claude-haiku-4-5"))
    assert caught.value.kind is ErrorKind.MODEL_NOT_FOUND


def test_spares_start_with_the_next_login_when_the_first_is_near_its_limit() -> None:
    logins = Logins("first", "second")
    assert logins.monitor.choose_spare_login(SONNET) == "first"
    warning = LimitWindow("five_hour", LimitStatus.WARNING, 0.9, START + HOUR)
    logins.monitor.create_limit_callback("first")(LimitReport(False, (warning,)), SONNET)
    assert logins.monitor.choose_spare_login(SONNET) == "second"
    assert logins.begin().login == "first"
    logins.clock.now = START + HOUR
    assert logins.monitor.choose_spare_login(SONNET) == "first"
    assert Logins("first", "second", fallback=False).monitor.choose_spare_login(SONNET) == "first"
