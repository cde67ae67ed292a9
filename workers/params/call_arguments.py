"""Parser for the arguments of tool calls. It makes sure that the CLI does not change the arguments. No I/O.

The CLI is a JavaScript program, so it cannot represent all long integers. For example, it reads 1234567890123456789 and
writes 1234567890123456800. So if the CLI would change an integer, the gateway replaces the integer by a string of the
same digits. The gateway does so in the calls that the model makes and in the calls that a client sends back. Both must
have equal arguments, because otherwise the gateway does not recognize the conversation.
"""

import json
import math
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Any

import orjson

from workers.core.surrogate_repair import replace_lone_surrogates

_MAX_SAFE_INTEGER = 2**53 - 1
# JavaScript writes this number and larger numbers with an exponent.
_MIN_EXPONENT_INTEGER = 10**21
# orjson parses an integer that does not fit into 64 bits as a float.
_MIN_HUGE_FLOAT = 2.0**63
_MIN_HUGE_DIGITS = 19
# If a float is larger than this, the JSON text probably did not contain an integer with all digits.
_MAX_HUGE_INTEGER = 2.0**128
# Maximum number of digits of an integer. Python refuses to convert much longer texts to an integer.
_MAX_INTEGER_DIGITS = 4_000
# The maximum number of JSON values in the arguments. The processing of more values would block all other requests for
# too long.
_MAX_VALUES = 300_000
_MAX_REPORTED_FIELDS = 100


@dataclass(frozen=True, slots=True)
class CallArguments:
    """The parsed arguments of a tool call.

    Attributes:
        value: The arguments that the gateway sends to the CLI.
        stringified_fields: The paths of the integers that the parser replaced by strings, at most 100 paths.
        duplicate_keys: The keys that occur more than once in the same object. `value` contains the last value.
        is_strict_json: Whether the text is strict JSON.
        rounded_fields: The paths of the integers that did not fit into 64 bits and that orjson rounded to floats.
    """

    value: dict[str, Any]
    stringified_fields: tuple[str, ...] = ()
    duplicate_keys: tuple[str, ...] = ()
    is_strict_json: bool = True
    rounded_fields: tuple[str, ...] = ()


def parse_arguments(text: str) -> CallArguments | None:
    """Parse the arguments of a tool call from the text of a JSON object. Return None if the text is invalid.

    Line breaks in strings, NaN, Infinity and lone surrogates are not valid JSON, but the function accepts them because
    their meaning is clear.
    """
    try:
        return _parse(text)
    except (ValueError, RecursionError):
        return None


def normalize_arguments(value: Mapping[str, Any]) -> CallArguments:
    """Convert arguments that are already parsed to the form in which the gateway sends them to the CLI."""
    fields: list[str] = []
    rounded = tuple(islice(_find_fields(value, "", (float,), _is_rounded_integer), _MAX_REPORTED_FIELDS))
    return CallArguments(_normalize(dict(value), "", fields), tuple(fields), rounded_fields=rounded)


def parse_arguments_for_client(text: str) -> Any:
    """Parse the arguments of a call for the response to a client.

    Returns:
        The parsed object; or the unchanged text as an `orjson.Fragment`, if an integer does not fit into 64 bits.

    Raises:
        orjson.JSONDecodeError: The text is not JSON.
    """
    value = orjson.loads(text or "{}")
    if not any(map(_is_huge_float, _iterate_values(value))):
        return value
    digits: list[str] = []
    json.loads(text, parse_int=digits.append)
    return orjson.Fragment(text) if any(len(integer) >= _MIN_HUGE_DIGITS for integer in digits) else value


def find_changed_integers(value: Any, field_path: str) -> Iterator[str]:
    """Yield the field path of each integer in a JSON value that the CLI would change.

    `field_path` is the field path of the JSON value itself.
    """
    return _find_fields(value, field_path, (int,), lambda number: not _is_exact_in_javascript(number))


def _find_fields(
    value: Any, field_path: str, types: tuple[type, ...], predicate: Callable[[Any], bool]
) -> Iterator[str]:
    """Yield the field path of each value within a JSON value that has one of the types and fulfils the predicate."""
    visited_types = (dict, list, *types)
    pending: list[tuple[str, Any]] = [(field_path, value)]
    while pending:
        path, item = pending.pop()
        if isinstance(item, dict):
            pending += [
                (_join_field_path(path, key), inner) for key, inner in item.items() if type(inner) in visited_types
            ]
        elif isinstance(item, list):
            pending += [
                (_join_field_path(path, index), inner)
                for index, inner in enumerate(item)
                if type(inner) in visited_types
            ]
        elif predicate(item):
            yield path


def _parse(text: str) -> CallArguments | None:
    """Parse the text of a JSON object. Return None if the text is valid JSON but not an object.

    Raises:
        ValueError: The text has no clear meaning.
        RecursionError: The text is nested too deeply.
    """
    value: Any = None
    is_json = True
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        is_json = False
    duplicate_keys: list[str] = []
    if not is_json or _is_lossy(value, text):
        value = _parse_leniently(text, duplicate_keys)
        deque(_iterate_values(value), maxlen=0)
    if not isinstance(value, dict):
        return None
    fields: list[str] = []
    return CallArguments(_normalize(value, "", fields), tuple(fields), tuple(duplicate_keys), is_json)


def _is_exact_in_javascript(number: int) -> bool:
    """Return whether JavaScript writes an integer with the same digits with which it read the integer.

    JavaScript stores an integer as a float. It writes the fewest digits that identify the float, followed by zeros.
    """
    if abs(number) <= _MAX_SAFE_INTEGER:
        return True
    return abs(number) < _MIN_EXPONENT_INTEGER and int(Decimal(repr(float(number)))) == number


def _normalize(value: Any, field_path: str, stringified_fields: list[str]) -> Any:
    match value:
        case str():
            return replace_lone_surrogates(value)
        case bool() | None:
            return value
        case int() if not _is_exact_in_javascript(value):
            if len(stringified_fields) < _MAX_REPORTED_FIELDS:
                stringified_fields.append(field_path)
            return str(value)
        case dict():
            return {
                replace_lone_surrogates(name): _normalize(inner, _join_field_path(field_path, name), stringified_fields)
                for name, inner in value.items()
            }
        case list():
            return [
                _normalize(inner, _join_field_path(field_path, index), stringified_fields)
                for index, inner in enumerate(value)
            ]
    return value


def _join_field_path(field_path: str, name: str | int) -> str:
    short_name = str(name)[:60]
    return f"{field_path}.{short_name}" if field_path else short_name


def _is_lossy(value: Any, text: str) -> bool:
    """Return whether orjson has lost data of the text, because it dropped a duplicate key or rounded an integer.

    `value` is the value that orjson has parsed from `text`.
    """
    values = list(_iterate_values(value))
    key_count = sum(len(item) for item in values if isinstance(item, dict))
    if key_count != _count_keys(text):
        return True
    return any(map(_is_huge_float, values))


def _is_huge_float(value: Any) -> bool:
    return isinstance(value, float) and abs(value) >= _MIN_HUGE_FLOAT


def _is_rounded_integer(number: float) -> bool:
    """Return whether a float is most likely an integer that orjson has rounded."""
    return _MIN_HUGE_FLOAT <= abs(number) < _MAX_HUGE_INTEGER


def _iterate_values(value: Any) -> Iterator[Any]:
    """Yield a JSON value and all values in it.

    Raises:
        ValueError: The value contains too many values.
    """
    pending = [value]
    for _ in range(_MAX_VALUES):
        if not pending:
            return
        item = pending.pop()
        yield item
        match item:
            case dict():
                pending += item.values()
            case list():
                pending += item
    raise ValueError(f"more than {_MAX_VALUES} values")


def _count_keys(text: str) -> int:
    """Count the keys in a JSON text, including duplicate keys.

    Quotes within strings are escaped, so the function does not mistake a part of a string for a key.
    """
    return text.count('":') - text.count('\\":')


def _parse_leniently(text: str, duplicate_keys: list[str]) -> Any:
    """Parse JSON with Python's tolerant parser, and append the duplicate keys to `duplicate_keys`."""

    def to_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        object_ = dict(pairs)
        if len(object_) < len(pairs):
            counts = Counter(name for name, _ in pairs)
            duplicate_keys.extend(name[:60] for name, count in counts.items() if count > 1)
        return object_

    return json.loads(
        text,
        strict=False,
        object_pairs_hook=to_object,
        parse_int=lambda digits: int(digits) if len(digits) <= _MAX_INTEGER_DIGITS else digits,
        parse_float=_to_float,
        parse_constant=str,
    )


def _to_float(digits: str) -> float | str:
    """Convert a number to a float. If it is too large for a float, return the text, because JSON has no infinity."""
    number = float(digits)
    return number if math.isfinite(number) else digits
