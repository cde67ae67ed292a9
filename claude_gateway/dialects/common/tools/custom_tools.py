"""Convert custom tools to functions with one string parameter. No I/O.

The input of a custom tool is plain text, but Claude only accepts tools whose input is a JSON object.
"""

import json
from collections.abc import Mapping
from typing import Any

import orjson

CUSTOM_INPUT_FIELD = "input"
_INPUT_SCHEMA = {
    "type": "object",
    "properties": {CUSTOM_INPUT_FIELD: {"type": "string", "description": "The tool's whole input, as plain text."}},
    "required": [CUSTOM_INPUT_FIELD],
    "additionalProperties": False,
}


def is_custom_tool(definition: Mapping[str, Any]) -> bool:
    """Return whether the input of a tool is plain text.

    Anthropic's tools of the type `custom` have a JSON Schema, so their input is not plain text.
    """
    return definition.get("type") == "custom" and not definition.get("input_schema")


def custom_tool_to_function(definition: Mapping[str, Any], notes: list[str], field_path: str) -> dict[str, Any]:
    """Convert a custom tool to a function definition.

    Args:
        definition: The tool, in the nested form of OpenAI's chats or in the flat form of OpenAI's Responses.
        notes: List of notes for the client. If the tool has a grammar, the function moves the grammar into the
            description and adds a note about this.
        field_path: Field path of the tool.
    """
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
            notes.append(f"{field_path}: changed the grammar to a description (the gateway does not enforce it)")
    return {"name": custom.get("name"), "description": description.strip(), "parameters": _INPUT_SCHEMA}


def parse_custom_input(raw: Any) -> Mapping[str, Any]:
    """Convert the input of a custom tool call in a history to the arguments of a function call.

    Args:
        raw: The input as the client sent it: plain text, or the JSON arguments as the model wrote them.
    """
    value = raw
    if isinstance(raw, str):
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError:
            value = None
    if (
        isinstance(value, Mapping)
        and value.keys() == {CUSTOM_INPUT_FIELD}
        and isinstance(value[CUSTOM_INPUT_FIELD], str)
    ):
        return value
    if raw is None or isinstance(raw, str):
        return {CUSTOM_INPUT_FIELD: raw or ""}
    return {CUSTOM_INPUT_FIELD: json.dumps(raw, ensure_ascii=False)}
