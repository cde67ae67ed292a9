"""Days of UTC, numbered from that of the epoch. No clock is looked at: moments, in seconds of the epoch, come in."""

from datetime import date

DAY = 86_400
_EPOCH = date(1970, 1, 1).toordinal()


def day_of(moment: float) -> int:
    return int(moment // DAY)


def midnight(day: int) -> float:
    """When it begins."""
    return float(day * DAY)


def name_of(day: int) -> str:
    return date.fromordinal(day + _EPOCH).isoformat()


def named(name: str) -> int:
    """Raises `ValueError` for what is no day written as 2026-01-31."""
    day = date.fromisoformat(name)
    if day.isoformat() != name:  # weeks have names too
        raise ValueError(name)
    return day.toordinal() - _EPOCH
