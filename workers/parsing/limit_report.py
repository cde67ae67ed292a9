"""Parser for the limits of a login in the frames of the CLI. No I/O.

CLI 2.1.332 reports the limits in two frames, and only for a subscription (claude_gateway/devtools/cli_contract/
login_limits.py):

- `rate_limit_event`, after a response whose headers show a change
- the assistant frame that replaces a reply, if the upstream refused the request because a limit is reached
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from workers.core.frame import Frame
from workers.core.login_limits import OTHER_WINDOW, WINDOW_NAMES, LimitReport, LimitStatus, LimitWindow

_DAY_SECONDS = 86_400
# The longest time until a window ends. The gateway ignores later times. Spending limits may apply to a month.
_MAX_RESET_SECONDS = 8 * _DAY_SECONDS
_MAX_SPENDING_RESET_SECONDS = 32 * _DAY_SECONDS
# The share may be above 1 if the account pays for further use.
_MAX_USED_SHARE = 100.0


def find_limit_info(frame: Frame) -> object:
    """Return the description of the limits in a frame, or None if the frame contains none."""
    match frame:
        case {"type": "rate_limit_event", "rate_limit_info": info}:
            return info
        case {"type": "assistant", "api_error_params": {"rate_limit_info": info}}:
            return info
    return None


def parse_limit_report(info: object, now: float) -> LimitReport | None:
    """Parse a description of the limits. Return None if it names no window.

    After a status 429 without the headers of a subscription, the CLI reports the status `rejected` without a window.

    Args:
        info: The field `rate_limit_info` of a frame.
        now: The present time in seconds since 1970.
    """
    if not isinstance(info, dict) or (status := _parse_status(info.get("status"))) is None:
        return None
    windows = {window.kind: window for window in _parse_windows(info.get("unifiedWindows"), now)}
    if deciding := _parse_window(info.get("rateLimitType"), info, now):
        known = windows.get(deciding.kind, replace(deciding, status=status))
        windows[deciding.kind] = LimitWindow(
            deciding.kind,
            # The CLI reports a warning of the upstream only in the list of windows, unless it warns its user itself.
            max(status, known.status, key=list(LimitStatus).index),
            known.used_share if known.used_share is not None else deciding.used_share,
            known.resets_at if known.resets_at is not None else deciding.resets_at,
        )
    if not windows:
        return None
    return LimitReport(status is LimitStatus.REJECTED and deciding is not None, tuple(windows.values()))


def _parse_windows(value: object, now: float) -> Iterator[LimitWindow]:
    if isinstance(value, dict):
        for kind, fields in value.items():
            if isinstance(fields, dict) and (window := _parse_window(kind, fields, now)):
                yield window


def _parse_window(kind: object, fields: dict[str, Any], now: float) -> LimitWindow | None:
    if not isinstance(kind, str) or not kind:
        return None
    known_kind = kind if kind in WINDOW_NAMES else OTHER_WINDOW
    max_seconds = _MAX_SPENDING_RESET_SECONDS if known_kind == "overage" else _MAX_RESET_SECONDS
    used_share, resets_at = _parse_number(fields.get("utilization")), _parse_number(fields.get("resetsAt"))
    return LimitWindow(
        known_kind,
        _parse_status(fields.get("status")) or LimitStatus.ALLOWED,
        min(used_share, _MAX_USED_SHARE) if used_share is not None and used_share >= 0 else None,
        resets_at if resets_at is not None and now < resets_at <= now + max_seconds else None,
    )


def _parse_status(value: object) -> LimitStatus | None:
    return next((status for status in LimitStatus if status == value), None)


def _parse_number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
