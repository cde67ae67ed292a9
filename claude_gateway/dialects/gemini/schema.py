"""Google's schemas to JSON Schema. Pure; raises `ApiError` 400 naming the schema at fault.

Two kinds come: Google's own dialect of OpenAPI (types in upper case, `nullable`, `propertyOrdering`, keys in either
case, numbers as strings), and JSON Schema, in which some programs write the types in upper case all the same. The names
of properties, and what is an example, a default or a value of an enum, are the caller's data and stay.
"""

from collections.abc import Callable
from typing import Any

from claude_gateway.prompt.conversation import bad

Schema = dict[str, Any]
Convert = Callable[[Schema], Schema]

_MOST_DEPTH = 100

# Keys of a schema whose value is a schema, a list of schemas, or schemas under names of the caller's.
_SCHEMA = frozenset(
    {
        *("items", "additionalProperties", "additionalItems", "contains", "propertyNames", "not", "if", "then", "else"),
        *("unevaluatedItems", "unevaluatedProperties"),
    }
)
_SCHEMAS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_NAMED_SCHEMAS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_PARTS = _SCHEMA | _SCHEMAS | _NAMED_SCHEMAS
# Google's spelling: JSON Schema's.
_OPENAPI_KEYS = {
    "any_of": "anyOf",
    "additional_properties": "additionalProperties",
    "min_items": "minItems",
    "max_items": "maxItems",
    "min_length": "minLength",
    "max_length": "maxLength",
    "min_properties": "minProperties",
    "max_properties": "maxProperties",
    "property_ordering": "propertyOrdering",
    "prefix_items": "prefixItems",
    "ref": "$ref",
    "defs": "$defs",
}
_COUNTS = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})


def from_openapi(schema: Any, where: str) -> Any:
    """A `Schema` of Google's as JSON Schema. What is none (a string, say) comes back for `tools` to refuse."""
    return _walk(schema, where, 0, _json_schema)


def from_json_schema(schema: Any, where: str) -> Any:
    """A JSON Schema with its types in lower case; otherwise as it was sent."""
    return _walk(schema, where, 0, _lower_types)


def _walk(schema: Any, where: str, depth: int, convert: Convert) -> Any:
    if not isinstance(schema, dict):
        return schema
    if depth > _MOST_DEPTH:
        raise bad(where, "the schema is nested too deep")
    converted = convert(schema)
    parts: dict[str, Any] = {}
    for key in _PARTS & converted.keys():
        value = converted[key]
        if isinstance(value, dict):
            if key in _NAMED_SCHEMAS:
                parts[key] = {name: _walk(one, where, depth + 1, convert) for name, one in value.items()}
            elif key in _SCHEMA:
                parts[key] = _walk(value, where, depth + 1, convert)
        elif isinstance(value, list) and key in _SCHEMAS:
            parts[key] = [_walk(one, where, depth + 1, convert) for one in value]
    return {**converted, **parts} if parts else converted


def _lower_types(schema: Schema) -> Schema:
    """The words of `type`, alone or in a list."""
    word = schema.get("type")
    if isinstance(word, str):
        return schema if word.islower() else {**schema, "type": word.lower()}
    if isinstance(word, list):
        return {**schema, "type": [one.lower() if isinstance(one, str) else one for one in word]}
    return schema


def _json_schema(schema: Schema) -> Schema:
    """One level of a `Schema` of Google's: what has no word in JSON Schema is said otherwise, or needs no saying."""
    found = {_OPENAPI_KEYS.get(key, key): value for key, value in schema.items() if value is not None}
    if str(found.get("type", "")).upper() == "TYPE_UNSPECIFIED":
        del found["type"]
    nullable, order, example = (found.pop(key, None) for key in ("nullable", "propertyOrdering", "example"))
    for key in _COUNTS & found.keys():
        if isinstance(found[key], str) and found[key].isdecimal():
            found[key] = int(found[key])
    if example is not None:
        found.setdefault("examples", [example])
    if isinstance(order, list) and isinstance(found.get("properties"), dict):
        found["properties"] = _ordered(found["properties"], order)
    lowered = dict(_lower_types(found))
    return _with_null(lowered) if nullable is True else lowered


def _ordered(properties: Schema, order: list[Any]) -> dict[str, Any]:
    """A model fills properties in the order in which it reads them."""
    first = {name: properties[name] for name in order if isinstance(name, str) and name in properties}
    return {**first, **properties}


def _with_null(schema: Schema) -> Schema:
    if isinstance(schema.get("type"), str) and schema["type"] != "null":
        schema["type"] = [schema["type"], "null"]
    if isinstance(schema.get("anyOf"), list):
        schema["anyOf"] = [*schema["anyOf"], {"type": "null"}]
    if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
        schema["enum"] = [*schema["enum"], None]
    return schema
