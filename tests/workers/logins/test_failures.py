"""Failures of logins, models that a login lacks, and the log and reports about both."""

import logging

import pytest

from tests.workers.helpers import make_job
from tests.workers.logins.helpers import HOUR, OPUS, SONNET, Clock, Logins, rejected
from workers.core.errors import ErrorKind, WorkerError
from workers.core.login_limits import LimitReport
from workers.core.settings import AuthMethod
from workers.logins.login_state import PROBE_INTERVAL_SECONDS, LoginState
from workers.logins.monitor import LoginMonitor


def refused_model() -> WorkerError:
    error = WorkerError(ErrorKind.AUTHENTICATION, "x")
    error.concerns_only_model = True
    return error


def test_refused_model_moves_only_the_jobs_for_this_model() -> None:
    logins = Logins("first", "second")
    error = logins.begin(OPUS).convert_error(refused_model())
    assert (error.kind, error.is_retryable) == (ErrorKind.AUTHENTICATION, True)
    assert (logins.begin(OPUS).login, logins.begin(SONNET).login) == ("second", "first")
    assert logins.monitor.summarize()[0].failure is None


def test_refused_model_of_the_only_login_is_refused_again() -> None:
    logins = Logins()
    assert not logins.begin().convert_error(refused_model()).is_retryable
    assert logins.begin().login == "default"


def test_start_failure_of_an_agent_leaves_the_login_as_it_is() -> None:
    logins = Logins("first", "second")
    attempt = logins.monitor.begin(make_job(), counts_start_failures=False)
    assert not attempt.convert_error(WorkerError(ErrorKind.START_FAILED, "x")).is_retryable
    attempt.end()
    assert logins.monitor.summarize()[0].failure is None
    assert logins.begin().login == "first"


def test_spares_use_the_next_login_if_no_process_starts_with_the_first() -> None:
    logins = Logins("first", "second")
    logins.monitor.on_start_failed("first")
    assert logins.monitor.choose_spare_login(SONNET) == "second"
    assert logins.begin().login == "second"
    assert logins.monitor.summarize()[0].failure is ErrorKind.START_FAILED
    without_fallback = Logins("first", "second", fallback=False)
    without_fallback.monitor.on_start_failed("first")
    assert without_fallback.monitor.choose_spare_login(SONNET) == "first"


def test_list_of_missing_models_forgets_its_oldest_entry() -> None:
    logins = Logins("first", "second")
    for n in range(101):
        logins.begin(f"claude-{n}").convert_error(WorkerError(ErrorKind.MODEL_NOT_FOUND, "x"))
    used = [logins.begin(f"claude-{n}").login for n in (0, 1, 100)]
    assert used == ["first", "second", "second"]


def test_limits_of_many_models_do_not_open_the_login() -> None:
    logins = Logins()
    logins.reach(rejected())
    for n in range(150):
        logins.monitor.create_limit_callback("default")(
            LimitReport(True, (rejected("seven_day_overage_included"),)), f"claude-{n}"
        )
    summary = logins.monitor.summarize()[0]
    assert (summary.is_limited, len(summary.limited_models)) == (True, 99)


def test_model_is_unknown_after_each_login_that_serves_it_has_answered() -> None:
    logins = Logins("first", "second")
    errors = [logins.fail(ErrorKind.MODEL_NOT_FOUND) for _ in range(2)]
    assert [error.is_model_unknown for error in errors] == [False, True]
    assert Logins().fail(ErrorKind.MODEL_NOT_FOUND).is_model_unknown


def test_model_may_exist_if_a_login_has_not_answered() -> None:
    bound = Logins("first", "second").begin(login="first").convert_error(WorkerError(ErrorKind.MODEL_NOT_FOUND, "x"))
    assert not bound.is_model_unknown
    assert not Logins("first", "second", fallback=False).fail(ErrorKind.MODEL_NOT_FOUND).is_model_unknown
    logins = Logins("first", "second")
    logins.begin().convert_error(refused_model())
    assert not logins.fail(ErrorKind.MODEL_NOT_FOUND).is_model_unknown


def test_login_that_serves_other_models_does_not_count() -> None:
    states = [LoginState("a", AuthMethod.CLI), LoginState("b", AuthMethod.API_KEY, [OPUS])]
    attempt = LoginMonitor(states, now=Clock()).begin(make_job(model=SONNET))
    assert attempt.convert_error(WorkerError(ErrorKind.MODEL_NOT_FOUND, "x")).is_model_unknown


def test_limit_of_one_model_family_does_not_limit_the_whole_login() -> None:
    logins = Logins()
    logins.reach(rejected("seven_day_opus"), model=OPUS)
    logins.fail(ErrorKind.LOGIN_LIMIT_REACHED, "claude-other")
    summary = logins.monitor.summarize()[0]
    assert (summary.is_limited, summary.limited_until) == (False, None)
    assert summary.limited_models == ("*opus*", "claude-other")
    logins.reach(rejected())
    assert logins.monitor.summarize()[0].is_limited


@pytest.mark.parametrize("kind", [ErrorKind.AUTHENTICATION, ErrorKind.BILLING, ErrorKind.START_FAILED])
def test_log_shows_the_failure_the_move_and_the_return(caplog: pytest.LogCaptureFixture, kind: ErrorKind) -> None:
    caplog.set_level(logging.INFO, "workers.logins")
    logins = Logins("first", "second")
    logins.fail(kind)
    for _ in range(3):
        logins.begin()
    logins.clock.now += PROBE_INTERVAL_SECONDS + 1
    logins.begin().report_accepted()
    for _ in range(3):
        logins.begin()
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", f"the login first failed ({kind.name}): {kind.value}"),
        ("WARNING", f"jobs for '{SONNET}' use the login second instead of first: it failed ({kind.name})"),
        ("INFO", "a job finds out whether the upstream accepts the login first again"),
        ("INFO", "the login first works again"),
        ("INFO", f"jobs for '{SONNET}' use the login first again"),
    ]


def test_log_shows_the_move_because_of_a_limit(caplog: pytest.LogCaptureFixture) -> None:
    logins = Logins("first", "second")
    logins.reach(rejected(), login="first")
    logins.begin()
    logins.begin(login="second")
    assert "use the login second instead of first: This gateway's login has reached its 5-hour limit." in caplog.text
    assert len(caplog.records) == 2
    logins.clock.now += 2 * HOUR
    caplog.set_level(logging.INFO, "workers.logins")
    logins.begin()
    assert caplog.records[-1].getMessage() == f"jobs for '{SONNET}' use the login first again"


def test_key_sees_the_logins_that_it_may_use() -> None:
    def names(monitor: LoginMonitor, bound_login: str = "") -> list[str]:
        return [summary.name for summary in monitor.summarize_for(bound_login)]

    assert names(Logins("first", "second").monitor) == ["first", "second"]
    assert names(Logins("first", "second", fallback=False).monitor) == ["first"]
    assert names(Logins("first", "second", fallback=False).monitor, "second") == ["second"]
    assert names(Logins("first", "second").monitor, "removed") == []
    states = [LoginState("a", AuthMethod.CLI, [OPUS]), LoginState("b", AuthMethod.CLI), LoginState("c", AuthMethod.CLI)]
    assert names(LoginMonitor(states)) == ["a", "b"]
