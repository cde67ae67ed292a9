"""Functions that parse and encode JSON without loss of data. Does no I/O.

Unlike `orjson`, these functions keep integers of any length and lone surrogates. A lone surrogate is one half of a
UTF-16 surrogate pair without the other half.
"""

import json
import re
from typing import Any

import orjson

# Pattern for integers that may not fit into 64 bits. `orjson` would convert such an integer to a float.
_LONG_INTEGER = re.compile(rb"\d{19}")


def loads(raw: bytes) -> Any:
    """Parse the JSON of a request body, and keep all digits of each integer.

    Raises:
        ValueError: The body is not valid JSON, or contains a lone surrogate. The real API also rejects lone surrogates.
    """
    value = orjson.loads(raw)
    return json.loads(raw) if _LONG_INTEGER.search(raw) else value


def loads_lenient(text: str) -> Any:
    r"""Parse the JSON text in a directive. The text may contain escapes for lone surrogates, such as `\ud83d`."""
    return json.loads(text)


def dumps(value: Any) -> bytes:
    r"""Encode a value as compact JSON.

    If the value contains a lone surrogate, the JSON contains all non-ASCII characters as `\uXXXX` escapes.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode()
