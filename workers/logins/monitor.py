"""Monitor of the logins. It chooses a login for each job, and records how the upstream reacts to the login."""

import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial

from workers.core.errors import ErrorKind, WorkerError
from workers.core.job import ChatJob
from workers.core.login_limits import WINDOW_NAMES, LimitReport
from workers.logins.choice import LoginView, ReachedLimit, choose_login, choose_spare_login, list_candidates
from workers.logins.login_state import PROBE_INTERVAL_SECONDS, LoginState, LoginSummary, ProbeResult
from workers.logins.moves import MoveLog

_log = logging.getLogger(__name__)

# The kinds of errors that show that a login, and not only a request, has failed.
_FAILURE_KINDS = frozenset({ErrorKind.AUTHENTICATION, ErrorKind.BILLING, ErrorKind.START_FAILED})
# The kinds of errors with which the upstream answers only if it has accepted the login.
_REQUEST_KINDS = frozenset({ErrorKind.INVALID_REQUEST, ErrorKind.CONTEXT_LENGTH_EXCEEDED, ErrorKind.REQUEST_TOO_LARGE})
# The kinds of errors of jobs that the gateway has not sent upstream.
_UNSENT_KINDS = frozenset(
    {
        ErrorKind.QUEUE_FULL,
        ErrorKind.QUEUE_TIMEOUT,
        ErrorKind.CONCURRENCY_LIMIT,
        ErrorKind.SHUTTING_DOWN,
        ErrorKind.TOOLS_UNAVAILABLE,
        ErrorKind.START_FAILED,
    }
)
_MIN_RETRY_SECONDS = 1.0


class LoginMonitor:
    """Knows the state of each login. Call `begin` before each attempt to run a job.

    Args:
        states: The logins, in the order of preference. At least one.
        allows_fallback: Whether a job may use another login than the first one that serves its model.
        now: A function that returns the present time in seconds since 1970.
    """

    def __init__(
        self,
        states: Sequence[LoginState],
        *,
        allows_fallback: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._states = {state.name: state for state in states}
        self._allows_fallback = allows_fallback
        self._now = now
        self._moves = MoveLog()

    @property
    def has_several(self) -> bool:
        """Whether there are several logins."""
        return len(self._states) > 1

    def summarize(self) -> list[LoginSummary]:
        """Return the state of each login, in the order of preference."""
        now = self._now()
        return [state.summarize(now) for state in self._states.values()]

    def summarize_for(self, bound_login: str) -> list[LoginSummary]:
        """Return the state of each login that a key may use, in the order of preference.

        Args:
            bound_login: The only login that the key may use, or "" if it is bound to no login.
        """
        summaries = []
        for state, summary in zip(self._states.values(), self.summarize(), strict=True):
            if bound_login in ("", state.name):
                summaries.append(summary)
            if not bound_login and not self._allows_fallback and state.serves_all_models:
                break  # without the fallback, no job uses a later login
        return summaries

    def on_start_failed(self, name: str) -> None:
        """Record that no process starts with a login. Jobs and spares then use the next one, if that is allowed."""
        if len(self._states) > 1:
            self.report_failure(self._states[name], ErrorKind.START_FAILED)

    @asynccontextmanager
    async def attempt(self, job: ChatJob, *, counts_start_failures: bool = True) -> AsyncIterator["LoginAttempt"]:
        """Choose a login for an attempt to run a job, which is the `with` block.

        Args:
            job: The job.
            counts_start_failures: Whether the login has failed if no process starts for the job.

        Raises:
            WorkerError: The errors of `begin`, and the error of the job, which says whether another login may run it.
        """
        attempt = self.begin(job, counts_start_failures=counts_start_failures)
        try:
            yield attempt
        except WorkerError as error:
            converted = attempt.convert_error(error)
            if converted is error:
                raise
            raise converted from error
        finally:
            attempt.end()

    def begin(self, job: ChatJob, *, counts_start_failures: bool = True) -> "LoginAttempt":
        """Choose a login for an attempt to run a job. Call `LoginAttempt.end` at the end of the attempt.

        Raises:
            WorkerError: LOGIN_LIMIT_REACHED if no login that the job may use accepts requests now. MODEL_NOT_FOUND if
                no login serves the model of the job. AUTHENTICATION if the login of the job does not exist.
        """
        now = self._now()
        candidates = self._list_candidates(job, now)
        choice = choose_login(candidates)
        if choice is None:
            self._states[candidates[0].name].held_back_count += 1
            raise self._build_limit_error(candidates, now)
        state = self._states[choice.name]
        if choice.is_probe:
            _log.info("a job finds out whether the upstream accepts the login %s again", choice.name)
            state.begin_probe(now)
        elif not job.login and (choice.name != candidates[0].name or candidates[0].is_usable):
            self._moves.record(job.model, candidates[0].name, choice.name, self._describe_problem(candidates[0]))
        return LoginAttempt(
            self, state, job, now, is_probe=choice.is_probe, counts_start_failures=counts_start_failures
        )

    def choose_spare_login(self, model: str) -> str:
        """Return the login with which processes should start that belong to no job yet.

        Args:
            model: The model that the next job probably uses.
        """
        now = self._now()
        views = [state.view(model, now) for state in self._states.values()]
        candidates = list_candidates(views, bound_login="", allows_fallback=self._allows_fallback) or views[:1]
        return choose_spare_login(candidates)

    def create_limit_callback(self, name: str) -> Callable[[LimitReport, str], None]:
        """Return the function that processes of this login call when they report limits."""
        return partial(self._add_report, self._states[name])

    def has_alternative(self, job: ChatJob, name: str, now: float) -> bool:
        """Return whether another attempt to run the job would use another login that may accept it."""
        candidates = self._list_candidates(job, now)
        choice = choose_login(candidates)
        if choice is None or choice.name == name:
            return False
        return choice.is_probe or any(view.name == choice.name and view.is_usable for view in candidates)

    def knows_model(self, job: ChatJob, now: float) -> bool:
        """Return whether the model of a job may exist, although the upstream has answered that it does not know it.

        The model does not exist only if the upstream has said so for each login that serves it. A job that is bound to
        one login shows nothing about the others.
        """
        states = [state for state in self._states.values() if state.serves_model(job.model)]
        return bool(job.login) or any(state.knows_model(state.translate_model(job.model), now) for state in states)

    def report_failure(self, state: LoginState, kind: ErrorKind) -> None:
        """Record that a login has failed with an error of this kind."""
        if state.failure is not kind:
            _log.warning("the login %s failed (%s): %s", state.name, kind.name, kind.value)
        state.add_failure(kind, self._now())

    def report_working(self, state: LoginState, started_at: float) -> None:
        """Record that the upstream has answered a job that was sent at this time with a login."""
        had_failed = state.failure is not None
        state.mark_working(started_at)
        if had_failed and state.failure is None:
            _log.info("the login %s works again", state.name)

    def build_limit_error(self, job: ChatJob) -> WorkerError:
        """Return the error for a job that may use no login before a limit resets."""
        now = self._now()
        return self._build_limit_error(self._list_candidates(job, now), now)

    def read_clock(self) -> float:
        """Return the present time in seconds since 1970."""
        return self._now()

    def _add_report(self, state: LoginState, report: LimitReport, model: str) -> None:
        now = self._now()
        was_limited = state.find_limit(model, now) is not None
        state.add_report(report, model, now)
        if (limit := state.find_limit(model, now)) and not was_limited:
            _log.warning("login %s: %s", state.name, _describe_limit(limit))

    def _describe_problem(self, view: LoginView) -> str:
        """Return why a login is not usable, for the log."""
        if view.limit is not None:
            return _describe_limit(view.limit)
        if failure := self._states[view.name].failure:
            return f"it failed ({failure.name})"
        return "it lacks the model"

    def _list_candidates(self, job: ChatJob, now: float) -> list[LoginView]:
        if job.login and job.login not in self._states:
            raise WorkerError(
                ErrorKind.AUTHENTICATION, "The login of this API key does not exist; the operator must set another one."
            )
        candidates = list_candidates(
            [state.view(job.model, now) for state in self._states.values()],
            bound_login=job.login,
            allows_fallback=self._allows_fallback,
        )
        if not candidates:
            raise WorkerError(ErrorKind.MODEL_NOT_FOUND, "No login of this gateway is set for this model.")
        return candidates

    def _build_limit_error(self, candidates: Sequence[LoginView], now: float) -> WorkerError:
        """Return the error that names the limit after whose reset the job may run first."""
        opening_times = [
            (view.limit.resets_at or self._states[view.name].next_probe_at, view.limit)
            for view in candidates
            if view.limit is not None
        ]
        opens_at, limit = min(opening_times, key=lambda pair: pair[0], default=(now, None))
        return WorkerError(
            ErrorKind.LOGIN_LIMIT_REACHED,
            _describe_limit(limit),
            retry_after=max(opens_at - now, _MIN_RETRY_SECONDS),
        )


class LoginAttempt:
    """An attempt to run a job with one login.

    Attributes:
        job: The job.
        model: The model of the job, by its name at the provider of the login.
    """

    def __init__(
        self,
        monitor: LoginMonitor,
        state: LoginState,
        job: ChatJob,
        started_at: float,
        *,
        is_probe: bool,
        counts_start_failures: bool,
    ) -> None:
        self.job = job
        self.model = state.translate_model(job.model)
        self._monitor = monitor
        self._state = state
        self._started_at = started_at
        self._is_probe = is_probe
        self._counts_start_failures = counts_start_failures

    @property
    def login(self) -> str:
        """The name of the login."""
        return self._state.name

    def ensure_allowed(self) -> None:
        """Check directly before the job is sent to a process that no limit was reached in the meantime.

        Raises:
            WorkerError: LOGIN_LIMIT_REACHED if a limit was reached after the start of the attempt.
        """
        limit = self._state.find_limit(self.model, self._monitor.read_clock())
        if limit is not None and limit.reached_at >= self._started_at and not self._is_probe:
            raise self._monitor.build_limit_error(self.job)

    def report_accepted(self) -> None:
        """Record that the upstream has accepted the job."""
        self._monitor.report_working(self._state, self._started_at)
        self._state.mark_accepted(self.model, self._started_at)
        self._end_probe(ProbeResult.ACCEPTED)

    def convert_error(self, error: WorkerError) -> WorkerError:
        """Record the error with which the attempt ended, and return the error for the client.

        The returned error says whether another login may run the job.
        """
        now = self._monitor.read_clock()
        converted, probe_result = error, ProbeResult.REJECTED
        if error.kind is ErrorKind.LOGIN_LIMIT_REACHED:
            self._monitor.report_working(self._state, self._started_at)
            if self._state.find_limit(self.model, now) is None:
                # No frame has named the window, so the message of the CLI's error stays.
                self._state.add_unknown_limit(self.model, now)
                error.retry_after = error.retry_after or PROBE_INTERVAL_SECONDS
            else:
                converted = self._monitor.build_limit_error(self.job)
        elif error.kind is ErrorKind.MODEL_NOT_FOUND or error.concerns_only_model:
            is_unknown = error.kind is ErrorKind.MODEL_NOT_FOUND
            if is_unknown:
                self._monitor.report_working(self._state, self._started_at)
            self._state.add_missing_model(self.model, now, is_unknown=is_unknown)
            error.is_model_unknown = is_unknown and not self._monitor.knows_model(self.job, now)
            probe_result = ProbeResult.UNFINISHED
        elif self._is_failure(error.kind):
            self._monitor.report_failure(self._state, error.kind)
        else:
            self._end_probe(self._judge_probe(error.kind))
            return error
        self._end_probe(probe_result)
        converted.other_login_may_succeed = self._monitor.has_alternative(self.job, self.login, now)
        return converted

    def end(self) -> None:
        """End the attempt. If a probe has not ended yet, its client has ended it, and the next job is the probe."""
        self._end_probe(ProbeResult.UNFINISHED)

    def _is_failure(self, kind: ErrorKind) -> bool:
        return kind in _FAILURE_KINDS and (kind is not ErrorKind.START_FAILED or self._counts_start_failures)

    def _judge_probe(self, kind: ErrorKind) -> ProbeResult:
        """Return what a probe with an error that does not concern the login has shown."""
        if kind in _REQUEST_KINDS:
            self._monitor.report_working(self._state, self._started_at)
            return ProbeResult.UNFINISHED
        return ProbeResult.UNFINISHED if kind in _UNSENT_KINDS else ProbeResult.UNCLEAR

    def _end_probe(self, result: ProbeResult) -> None:
        if self._is_probe:
            self._is_probe = False
            self._state.end_probe(self.model, self._monitor.read_clock(), result)


def _describe_limit(limit: ReachedLimit | None) -> str:
    name = WINDOW_NAMES[limit.kind] if limit else "usage limit"
    sentence = f"This gateway's login has reached its {name}"
    if limit is None or limit.resets_at is None:
        return f"{sentence}, and the time of its reset is unknown."
    reset = datetime.fromtimestamp(limit.resets_at, UTC)
    return f"{sentence}. The limit resets at {reset:%Y-%m-%d %H:%M:%S} UTC."
