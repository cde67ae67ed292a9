"""Convert the schemas in Gemini requests to JSON Schema. No I/O.

Clients send two kinds of schemas. The first kind is Google's variant of OpenAPI. It has type names in upper case, the
keywords `nullable` and `propertyOrdering`, keywords in camel case or snake case, and numbers as strings. The second
kind is JSON Schema, but some clients write the type names in upper case here, too. The gateway does not change property
names, examples, default values and enum values. If a schema is nested too deeply, the functions raise `ApiError` 400
with the field path of the schema.
"""

from collections.abc import Callable
from typing import Any

from claude_gateway.core.errors import bad_request

Schema = dict[str, Any]
Convert = Callable[[Schema], Schema]

_MAX_DEPTH = 100

# Keywords that contain other schemas. In the first set, the value of a keyword is a schema. In the second set, it is a
# list of schemas. In the third set, it is an object with schemas under names that the client defines.
_SCHEMA_KEYWORDS = frozenset(
    {
        *("items", "additionalProperties", "additionalItems", "contains", "propertyNames", "not", "if", "then", "else"),
        *("unevaluatedItems", "unevaluatedProperties"),
    }
)
_SCHEMA_LIST_KEYWORDS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_SCHEMA_MAP_KEYWORDS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_SUBSCHEMA_KEYWORDS = _SCHEMA_KEYWORDS | _SCHEMA_LIST_KEYWORDS | _SCHEMA_MAP_KEYWORDS
# Maps keywords in Google's spelling to the same keywords in JSON Schema.
_OPENAPI_KEYWORDS = {
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
_COUNT_KEYWORDS = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})


def from_openapi(schema: Any, field_path: str) -> Any:
    """Convert a schema in Google's variant of OpenAPI to JSON Schema.

    If the value is not an object, the function returns it unchanged, and the tool parser rejects it later.
    """
    return _convert_recursively(schema, field_path, 0, _convert_openapi_level)


def from_json_schema(schema: Any, field_path: str) -> Any:
    """Convert the type names in a JSON Schema to lower case. All other parts of the schema stay unchanged."""
    return _convert_recursively(schema, field_path, 0, _lowercase_types)


def _convert_recursively(schema: Any, field_path: str, depth: int, convert: Convert) -> Any:
    if not isinstance(schema, dict):
        return schema
    if depth > _MAX_DEPTH:
        raise bad_request(field_path, "the schema is nested too deeply")
    converted = convert(schema)
    subschemas: dict[str, Any] = {}
    for keyword in _SUBSCHEMA_KEYWORDS & converted.keys():
        value = converted[keyword]
        if isinstance(value, dict):
            if keyword in _SCHEMA_MAP_KEYWORDS:
                subschemas[keyword] = {
                    name: _convert_recursively(subschema, field_path, depth + 1, convert)
                    for name, subschema in value.items()
                }
            elif keyword in _SCHEMA_KEYWORDS:
                subschemas[keyword] = _convert_recursively(value, field_path, depth + 1, convert)
        elif isinstance(value, list) and keyword in _SCHEMA_LIST_KEYWORDS:
            subschemas[keyword] = [
                _convert_recursively(subschema, field_path, depth + 1, convert) for subschema in value
            ]
    return {**converted, **subschemas} if subschemas else converted


def _lowercase_types(schema: Schema) -> Schema:
    """Convert the type names in `type` to lower case. The value of `type` is one name or a list of names."""
    type_ = schema.get("type")
    if isinstance(type_, str):
        return schema if type_.islower() else {**schema, "type": type_.lower()}
    if isinstance(type_, list):
        return {**schema, "type": [name.lower() if isinstance(name, str) else name for name in type_]}
    return schema


def _convert_openapi_level(schema: Schema) -> Schema:
    """Convert a schema in Google's variant of OpenAPI to JSON Schema, but leave its subschemas unchanged.

    The function replaces a keyword that JSON Schema does not have with an equivalent keyword. It drops a keyword that
    has no meaning for the model.
    """
    converted = {
        _OPENAPI_KEYWORDS.get(keyword, keyword): value for keyword, value in schema.items() if value is not None
    }
    if str(converted.get("type", "")).upper() == "TYPE_UNSPECIFIED":
        del converted["type"]
    nullable, order, example = (converted.pop(keyword, None) for keyword in ("nullable", "propertyOrdering", "example"))
    for keyword in _COUNT_KEYWORDS & converted.keys():
        if isinstance(converted[keyword], str) and converted[keyword].isdecimal():
            converted[keyword] = int(converted[keyword])
    if example is not None:
        converted.setdefault("examples", [example])
    if isinstance(order, list) and isinstance(converted.get("properties"), dict):
        converted["properties"] = _order_properties(converted["properties"], order)
    lowered = dict(_lowercase_types(converted))
    return _add_null(lowered) if nullable is True else lowered


def _order_properties(properties: Schema, order: list[Any]) -> dict[str, Any]:
    """Sort properties by the given order, because a model writes the properties in the order in which it reads them."""
    first = {name: properties[name] for name in order if isinstance(name, str) and name in properties}
    return {**first, **properties}


def _add_null(schema: Schema) -> Schema:
    if isinstance(schema.get("type"), str) and schema["type"] != "null":
        schema["type"] = [schema["type"], "null"]
    if isinstance(schema.get("anyOf"), list):
        schema["anyOf"] = [*schema["anyOf"], {"type": "null"}]
    if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
        schema["enum"] = [*schema["enum"], None]
    return schema
