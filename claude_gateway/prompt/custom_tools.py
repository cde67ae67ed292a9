"""Tools whose input is plain text, as functions with a single string, for Claude knows functions alone. Pure."""

import json
from collections.abc import Mapping
from typing import Any

import orjson

CUSTOM_INPUT = "input"
_SCHEMA = {
    "type": "object",
    "properties": {CUSTOM_INPUT: {"type": "string", "description": "The tool's whole input, as plain text."}},
    "required": [CUSTOM_INPUT],
    "additionalProperties": False,
}


def is_custom(definition: Mapping[str, Any]) -> bool:
    return definition.get("type") == "custom" and not definition.get("input_schema")


def custom_function(definition: Mapping[str, Any], notes: list[str], where: str) -> dict[str, Any]:
    """Chat's own shape of a custom tool has its fields one level deeper."""
    inner = definition.get("custom")
    custom = inner if isinstance(inner, Mapping) else definition
    description = str(custom.get("description") or "")
    match custom.get("format"):
        case {"type": "grammar", "definition": str(grammar), **rest} | {
            "type": "grammar",
            "grammar": {"definition": str(grammar), **rest},
        }:
            syntax = str(rest.get("syntax", ""))[:20]
            description += f"\n\nThe input must match this grammar ({syntax}):\n{grammar}"
            notes.append(f"{where}: its grammar is shown to Claude, not enforced")
    return {"name": custom.get("name"), "description": description.strip(), "parameters": _SCHEMA}


def read_custom_input(written: Any) -> Mapping[str, Any]:
    """The arguments of a call in a history, by its raw text. An editor may send that where a function's arguments
    would stand, or the arguments that the model wrote."""
    value = written
    if isinstance(written, str):
        try:
            value = orjson.loads(written)
        except orjson.JSONDecodeError:
            value = None
    if isinstance(value, Mapping) and value.keys() == {CUSTOM_INPUT} and isinstance(value[CUSTOM_INPUT], str):
        return value
    if written is None or isinstance(written, str):
        return {CUSTOM_INPUT: written or ""}
    return {CUSTOM_INPUT: json.dumps(written, ensure_ascii=False)}
