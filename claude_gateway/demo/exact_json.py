"""JSON that keeps what a fast parser loses: integers of any length, and halves of surrogate pairs. Pure."""

import json
import re
from typing import Any

import orjson

# An integer of 19 digits may not fit into 64 bits; `orjson` would make a float of it.
_LONG_INTEGER = re.compile(rb"\d{19}")


def loads(raw: bytes) -> Any:
    """The value of a request body, every integer to its last digit.

    Raises:
        ValueError: It is no JSON, or holds half a surrogate pair, which the real API refuses too.
    """
    value = orjson.loads(raw)
    return json.loads(raw) if _LONG_INTEGER.search(raw) else value


def loads_loosely(text: str) -> Any:
    """The value of a directive's JSON, which may hold half a surrogate pair as an escape such as `\\ud83d`."""
    return json.loads(text)


def dumps(value: Any) -> bytes:
    """Compact JSON; with `\\uXXXX` escapes for all that is not ASCII where half a surrogate pair is in it."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode()
