"""Response headers that describe the state of a rate limit, in the format of each dialect."""

from datetime import UTC, datetime, timedelta

from claude_gateway.auth.rate_limit import RateLimitState


def openai_rate_limit_headers(state: RateLimitState, now: datetime) -> dict[str, str]:  # noqa: ARG001 - all dialects have it
    """Return OpenAI's rate-limit headers. They state how long it takes until the whole limit is available again."""
    return {
        "x-ratelimit-limit-requests": str(state.limit),
        "x-ratelimit-remaining-requests": str(state.remaining),
        "x-ratelimit-reset-requests": _format_duration(state.reset_seconds),
    }


def anthropic_rate_limit_headers(state: RateLimitState, now: datetime) -> dict[str, str]:
    """Return Anthropic's rate-limit headers. They state at what time the whole limit is available again."""
    return {
        "anthropic-ratelimit-requests-limit": str(state.limit),
        "anthropic-ratelimit-requests-remaining": str(state.remaining),
        "anthropic-ratelimit-requests-reset": _format_timestamp(now + timedelta(seconds=state.reset_seconds)),
    }


def gemini_rate_limit_headers(state: RateLimitState, now: datetime) -> dict[str, str]:  # noqa: ARG001 - all dialects have it
    """Return no headers, because Google defines no rate-limit headers."""
    return {}


def _format_timestamp(timestamp: datetime) -> str:
    """Format a time as RFC 3339 describes, in whole seconds, rounded up."""
    whole = timestamp.replace(microsecond=0) + timedelta(seconds=1 if timestamp.microsecond else 0)
    return whole.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _format_duration(seconds: float) -> str:
    """Format a duration as OpenAI does, for example `120ms`, `6.5s` or `1m30s`."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(round(seconds, 3), 60)
    return f"{int(minutes)}m{rest:.3g}s" if minutes else f"{rest:.3f}".rstrip("0").rstrip(".") + "s"
