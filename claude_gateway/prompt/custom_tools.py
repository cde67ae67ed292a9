"""Tools whose input is plain text, as functions with a single string, for Claude knows functions alone. Pure."""

from collections.abc import Mapping
from typing import Any

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


def raw_arguments(written: str, value: Any) -> Mapping[str, Any]:
    """The input of a call whose raw text an editor sends back as the arguments of a function; `value` is what that is
    as JSON, if it is any."""
    if isinstance(value, dict) and value.keys() == {CUSTOM_INPUT}:
        return value
    return {CUSTOM_INPUT: written}
