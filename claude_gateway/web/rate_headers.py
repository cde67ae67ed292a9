"""Where a caller stands, in the headers that each dialect's programs know."""

from datetime import UTC, datetime, timedelta

from claude_gateway.access.limits import Standing
from claude_gateway.web.spoken import Dialect


def rate_headers(dialect: Dialect, standing: Standing, now: datetime) -> dict[str, str]:
    """Google has none of its own."""
    match dialect:
        case Dialect.ANTHROPIC:
            return {
                "anthropic-ratelimit-requests-limit": str(standing.limit),
                "anthropic-ratelimit-requests-remaining": str(standing.remaining),
                "anthropic-ratelimit-requests-reset": _moment(now + timedelta(seconds=standing.reset)),
            }
        case Dialect.OPENAI:
            return {
                "x-ratelimit-limit-requests": str(standing.limit),
                "x-ratelimit-remaining-requests": str(standing.remaining),
                "x-ratelimit-reset-requests": _duration(standing.reset),
            }
        case Dialect.GEMINI:
            return {}


def _moment(time: datetime) -> str:
    """RFC 3339, in whole seconds, none too early."""
    whole = time.replace(microsecond=0) + timedelta(seconds=1 if time.microsecond else 0)
    return whole.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _duration(seconds: float) -> str:
    """As OpenAI writes it: `120ms`, `6.5s`, `1m30s`."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(round(seconds, 3), 60)
    return f"{int(minutes)}m{rest:.3g}s" if minutes else f"{rest:.3f}".rstrip("0").rstrip(".") + "s"
