"""The arguments of a call, read so that the CLI carries them unchanged. Pure.

The CLI is a JavaScript program: it reads 1234567890123456789 and writes 1234567890123456800. An integer that it would
change is therefore given to it as a string of the same digits, in what the model said as in what a client sends back:
both must be the same, or a conversation is not found again.
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

from workers.unicode_repair import without_halves

_MAX_SAFE_INTEGER = 2**53 - 1
# From here on JavaScript writes an exponent.
_MIN_WITH_EXPONENT = 10**21
# orjson makes a float of an integer that has no room in 64 bits.
_MIN_HUGE_FLOAT = 2.0**63
_HUGE_DIGITS = 19
# Nobody writes a larger number with all its digits.
_MAX_HUGE_INTEGER = 2.0**128
# Python turns no longer text into a number.
_MAX_INTEGER_DIGITS = 4_000
# What a request may hold outside of its strings; more would keep all other requests waiting.
_MAX_VALUES = 300_000
_MAX_FIELDS = 100


@dataclass(frozen=True, slots=True)
class Arguments:
    """`value` is what the CLI is given. `as_digits` are the first fields whose integers became strings, `repeated` the
    names that stand twice in one object, of which the last counts. `is_json`: the text is strict JSON. `rounded` are
    fields whose integers had no room in 64 bits, and came as floats."""

    value: dict[str, Any]
    as_digits: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    is_json: bool = True
    rounded: tuple[str, ...] = ()


def read_arguments(written: str) -> Arguments | None:
    """Read the text of a JSON object; None where it is none.

    Line breaks within strings, NaN, Infinity and halves of characters are no JSON, but what they mean is clear.
    """
    try:
        return _read(written)
    except (ValueError, RecursionError):
        return None


def carried_arguments(value: Mapping[str, Any]) -> Arguments:
    """The same for arguments that come as an object."""
    fields: list[str] = []
    rounded = tuple(islice(_fields(value, "", (float,), _is_huge_integer), _MAX_FIELDS))
    return Arguments(_carried(dict(value), "", fields), tuple(fields), rounded=rounded)


def as_written(text: str) -> Any:
    """The arguments of a call for a client: an object, or the text itself where an integer has no room in 64 bits.

    Raises `orjson.JSONDecodeError`.
    """
    value = orjson.loads(text or "{}")
    if not any(map(_is_huge, _values(value))):
        return value
    digits: list[str] = []
    json.loads(text, parse_int=digits.append)
    return orjson.Fragment(text) if any(len(one) >= _HUGE_DIGITS for one in digits) else value


def changed_integers(value: Any, field: str) -> Iterator[str]:
    """The fields of a JSON value whose integers the CLI would change; `field` is the name of the value itself."""
    return _fields(value, field, (int,), lambda number: not _is_kept(number))


def _fields(value: Any, field: str, kinds: tuple[type, ...], is_meant: Callable[[Any], bool]) -> Iterator[str]:
    """The fields that hold a value of these kinds which is meant."""
    looked_at = (dict, list, *kinds)
    waiting: list[tuple[str, Any]] = [(field, value)]
    while waiting:
        place, one = waiting.pop()
        if isinstance(one, dict):
            waiting += [(_below(place, name), inner) for name, inner in one.items() if type(inner) in looked_at]
        elif isinstance(one, list):
            waiting += [(_below(place, index), inner) for index, inner in enumerate(one) if type(inner) in looked_at]
        elif is_meant(one):
            yield place


def _read(written: str) -> Arguments | None:
    """Raises `ValueError` for what has no clear meaning, `RecursionError` for what is nested too deep."""
    value: Any = None
    is_json = True
    try:
        value = orjson.loads(written)
    except orjson.JSONDecodeError:
        is_json = False
    repeated: list[str] = []
    if not is_json or _is_changed(value, written):
        value = _read_leniently(written, repeated)
        deque(_values(value), maxlen=0)
    if not isinstance(value, dict):
        return None
    fields: list[str] = []
    return Arguments(_carried(value, "", fields), tuple(fields), tuple(repeated), is_json)


def _is_kept(number: int) -> bool:
    """True where JavaScript writes the digits that it read: it writes the fewest that tell a double from its
    neighbours, and zeros behind them."""
    if abs(number) <= _MAX_SAFE_INTEGER:
        return True
    return abs(number) < _MIN_WITH_EXPONENT and int(Decimal(repr(float(number)))) == number


def _carried(value: Any, field: str, fields: list[str]) -> Any:
    match value:
        case str():
            return without_halves(value)
        case bool() | None:
            return value
        case int() if not _is_kept(value):
            if len(fields) < _MAX_FIELDS:
                fields.append(field)
            return str(value)
        case dict():
            return {without_halves(name): _carried(inner, _below(field, name), fields) for name, inner in value.items()}
        case list():
            return [_carried(inner, _below(field, index), fields) for index, inner in enumerate(value)]
    return value


def _below(field: str, name: str | int) -> str:
    shown = str(name)[:60]
    return f"{field}.{shown}" if field else shown


def _is_changed(value: Any, written: str) -> bool:
    """True where orjson left out a name that stands twice, or digits of an integer."""
    values = list(_values(value))
    names = sum(len(one) for one in values if isinstance(one, dict))
    if names != _count_written_names(written):
        return True
    return any(map(_is_huge, values))


def _is_huge(value: Any) -> bool:
    return isinstance(value, float) and abs(value) >= _MIN_HUGE_FLOAT


def _is_huge_integer(number: float) -> bool:
    """True for what orjson most likely made of an integer."""
    return _MIN_HUGE_FLOAT <= abs(number) < _MAX_HUGE_INTEGER


def _values(value: Any) -> Iterator[Any]:
    """Raises `ValueError` for more of them than a request may hold outside of its strings."""
    waiting = [value]
    for _ in range(_MAX_VALUES):
        if not waiting:
            return
        one = waiting.pop()
        yield one
        match one:
            case dict():
                waiting += one.values()
            case list():
                waiting += one
    raise ValueError(f"more than {_MAX_VALUES} values")


def _count_written_names(written: str) -> int:
    """Those that stand twice count twice. A quote within a string is escaped."""
    return written.count('":') - written.count('\\":')


def _read_leniently(written: str, repeated: list[str]) -> Any:
    """As most other programs read JSON; notes the names that are repeated."""

    def to_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            counted = Counter(name for name, _ in pairs)
            repeated.extend(name[:60] for name, count in counted.items() if count > 1)
        return found

    return json.loads(
        written,
        strict=False,
        object_pairs_hook=to_object,
        parse_int=lambda digits: int(digits) if len(digits) <= _MAX_INTEGER_DIGITS else digits,
        parse_float=_to_float,
        parse_constant=str,
    )


def _to_float(digits: str) -> float | str:
    """As text where it is larger than a float can be: JSON has no infinity."""
    number = float(digits)
    return number if math.isfinite(number) else digits
