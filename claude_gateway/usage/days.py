"""Convert between timestamps, dates and day numbers. A day number is the count of days since 1970-01-01 (UTC).

Timestamps are in seconds since the epoch. The functions do no I/O and read no clock.
"""

from datetime import date

DAY_SECONDS = 86_400
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


def day_number(timestamp: float) -> int:
    """Return the day number of the day (UTC) that contains a timestamp."""
    return int(timestamp // DAY_SECONDS)


def day_start(day: int) -> float:
    """Return the timestamp at which the day with this day number begins."""
    return float(day * DAY_SECONDS)


def format_day(day: int) -> str:
    """Convert a day number to a date such as `2026-01-31`."""
    return date.fromordinal(day + _EPOCH_ORDINAL).isoformat()


def parse_day(text: str) -> int:
    """Convert a date such as `2026-01-31` to its day number.

    Raises:
        ValueError: The text is not a date in this form.
    """
    day = date.fromisoformat(text)
    if day.isoformat() != text:  # `fromisoformat` also accepts forms such as `2026-W05-6`
        raise ValueError(text)
    return day.toordinal() - _EPOCH_ORDINAL
