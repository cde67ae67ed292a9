"""Functions that return the access log's fields for a completed request. No I/O.

The fields contain times and counts, but no prompts or replies.
"""

from typing import Any

from claude_gateway.usage.record import RequestContext
from workers.core.events import NO_TOKEN_USAGE

_MAX_MODEL_CHARS = 80


def build_access_log(context: RequestContext, duration_seconds: float) -> dict[str, Any]:
    """Return the access log's fields for a request, by name. The result contains no fields without a value.

    If the request had several jobs, each token field is the sum over all jobs, and each time field is the longest time
    of any job.
    """
    usage = NO_TOKEN_USAGE
    for record in context.usage_records:
        usage += record.usage
    queue_waits = [
        seconds
        for record in context.usage_records
        if (seconds := record.seconds_since_created(record.started_monotonic)) is not None
    ]
    first_output_times = [
        seconds
        for record in context.usage_records
        if (seconds := record.seconds_since_created(record.first_output_monotonic)) is not None
    ]
    log_fields = {
        "key_id": context.key_id,
        "dialect": context.dialect,
        "model": "".join(
            letter if letter.isprintable() else "?" for letter in context.requested_model[:_MAX_MODEL_CHARS]
        ),
        "session": context.has_session,
        "jobs": len(context.usage_records),
        "result": context.usage_records[-1].result if context.usage_records else "",
        "queue_wait_ms": _to_ms(max(queue_waits)) if queue_waits else None,
        "time_to_first_token_ms": _to_ms(max(first_output_times)) if first_output_times else None,
        "duration_ms": _to_ms(duration_seconds),
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
    }
    return {name: value for name, value in log_fields.items() if value or isinstance(value, float)}


def format_access_log(log_fields: dict[str, Any]) -> str:
    """Return the fields as text for the console. Omit the duration, because the log line already contains it."""
    return " ".join(f"{name}={value}" for name, value in log_fields.items() if name != "duration_ms")


def _to_ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
