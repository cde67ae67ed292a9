"""Definitions of client tools."""

from typing import Any

CITY_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Oslo", "Rome"]}, "deep": {"$ref": "#/$defs/any"}},
    "required": ["city"],
    "additionalProperties": False,
    "$defs": {"any": {"anyOf": [{"type": "null"}, {"type": "integer", "exclusiveMinimum": 3}]}},
}


def build_chat_tool(name: str, schema: dict[str, Any] = CITY_SCHEMA) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": f"about {name}", "parameters": schema}}
