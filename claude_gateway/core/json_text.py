"""Encodes values as JSON text. No I/O."""

import orjson


def encode_json(value: object) -> str:
    """Return the shortest JSON text of a value.

    Raises:
        TypeError: If JSON cannot express the value, or if the value is nested too deep (254 levels).
    """
    return orjson.dumps(value).decode()
