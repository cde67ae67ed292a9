"""Functions that build the response headers with which the API reports the limits of a subscription. Does no I/O.

The header names are those that CLI 2.1.332 reads. The API sends them for subscriptions (`CLAUDE_CODE_OAUTH_TOKEN` or
`claude auth login`), with successful responses and with the status 429.
"""

from collections.abc import Mapping
from dataclasses import dataclass

_PREFIX = "anthropic-ratelimit-unified"
# The part of the header names that stands for each window. The API names other windows, such as `seven_day_opus`, only
# as the window that decides whether it accepts requests.
_HEADER_NAMES = {
    "five_hour": "5h",
    "seven_day": "7d",
    "seven_day_overage_included": "7d_oi",
    "overage": "overage",
}
_STATUSES = ("rejected", "allowed_warning", "allowed")


@dataclass(frozen=True, slots=True)
class ScriptedWindow:
    """The state of one window of a subscription, as a script describes it.

    Attributes:
        kind: The name of the window, such as `five_hour`.
        status: `allowed`, `allowed_warning` or `rejected`.
        used_share: The used share of the limit, as text.
        reset: The number of seconds from now until the window ends, or another text, which the API sends unchanged.
    """

    kind: str
    status: str
    used_share: str
    reset: str


def parse_windows(argument: str) -> tuple[ScriptedWindow, ...]:
    """Parse the argument of the directive `limits`, such as `five_hour=rejected,1,3600 seven_day=allowed,0.4,86400`.

    Raises:
        ValueError: The argument has another form.
    """
    windows = []
    for word in argument.split():
        kind, _, values = word.partition("=")
        status, used_share, reset = values.split(",")
        windows.append(ScriptedWindow(kind, status, used_share, reset))
    return tuple(windows)


def build_limit_headers(windows: tuple[ScriptedWindow, ...], now: float) -> Mapping[str, str]:
    """Return the headers for these windows.

    The first of the windows with the worst status decides whether the API accepts requests.

    Args:
        windows: The windows of the subscription.
        now: The present time in seconds since 1970.
    """
    if not windows:
        return {}
    deciding = min(windows, key=lambda window: _STATUSES.index(window.status))
    headers = {
        f"{_PREFIX}-status": deciding.status,
        f"{_PREFIX}-reset": _format_reset(deciding.reset, now),
        f"{_PREFIX}-representative-claim": deciding.kind,
    }
    for window in windows:
        if name := _HEADER_NAMES.get(window.kind):
            headers[f"{_PREFIX}-{name}-status"] = window.status
            headers[f"{_PREFIX}-{name}-utilization"] = window.used_share
            headers[f"{_PREFIX}-{name}-reset"] = _format_reset(window.reset, now)
    if deciding.status == "rejected" and deciding.reset.isdecimal():
        headers["retry-after"] = deciding.reset
    return headers


def _format_reset(reset: str, now: float) -> str:
    try:
        return str(int(now + float(reset)))
    except (ValueError, OverflowError):
        return reset
