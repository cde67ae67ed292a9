"""Parses numbers that the upstream or the CLI reports, and limits them to possible values. No I/O.

The gateway adds these numbers up, stores them, and compares them with budgets. If one number in a report is impossible,
the functions replace only this number, so that the gateway can use the other numbers in the report.
"""

import math

# Highest possible number of tokens. It is ten times the longest context that a model has.
MAX_TOKENS = 10_000_000
# The highest plausible cost of one process. The gateway ignores a higher number.
MAX_USD = 1_000_000.0
MAX_WAIT_SECONDS = 86_400.0
_MAX_NAME_CHARS = 200


def parse_token_count(value: object) -> int:
    """Convert a reported value to a number of tokens, at most `MAX_TOKENS`. Return 0 if the value is invalid."""
    if type(value) is int and 0 <= value <= MAX_TOKENS:
        return value
    return int(min(_parse_number(value), MAX_TOKENS))


def parse_usd(value: object, previous_usd: float) -> float:
    """Convert a reported value to the total cost of a process in US dollars.

    The total never decreases. If the value is smaller than `previous_usd`, invalid or impossible, the function returns
    `previous_usd`.
    """
    total_usd = _parse_number(value)
    return total_usd if previous_usd < total_usd <= MAX_USD else previous_usd


def parse_wait_seconds(value_ms: object) -> float:
    """Convert a reported waiting time from milliseconds to seconds, at most `MAX_WAIT_SECONDS`.

    Return 0 if the value is invalid.
    """
    return min(_parse_number(value_ms) / 1000, MAX_WAIT_SECONDS)


def parse_name(value: object) -> str:
    """Convert a reported value to a name (of a model) or an id (of a message), truncated to 200 characters."""
    return str(value or "")[:_MAX_NAME_CHARS]


def _parse_number(value: object) -> float:
    """Return the value as a float, or 0 if it is negative or not a number.

    If the value is too large for a float, return infinity.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    try:
        number = float(value)
    except OverflowError:
        return math.inf if value > 0 else 0.0
    return number if number > 0 else 0.0
