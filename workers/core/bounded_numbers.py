"""Bounds for numbers that the upstream or the CLI reports. No I/O.

The gateway adds these numbers up, stores them, and compares them with budgets. If one number in a report is impossible,
the gateway can still use the other numbers of the report.
"""

import math

# This is ten times the longest context that a model has.
MAX_TOKENS = 10_000_000
# The highest plausible cost of one process. The gateway ignores a higher number.
MAX_USD = 1_000_000.0
MAX_WAIT_SECONDS = 86_400.0
_MAX_NAME_CHARS = 200


def parse_token_count(value: object) -> int:
    """Return a token count, at most `MAX_TOKENS`, or 0 if the value is invalid."""
    if type(value) is int and 0 <= value <= MAX_TOKENS:
        return value
    return int(min(_parse_number(value), MAX_TOKENS))


def parse_usd(value: object, previous_usd: float) -> float:
    """Return the total cost of a process in US dollars.

    The total only grows. If the new value is smaller, invalid or implausible, the function returns `previous_usd`.
    """
    total_usd = _parse_number(value)
    return total_usd if previous_usd < total_usd <= MAX_USD else previous_usd


def parse_wait_seconds(value_ms: object) -> float:
    """Convert a wait in milliseconds to seconds, at most `MAX_WAIT_SECONDS`. An invalid value becomes 0."""
    return min(_parse_number(value_ms) / 1000, MAX_WAIT_SECONDS)


def parse_name(value: object) -> str:
    """Return the name of a model or the id of a message, truncated to 200 characters."""
    return str(value or "")[:_MAX_NAME_CHARS]


def _parse_number(value: object) -> float:
    """Return the value as a float, or 0 if it is negative or not a number.

    A value too large for a float becomes infinity.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    try:
        number = float(value)
    except OverflowError:
        return math.inf if value > 0 else 0.0
    return number if number > 0 else 0.0
