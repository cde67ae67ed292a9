"""State of one login: its limits, and the failures that the upstream reported. No I/O and no clock."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from fnmatch import fnmatchcase

from workers.core.errors import ErrorKind
from workers.core.login_limits import (
    OTHER_WINDOW,
    LimitReport,
    LimitStatus,
    LimitWindow,
    get_limited_models,
    limits_model,
)
from workers.core.settings import AuthMethod
from workers.logins.choice import LoginView, ReachedLimit

# The time from the moment at which a login becomes unusable to the first probe. After each failed probe, the time to
# the next one doubles.
PROBE_INTERVAL_SECONDS = 60.0
MAX_PROBE_INTERVAL_SECONDS = 900.0
# The time for which the gateway remembers that a login lacks a model.
MISSING_MODEL_SECONDS = 3_600.0
_MAX_MISSING_MODELS = 100
_MAX_REACHED_LIMITS = 100


class ProbeResult(Enum):
    """The result of a probe."""

    ACCEPTED = auto()
    REJECTED = auto()
    UNCLEAR = auto()
    # The client ended the probe, or its request has an error of its own, so the next job may be the probe.
    UNFINISHED = auto()


@dataclass(frozen=True, slots=True)
class _MissingModel:
    """A model that the login lacks.

    Attributes:
        until: The time until which the gateway remembers it.
        is_unknown: Whether the upstream does not know the model. Otherwise only this login may not use the model.
    """

    until: float
    is_unknown: bool


@dataclass(frozen=True, slots=True)
class LoginSummary:
    """The state of a login, for operators.

    Attributes:
        name: The name of the login.
        method: The authentication method of the login.
        failure: The kind of the error with which the login failed last, or None if the last job succeeded.
        is_limited: Whether a limit is reached that concerns all models.
        limited_until: The time at which the last of these limits resets. None if no such limit is reached, or if the
            time is unknown.
        limited_models: The models for which a limit is reached that does not concern all models, as names or patterns
            with `*`.
        windows: The limits that the upstream has reported and that have not been reset since.
        held_back_count: The number of jobs that were not sent to the upstream because a limit was reached.
    """

    name: str
    method: AuthMethod
    failure: ErrorKind | None = None
    is_limited: bool = False
    limited_until: float | None = None
    limited_models: tuple[str, ...] = ()
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
        # The reached limits, by their kind and the models that they concern.
        self._reached: dict[tuple[str, str], ReachedLimit] = {}
        self._failure: ErrorKind | None = None
        self._failed_at = 0.0
        self._missing_models: dict[str, _MissingModel] = {}
        self._is_probing = False
        self._next_probe_at = 0.0
        self._probe_interval_seconds = PROBE_INTERVAL_SECONDS

    @property
    def failure(self) -> ErrorKind | None:
        """The kind of the error with which the login has failed, or None if it has not failed since the last reply."""
        return self._failure

    @property
    def serves_all_models(self) -> bool:
        """Whether the operator has set this login for each model."""
        return not self._models

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
        lacks_model = self._find_missing(model, now) is not None
        is_probed = any(reached.is_probed for reached in self._list_reached(now, model))
        return LoginView(
            self.name,
            serves_model=self.serves_model(gateway_model),
            limit=limit,
            is_failed=self._failure is not None,
            lacks_model=lacks_model,
            is_near_limit=any(
                window.status is LimitStatus.WARNING
                and limits_model(window.kind, model, model)
                and not _has_ended(window.resets_at, now)
                for window in self._windows.values()
            ),
            is_probe_due=not (is_usable or lacks_model or is_probed or self._is_probing) and now >= self._next_probe_at,
        )

    def find_limit(self, model: str, now: float) -> ReachedLimit | None:
        """Return the reached limit that concerns a model and resets last, or None if no reached limit concerns it."""
        limits = self._list_reached(now, model)
        # A limit whose reset is unknown ends with a probe, so the known resets matter more.
        return max(limits, key=lambda limit: limit.resets_at or 0.0, default=None)

    def summarize(self, now: float) -> LoginSummary:
        """Return the state of the login, for operators."""
        reached = self._list_reached(now)
        windows = {kind: window for kind, window in self._windows.items() if not _has_ended(window.resets_at, now)}
        for limit in reached:
            known = windows.get(limit.kind)
            windows[limit.kind] = LimitWindow(
                limit.kind, LimitStatus.REJECTED, known.used_share if known else None, limit.resets_at
            )
        limited_models = {limit: get_limited_models(limit.kind, limit.model) for limit in reached}
        general_limits = [limit for limit, models in limited_models.items() if not models]
        resets = [limit.resets_at for limit in general_limits if limit.resets_at is not None]
        return LoginSummary(
            self.name,
            self._method,
            self._failure,
            bool(general_limits),
            max(resets, default=None),
            tuple(dict.fromkeys(models for models in limited_models.values() if models)),
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

    def add_missing_model(self, model: str, now: float, *, is_unknown: bool) -> None:
        """Record that this login lacks a model. If there are too many such models, forget the oldest record.

        Args:
            model: The model.
            now: The present time.
            is_unknown: Whether the upstream has answered that it does not know the model.
        """
        self._missing_models.pop(model, None)
        self._missing_models[model] = _MissingModel(now + MISSING_MODEL_SECONDS, is_unknown)
        if len(self._missing_models) > _MAX_MISSING_MODELS:
            del self._missing_models[next(iter(self._missing_models))]

    def serves_model(self, gateway_model: str) -> bool:
        """Return whether the operator has set this login for a model, by the name that the gateway uses."""
        return not self._models or any(fnmatchcase(gateway_model, pattern) for pattern in self._models)

    def knows_model(self, model: str, now: float) -> bool:
        """Return whether the upstream has not answered lately that it does not know a model."""
        missing = self._find_missing(model, now)
        return missing is None or not missing.is_unknown

    def mark_accepted(self, model: str, started_at: float) -> None:
        """Record that the upstream has accepted a job.

        The limits and failures that were reported after the start of the job stay, because the job says nothing about
        them.

        Args:
            model: The model of the job.
            started_at: The time at which the job was sent to a process.
        """
        for key, limit in list(self._reached.items()):
            if limit.reached_at < started_at and limits_model(limit.kind, limit.model, model):
                del self._reached[key]
                self._windows.pop(limit.kind, None)
        self.mark_working(started_at)
        self._missing_models.pop(model, None)

    def mark_working(self, started_at: float) -> None:
        """Record that the upstream has replied to a job that was sent at this time, so it accepts the login.

        The reply says nothing about the limits.
        """
        if self._failed_at < started_at:
            self._failure = None

    def begin_probe(self, now: float) -> None:
        """Record the start of a probe. No other probe starts before `end_probe`."""
        self._is_probing = True
        self._next_probe_at = now + self._probe_interval_seconds

    def end_probe(self, model: str, now: float, result: ProbeResult) -> None:
        """Record the end of a probe.

        Args:
            model: The model of the probe.
            now: The present time.
            result: The result. A rejected probe is the last one until the known reset of its limits.
        """
        self._is_probing = False
        if result is ProbeResult.UNFINISHED:
            self._next_probe_at = now
            return
        if result is ProbeResult.REJECTED:
            self._probe_interval_seconds = min(2 * self._probe_interval_seconds, MAX_PROBE_INTERVAL_SECONDS)
            for limit in self._list_reached(now, model):
                if limit.resets_at is not None and self._failure is None:
                    self._reached[_build_key(limit)] = replace(limit, is_probed=True)
        self._next_probe_at = now + self._probe_interval_seconds

    def _add_reached(self, limit: ReachedLimit, now: float) -> None:
        key = _build_key(limit)
        known = self._reached.pop(key, None)
        if known is None or _has_ended(known.resets_at, now):
            self._schedule_first_probe(now)
        elif limit.resets_at is not None:
            limit = replace(limit, is_probed=known.is_probed)
        self._reached[key] = limit
        if len(self._reached) > _MAX_REACHED_LIMITS:
            del self._reached[next(key for key in self._reached if key[1])]  # never a limit of all models

    def _schedule_first_probe(self, now: float) -> None:
        if not self._is_probing:
            self._probe_interval_seconds = PROBE_INTERVAL_SECONDS
            self._next_probe_at = now + PROBE_INTERVAL_SECONDS

    def _list_reached(self, now: float, model: str | None = None) -> list[ReachedLimit]:
        """List the reached limits that have not reset, either all or those that concern a model."""
        return [
            limit
            for limit in self._reached.values()
            if not _has_ended(limit.resets_at, now) and (model is None or limits_model(limit.kind, limit.model, model))
        ]

    def _find_missing(self, model: str, now: float) -> _MissingModel | None:
        missing = self._missing_models.get(model)
        return missing if missing is not None and missing.until > now else None


def _build_key(limit: ReachedLimit) -> tuple[str, str]:
    return limit.kind, get_limited_models(limit.kind, limit.model)


def _has_ended(resets_at: float | None, now: float) -> bool:
    return resets_at is not None and resets_at <= now
