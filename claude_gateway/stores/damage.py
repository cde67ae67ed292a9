"""Rows that cannot be read. Each is left out and named in the log; what stands beside it is read as ever."""

import logging
import math
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

_log = logging.getLogger(__name__)

# What reading a row raises that is not what was written.
UNREADABLE = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError)
# Of the year 10000, the first that no date can name.
_MAX_MOMENT = 253_402_300_800.0
_MAX_TOLD = 200

Row = TypeVar("Row")
Read = TypeVar("Read")


def readable(rows: Iterable[Row], read: Callable[[Row], Read], name: Callable[[Row], str]) -> list[Read]:
    """What each row says. One that cannot be read is left out, and named in the log."""
    found: list[Read] = []
    for row in rows:
        try:
            found.append(read(row))
        except UNREADABLE as error:
            tell(name(row), error)
    return found


def tell(what: str, error: Exception) -> None:
    """Name something in the log that cannot be read."""
    _log.warning("%s is damaged in the database, and is left out: %s", what, complaint(error))


def complaint(error: Exception) -> str:
    """Why it cannot be read, in a line."""
    words = f"there is no {error}" if isinstance(error, KeyError) else str(error)
    return "".join(letter if letter.isprintable() else " " for letter in words)[:_MAX_TOLD] or type(error).__name__


def bytes_of(stored: object) -> bytes:
    """A stored blob; text in its place is taken as such."""
    if isinstance(stored, str):
        return stored.encode()
    if isinstance(stored, bytes):
        return stored
    raise TypeError(f"{type(stored).__name__} in the place of bytes")


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} in the place of text")
    return value


def texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{type(value).__name__} in the place of a list")
    return tuple(map(text, value))


def texts_by_name(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise TypeError(f"{type(value).__name__} in the place of an object")
    return {text(name): text(one) for name, one in value.items()}


def boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{type(value).__name__} in the place of true or false")
    return value


def count(value: Any, least: int = 0) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise TypeError(f"{value!r:.40} in the place of a count")
    return value


def number(value: Any, most: float = math.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most or value == math.inf:
        raise TypeError(f"{value!r:.40} in the place of a number")
    return value


def moment(value: Any) -> float:
    """Seconds of the epoch that have a date."""
    return number(value, _MAX_MOMENT)
