"""State of one login: its limits, and the failures that the upstream reported. No I/O and no clock."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from workers.core.errors import ErrorKind
from workers.core.login_limits import OTHER_WINDOW, LimitReport, LimitStatus, LimitWindow, limits_model
from workers.core.settings import AuthMethod
from workers.logins.choice import LoginView, ReachedLimit

# The time from the moment at which a login becomes unusable to the first probe. After each failed probe, the time to
# the next one doubles.
PROBE_INTERVAL_SECONDS = 60.0
MAX_PROBE_INTERVAL_SECONDS = 900.0
# The time for which the gateway remembers that a login lacks a model.
MISSING_MODEL_SECONDS = 3_600.0
_MAX_MISSING_MODELS = 100


@dataclass(frozen=True, slots=True)
class LoginSummary:
    """The state of a login, for operators.

    Attributes:
        name: The name of the login.
        method: The authentication method of the login.
        failure: The kind of the error with which the login failed last, or None if the last job succeeded.
        limited_until: The time at which the last of the reached limits resets. None if no limit is reached, or if the
            time is unknown.
        is_limited: Whether a limit is reached.
        windows: The limits that the upstream has reported and that have not been reset since.
        held_back_count: The number of jobs that were not sent to the upstream because a limit was reached.
    """

    name: str
    method: AuthMethod
    failure: ErrorKind | None = None
    is_limited: bool = False
    limited_until: float | None = None
    windows: tuple[LimitWindow, ...] = ()
    held_back_count: int = 0

    @property
    def is_rejected(self) -> bool:
        """Whether the upstream has rejected the login, so that the operator must renew it."""
        return self.failure is ErrorKind.AUTHENTICATION


class LoginState:
    """The limits and failures of one login. All times are in seconds since 1970.

    Args:
        name: The name of the login.
        method: The authentication method of the login.
        models: The models that the login serves, as names or patterns with `*`; empty if it serves each model.
        model_names: The names of models at the provider of the login, by the name that the gateway uses. The other
            parameters of this class named `model` are names at the provider.

    Attributes:
        held_back_count: The number of jobs that were not sent to the upstream because a limit was reached.
    """

    def __init__(
        self,
        name: str,
        method: AuthMethod,
        models: Collection[str] = (),
        model_names: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.held_back_count = 0
        self._method = method
        self._models = models
        self._model_names = model_names or {}
        self._windows: dict[str, LimitWindow] = {}
        self._reached: dict[str, ReachedLimit] = {}
        self._failure: ErrorKind | None = None
        self._failed_at = 0.0
        self._missing_models: dict[str, float] = {}
        self._is_probing = False
        self._next_probe_at = 0.0
        self._probe_interval_seconds = PROBE_INTERVAL_SECONDS

    @property
    def next_probe_at(self) -> float:
        """The earliest time of the next probe."""
        return self._next_probe_at

    def translate_model(self, gateway_model: str) -> str:
        """Return the name at the provider of the login for a name that the gateway uses."""
        return self._model_names.get(gateway_model, gateway_model)

    def view(self, gateway_model: str, now: float) -> LoginView:
        """Return the state of the login, as far as it concerns a job.

        Args:
            gateway_model: The model of the job, by the name that the gateway uses.
            now: The present time.
        """
        model = self.translate_model(gateway_model)
        limit = self.find_limit(model, now)
        is_usable = limit is None and self._failure is None
        return LoginView(
            self.name,
            serves_model=not self._models or any(fnmatchcase(gateway_model, pattern) for pattern in self._models),
            limit=limit,
            is_failed=self._failure is not None,
            lacks_model=self._missing_models.get(model, 0.0) > now,
            is_near_limit=any(
                window.status is LimitStatus.WARNING
                and limits_model(window.kind, model, model)
                and not _has_ended(window.resets_at, now)
                for window in self._windows.values()
            ),
            is_probe_due=not is_usable and not self._is_probing and now >= self._next_probe_at,
        )

    def find_limit(self, model: str, now: float) -> ReachedLimit | None:
        """Return the reached limit that concerns a model and resets last, or None if no reached limit concerns it."""
        limits = [limit for limit in self._list_reached(now) if limits_model(limit.kind, limit.model, model)]
        # A limit whose reset is unknown ends with a probe, so the known resets matter more.
        return max(limits, key=lambda limit: limit.resets_at or 0.0, default=None)

    def summarize(self, now: float) -> LoginSummary:
        """Return the state of the login, for operators."""
        reached = {limit.kind: limit for limit in self._list_reached(now)}
        resets = [limit.resets_at for limit in reached.values() if limit.resets_at is not None]
        windows = {kind: window for kind, window in self._windows.items() if not _has_ended(window.resets_at, now)}
        for kind, limit in reached.items():
            known = windows.get(kind)
            windows[kind] = LimitWindow(
                kind, LimitStatus.REJECTED, known.used_share if known else None, limit.resets_at
            )
        return LoginSummary(
            self.name,
            self._method,
            self._failure,
            bool(reached),
            max(resets, default=None),
            tuple(windows.values()),
            self.held_back_count,
        )

    def add_report(self, report: LimitReport, model: str, now: float) -> None:
        """Record the limits that a process has reported while it ran a job for this model."""
        self._windows |= {window.kind: window for window in report.windows}
        for window in report.reached_windows:
            self._add_reached(ReachedLimit(window.kind, model, now, window.resets_at), now)

    def add_unknown_limit(self, model: str, now: float) -> None:
        """Record that the upstream has rejected a job for this model because of a limit that it has not named."""
        self._add_reached(ReachedLimit(OTHER_WINDOW, model, now, None), now)

    def add_failure(self, kind: ErrorKind, now: float) -> None:
        """Record that the login has failed with an error of this kind."""
        if self._failure is None:
            self._schedule_first_probe(now)
        self._failure, self._failed_at = kind, now

    def add_missing_model(self, model: str, now: float) -> None:
        """Record that the upstream has answered that this login has no such model."""
        missing = {name: until for name, until in self._missing_models.items() if until > now}
        if len(missing) < _MAX_MISSING_MODELS:
            missing[model] = now + MISSING_MODEL_SECONDS
        self._missing_models = missing

    def mark_accepted(self, model: str, started_at: float) -> None:
        """Record that the upstream has accepted a job.

        The limits and failures that were reported after the start of the job stay, because the job says nothing about
        them.

        Args:
            model: The model of the job.
            started_at: The time at which the job was sent to a process.
        """
        for kind, limit in list(self._reached.items()):
            if limit.reached_at < started_at and limits_model(kind, limit.model, model):
                del self._reached[kind]
                self._windows.pop(kind, None)
        if self._failed_at < started_at:
            self._failure = None
        self._missing_models.pop(model, None)

    def begin_probe(self, now: float) -> None:
        """Record the start of a probe. No other probe starts before `end_probe`."""
        self._is_probing = True
        self._next_probe_at = now + self._probe_interval_seconds

    def end_probe(self, now: float, *, has_failed: bool) -> None:
        """Record the end of a probe.

        Args:
            now: The present time.
            has_failed: Whether the upstream has rejected the probe because of the login.
        """
        self._is_probing = False
        if has_failed:
            self._probe_interval_seconds = min(2 * self._probe_interval_seconds, MAX_PROBE_INTERVAL_SECONDS)
        self._next_probe_at = now + self._probe_interval_seconds

    def _add_reached(self, limit: ReachedLimit, now: float) -> None:
        if not self._list_reached(now):
            self._schedule_first_probe(now)
        self._reached[limit.kind] = limit

    def _schedule_first_probe(self, now: float) -> None:
        if not self._is_probing:
            self._probe_interval_seconds = PROBE_INTERVAL_SECONDS
            self._next_probe_at = now + PROBE_INTERVAL_SECONDS

    def _list_reached(self, now: float) -> list[ReachedLimit]:
        return [limit for limit in self._reached.values() if not _has_ended(limit.resets_at, now)]


def _has_ended(resets_at: float | None, now: float) -> bool:
    return resets_at is not None and resets_at <= now
