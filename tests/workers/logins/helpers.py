"""A monitor of logins with a clock, for tests."""

import pytest

from tests.workers.helpers import make_job
from workers.core.errors import ErrorKind, WorkerError
from workers.core.login_limits import LimitReport, LimitStatus, LimitWindow
from workers.core.settings import AuthMethod
from workers.logins.login_state import LoginState
from workers.logins.monitor import LoginAttempt, LoginMonitor

START = 1_796_000_000.0  # 2026-11-30 00:53:20 UTC
HOUR, DAY = 3_600.0, 86_400.0
OPUS, SONNET = "claude-opus-4-6", "claude-sonnet-4-6"


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


class Logins:
    """A monitor with a clock, and short ways to report what happens."""

    def __init__(self, *names: str, fallback: bool = True) -> None:
        self.clock = Clock()
        states = [LoginState(name, AuthMethod.CLI) for name in names or ("default",)]
        self.monitor = LoginMonitor(states, allows_fallback=fallback, now=self.clock)

    def begin(self, model: str = SONNET, login: str = "") -> LoginAttempt:
        self.clock.now += 0.001
        return self.monitor.begin(make_job(model=model, login=login))

    def reach(self, *windows: LimitWindow, login: str = "default", model: str = SONNET) -> None:
        self.clock.now += 0.001
        self.monitor.create_limit_callback(login)(LimitReport(True, windows), model)

    def fail(self, kind: ErrorKind = ErrorKind.LOGIN_LIMIT_REACHED, model: str = SONNET) -> WorkerError:
        attempt = self.begin(model)
        self.clock.now += 0.001
        error = attempt.convert_error(WorkerError(kind, "x"))
        attempt.end()
        return error

    def refusal(self, model: str = SONNET, login: str = "") -> WorkerError:
        with pytest.raises(WorkerError) as caught:
            self.begin(model, login)
        return caught.value


def rejected(kind: str = "five_hour", resets_in: float | None = HOUR) -> LimitWindow:
    return LimitWindow(kind, LimitStatus.REJECTED, 1.0, None if resets_in is None else START + resets_in)
