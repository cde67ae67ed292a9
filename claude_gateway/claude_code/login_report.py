"""JSON form of the state of the logins, for the health and admin endpoints. No I/O."""

from collections.abc import Mapping
from typing import Any

from workers.core.login_limits import LimitWindow
from workers.core.settings import AuthMethod
from workers.logins.login_state import LoginSummary

AUTH_METHOD_NAMES: Mapping[AuthMethod, str] = {
    AuthMethod.CLI: "claude_cli",
    AuthMethod.API_KEY: "anthropic_api_key",
    AuthMethod.BEDROCK: "aws_bedrock",
    AuthMethod.VERTEX: "google_vertex",
}
_SHARE_DIGITS = 4


def build_login_object(summary: LoginSummary) -> dict[str, Any]:
    """Return the JSON object that describes a login and its limits."""
    return {
        "name": summary.name,
        "method": AUTH_METHOD_NAMES[summary.method],
        "valid": not summary.is_rejected,
        "failure": None if summary.failure is None else summary.failure.name.lower(),
        "limited": summary.is_limited,
        "limited_until": _round_time(summary.limited_until),
        "limited_models": list(summary.limited_models),
        "limits": [_build_limit_object(window) for window in summary.windows],
    }


def _build_limit_object(window: LimitWindow) -> dict[str, Any]:
    return {
        "window": window.kind,
        "status": window.status.value,
        "used_share": None if window.used_share is None else round(window.used_share, _SHARE_DIGITS),
        "resets_at": _round_time(window.resets_at),
    }


def _round_time(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds)
