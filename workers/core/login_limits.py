"""Limits of a login, as the upstream reports them. No I/O.

The upstream limits a subscription in several windows of time, for example five hours and a week. When the used share of
a window reaches the limit, the upstream rejects every request until the window ends. Times are in seconds since 1970.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

# The kind of a window that this version of the gateway does not know.
OTHER_WINDOW = "other"
# How an error message names each kind of window.
WINDOW_NAMES: Mapping[str, str] = {
    "five_hour": "5-hour limit",
    "seven_day": "weekly limit",
    "seven_day_opus": "weekly limit for Opus models",
    "seven_day_sonnet": "weekly limit for Sonnet models",
    "seven_day_overage_included": "weekly limit for this model",
    "overage": "spending limit",
    OTHER_WINDOW: "usage limit",
}
# The windows that limit only the models whose names contain this text.
_MODEL_FAMILIES: Mapping[str, str] = {"seven_day_opus": "opus", "seven_day_sonnet": "sonnet"}
# The windows that limit only one model, as far as the gateway knows. Whether they limit other models too shows only in
# the next request for another model.
_SINGLE_MODEL_WINDOWS = frozenset({"seven_day_overage_included", OTHER_WINDOW})


class LimitStatus(StrEnum):
    """Whether a window still accepts requests."""

    ALLOWED = "allowed"
    WARNING = "allowed_warning"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class LimitWindow:
    """The state of one window.

    Attributes:
        kind: The kind of the window, one of `WINDOW_NAMES`.
        status: Whether the window still accepts requests.
        used_share: The used share of the limit, 1 for all of it, or None if it is unknown.
        resets_at: The end of the window, or None if it is unknown.
    """

    kind: str
    status: LimitStatus
    used_share: float | None = None
    resets_at: float | None = None


@dataclass(frozen=True, slots=True)
class LimitReport:
    """The limits of a login at one moment.

    Attributes:
        is_rejected: Whether the upstream rejects requests because a limit is reached. A single window can be rejected
            although the upstream accepts requests, for example if the account pays for further use.
        windows: The windows that the report names.
    """

    is_rejected: bool
    windows: tuple[LimitWindow, ...]

    @property
    def reached_windows(self) -> tuple[LimitWindow, ...]:
        """The windows because of which the upstream rejects requests."""
        rejected = tuple(window for window in self.windows if window.status is LimitStatus.REJECTED)
        return rejected if self.is_rejected else ()


# A function that is called with each report of a process, and with the model of the job that the process runs.
LimitCallback = Callable[[LimitReport, str], None]


def ignore_limits(report: LimitReport, model: str) -> None:
    """Do nothing. It is the default for processes without a monitor of the logins."""


def get_limited_models(kind: str, limited_model: str) -> str:
    """Return the models that a reached limit concerns, as a name or a pattern with `*`, or "" for all models.

    Args:
        kind: The kind of the window whose limit is reached.
        limited_model: The model for which the upstream rejected a request.
    """
    if family := _MODEL_FAMILIES.get(kind):
        return f"*{family}*"
    return limited_model if kind in _SINGLE_MODEL_WINDOWS else ""


def limits_model(kind: str, limited_model: str, model: str) -> bool:
    """Return whether a reached limit concerns a model.

    Args:
        kind: The kind of the window whose limit is reached.
        limited_model: The model for which the upstream rejected a request.
        model: The model of the next job.
    """
    if family := _MODEL_FAMILIES.get(kind):
        return family in model.lower()
    return kind not in _SINGLE_MODEL_WINDOWS or model == limited_model
