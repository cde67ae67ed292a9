"""Read the arguments of tool calls in the history of a request, even if they are malformed. No I/O.

A history may contain calls that a token limit truncated, and calls by other models whose arguments are not JSON. The
gateway accepts such calls. The model receives unreadable arguments as text, and the client receives a warning.
"""

import json
from collections.abc import Mapping
from typing import Any

import orjson

from claude_gateway.dialects.common.tools.tools import is_serializable
from workers.params.call_arguments import CallArguments, normalize_arguments, parse_arguments

# Name of the field that holds the text of unreadable arguments.
RAW_ARGUMENTS_FIELD = "raw"
_MAX_NAMED_FIELDS = 5


def parse_call_arguments(raw: Any, field_path: str, notes: list[str]) -> Mapping[str, Any]:
    """Convert the arguments of a call to an object, and add a note for each change to the arguments.

    Args:
        raw: The arguments as the client sent them. They are the text of a JSON object, or a JSON value.
        field_path: Field path of the arguments.
        notes: List to which the function adds the notes for the client.
    """
    if raw == "":
        return {}  # OpenAI's models write "" for a call without arguments
    if raw is None or (isinstance(raw, str) and raw.strip() in ("", "null")):
        notes.append(f"{field_path}: changed to a call without arguments")
        return {}
    arguments = _parse(raw)
    if arguments is None or not is_serializable(arguments.value):
        notes.append(f'{field_path}: converted to {{"{RAW_ARGUMENTS_FIELD}": ...}} (it is not a readable JSON object)')
        return {RAW_ARGUMENTS_FIELD: raw if isinstance(raw, str) else _to_json(raw)}
    notes += _list_change_notes(arguments, field_path)
    return arguments.value


def _parse(raw: Any) -> CallArguments | None:
    if isinstance(raw, Mapping):
        return normalize_arguments(raw) if is_serializable(raw) else None
    return parse_arguments(raw) if isinstance(raw, str) else None


def _list_change_notes(arguments: CallArguments, field_path: str) -> list[str]:
    notes = []
    if not arguments.is_strict_json:
        notes.append(f"{field_path}: changed to strict JSON (interpreted in the most likely way)")
    if arguments.duplicate_keys:
        notes.append(
            f"{field_path}: omitted repetitions of {_join_names(arguments.duplicate_keys)} "
            "(the last value of a repeated key is used)"
        )
    if arguments.rounded_fields:
        fields = _join_names([f"{field_path}.{field}" for field in arguments.rounded_fields])
        notes.append(f"{fields}: changed by rounding (the number does not fit into 64 bits)")
    if arguments.stringified_fields:
        fields = _join_names([f"{field_path}.{field}" for field in arguments.stringified_fields])
        notes.append(f"{fields}: converted to a string of digits (Claude Code would round the integer)")
    return notes


def _join_names(names: tuple[str, ...] | list[str]) -> str:
    more = len(names) - _MAX_NAMED_FIELDS
    return ", ".join(names[:_MAX_NAMED_FIELDS]) + (f" and {more} more" if more > 0 else "")


def _to_json(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # the value is nested deeper than orjson allows
        return json.dumps(value, ensure_ascii=False)
