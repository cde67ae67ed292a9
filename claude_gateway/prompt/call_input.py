"""The arguments of a call in a client's history, whatever stands there. Pure.

Histories hold calls that were cut off by a limit, and calls of other models that wrote no JSON. A request goes on from
them all the same: what cannot be read reaches the model as the text that it is, and the client is told.
"""

import json
from collections.abc import Mapping
from typing import Any

import orjson

from claude_gateway.prompt.tools import is_writable
from workers.call_arguments import Arguments, carried_arguments, read_arguments

# The one field of the arguments that could not be read: their text.
RAW = "raw"
_MAX_NAMED_FIELDS = 5


def read_input(written: Any, where: str, notes: list[str]) -> Mapping[str, Any]:
    """The arguments as an object, from the text of one or from a JSON value; `notes` says what was changed."""
    if written == "":
        return {}  # how OpenAI's models write a call without arguments
    if written is None or (isinstance(written, str) and written.strip() in ("", "null")):
        notes.append(f"{where}: taken as a call without arguments")
        return {}
    read = _read(written)
    if read is None or not is_writable(read.value):
        notes.append(f'{where}: no JSON object that can be read; given to Claude as {{"{RAW}": ...}}')
        return {RAW: written if isinstance(written, str) else _written(written)}
    notes += _changes(read, where)
    return read.value


def _read(written: Any) -> Arguments | None:
    if isinstance(written, Mapping):
        return carried_arguments(written) if is_writable(written) else None
    return read_arguments(written) if isinstance(written, str) else None


def _changes(read: Arguments, where: str) -> list[str]:
    notes = []
    if not read.is_json:
        notes.append(f"{where}: not strict JSON; read as it is most likely meant")
    if read.repeated:
        notes.append(f"{where}: {_listed(read.repeated)} given more than once in one object, the last one counts")
    if read.rounded:
        fields = _listed([f"{where}.{field}" for field in read.rounded])
        notes.append(f"{fields}: rounded, the number has no room in 64 bits")
    if read.as_digits:
        fields = _listed([f"{where}.{field}" for field in read.as_digits])
        notes.append(f"{fields}: given to Claude as a string of its digits, for Claude Code would round the integer")
    return notes


def _listed(names: tuple[str, ...] | list[str]) -> str:
    more = len(names) - _MAX_NAMED_FIELDS
    return ", ".join(names[:_MAX_NAMED_FIELDS]) + (f" and {more} more" if more > 0 else "")


def _written(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # nested deeper than that writes
        return json.dumps(value, ensure_ascii=False)
