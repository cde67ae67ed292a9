"""Figures that the upstream or Claude Code tell, bounded where they come in. Pure.

They are added up, stored and held against budgets: one that cannot be must not spoil what stands beside it.
"""

import math

# Ten times what the longest context holds.
MAX_TOKENS = 10_000_000
# What one process may have cost; more than that is no cost.
MAX_USD = 1_000_000.0
MAX_WAIT_SECONDS = 86_400.0
_MAX_NAME = 200


def tokens(told: object) -> int:
    """A count of tokens, at most `MAX_TOKENS`; 0 for what is none."""
    return int(min(_number(told), MAX_TOKENS))


def usd(told: object, known: float) -> float:
    """A sum of US dollars that only grows; what is known already where a process cannot have cost so much."""
    sum_ = _number(told)
    return sum_ if known < sum_ <= MAX_USD else known


def seconds(told_ms: object) -> float:
    """A time to wait that is told in milliseconds, at most `MAX_WAIT_SECONDS`; 0 for what is none."""
    return min(_number(told_ms) / 1000, MAX_WAIT_SECONDS)


def name(told: object) -> str:
    """The name of a model or of a message."""
    return str(told or "")[:_MAX_NAME]


def _number(told: object) -> float:
    """Not below 0; infinite only where it is too large for a float."""
    if isinstance(told, bool) or not isinstance(told, int | float):
        return 0.0
    try:
        number = float(told)
    except OverflowError:
        return math.inf if told > 0 else 0.0
    return number if number > 0 else 0.0
