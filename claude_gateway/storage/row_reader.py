"""Read database rows, some of which may be damaged. The functions log and skip damaged rows and read all other rows."""

import logging
import math
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

_log = logging.getLogger(__name__)

# Exceptions that a function for the conversion of rows may raise if a row is damaged.
READ_ERRORS = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError)
# The start of the year 10000, in seconds since the epoch. `datetime` cannot represent this time.
_MAX_TIMESTAMP = 253_402_300_800.0
_MAX_REASON_CHARS = 200

Row = TypeVar("Row")
Value = TypeVar("Value")


def read_rows(rows: Iterable[Row], read: Callable[[Row], Value], label: Callable[[Row], str]) -> list[Value]:
    """Convert each row with the function `read`, and return the results. Log and skip damaged rows.

    Args:
        rows: The rows.
        read: Function that converts a row. It raises one of `READ_ERRORS` if the row is damaged.
        label: Function that describes a row for the log.
    """
    values: list[Value] = []
    for row in rows:
        try:
            values.append(read(row))
        except READ_ERRORS as error:
            log_unreadable(label(row), error)
    return values


def log_unreadable(label: str, error: Exception) -> None:
    """Log that the gateway skips a stored value because the value is damaged. `label` describes the value."""
    _log.warning("%s is damaged in the database and is skipped: %s", label, unreadable_reason(error))


def unreadable_reason(error: Exception) -> str:
    """Return the message of an error as one line of printable characters."""
    reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    return "".join(char if char.isprintable() else " " for char in reason)[:_MAX_REASON_CHARS] or type(error).__name__


def require_bytes(stored: object) -> bytes:
    """Return a stored value as bytes. If the value is a string, encode it as UTF-8.

    Raises:
        TypeError: The value is neither bytes nor a string.
    """
    if isinstance(stored, str):
        return stored.encode()
    if isinstance(stored, bytes):
        return stored
    raise TypeError(f"expected bytes, found {type(stored).__name__}")


def require_text(value: Any) -> str:
    """Return the value if it is a string, and raise `TypeError` if it is not."""
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {type(value).__name__}")
    return value


def require_texts(value: Any) -> tuple[str, ...]:
    """Return the value as a tuple if it is a list of strings, and raise `TypeError` if it is not."""
    if not isinstance(value, list):
        raise TypeError(f"expected a list, found {type(value).__name__}")
    return tuple(map(require_text, value))


def require_text_map(value: Any) -> dict[str, str]:
    """Return the value if it is a dictionary from strings to strings, and raise `TypeError` if it is not."""
    if not isinstance(value, dict):
        raise TypeError(f"expected an object, found {type(value).__name__}")
    return {require_text(name): require_text(text) for name, text in value.items()}


def require_bool(value: Any) -> bool:
    """Return the value if it is a boolean, and raise `TypeError` if it is not."""
    if not isinstance(value, bool):
        raise TypeError(f"expected true or false, found {type(value).__name__}")
    return value


def require_count(value: Any, minimum: int = 0) -> int:
    """Return the value if it is an integer of at least `minimum`, and raise `TypeError` if it is not."""
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise TypeError(f"expected a count, found {value!r:.40}")
    return value


def require_number(value: Any, maximum: float = math.inf) -> float:
    """Return the value if it is a finite number from 0 to `maximum`, and raise `TypeError` if it is not."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= maximum or value == math.inf:
        raise TypeError(f"expected a number, found {value!r:.40}")
    return value


def require_timestamp(value: Any) -> float:
    """Return the value if it is a time in seconds since the epoch, before the year 10000.

    Raises:
        TypeError: The value is not such a time.
    """
    return require_number(value, _MAX_TIMESTAMP)
