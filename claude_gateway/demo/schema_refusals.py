"""What the real Messages API refuses of `output_config.format`, in its own words where they are known. Pure.

On purpose not the code that fits a schema to the API (workers/output_schema.py): each is held against the other.
"""

import re
from collections.abc import Iterator
from typing import Any

import orjson

_PLACE = "output_config.format.schema"
_MOST_OPTIONAL = 24
_MOST_UNIONS = 16
# The real limit is on the compiled grammar, and not told; schemas of this size were seen to be over it.
_MOST_BYTES = 11_000
_FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid")
_PATTERN_FEATURES = re.compile(r"\(\?|\\[1-9]|\\[bB]")
_EVERYWHERE = {
    "title",
    "description",
    "default",
    "type",
    "enum",
    "const",
    "anyOf",
    "allOf",
    "$ref",
    "$defs",
    "definitions",
}
_BY_TYPE: dict[str, set[str]] = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "minItems"},
    "string": {"format", "pattern"},
    "number": set(),
    "integer": set(),
    "boolean": set(),
    "null": set(),
}
_JSON_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}

Schema = dict[str, Any]


def schema_complaints(body: dict[str, Any], model_takes_schemas: bool) -> Iterator[str]:
    format_ = (body.get("output_config") or {}).get("format")
    if format_ is None:
        return
    if not model_takes_schemas:
        yield f"output_config.format: {body['model']} does not support structured outputs."
    if format_.get("type") != "json_schema" or not isinstance(format_.get("schema"), dict):
        yield f"{_PLACE}: Field required"
        return
    schema = format_["schema"]
    yield from _of(schema, schema)
    for group in ("$defs", "definitions"):
        for name, definition in schema.get(group, {}).items():
            yield from _of(definition, schema)
            if _comes_back(f"#/{group}/{name}", definition, schema, ()):
                yield f"{_PLACE}: Circular reference detected in schema definitions: {name} -> {name}."
    yield from _of_its_size(schema)
    if _cites(body):
        yield "output_config.format: citations are not supported with structured outputs."


def _of(schema: Any, root: Schema) -> Iterator[str]:
    if not isinstance(schema, dict):
        yield f"{_PLACE}: Invalid schema: {schema!r} is not an object"
        return
    if "$ref" in schema:
        if _resolved(schema["$ref"], root) is None:
            yield f"{_PLACE}: Unresolvable reference {schema['$ref']!r}"
        if schema.keys() - {"$ref", "$defs", "definitions"}:
            yield f"{_PLACE}: '$ref' must stand alone"
        return
    if "oneOf" in schema:
        yield f"{_PLACE}: Schema type 'oneOf' is not supported"
    types = schema.get("type", [])
    types = types if isinstance(types, list) else [types]
    if not types and not schema.keys() & {"enum", "const", "anyOf", "allOf", "oneOf"}:
        yield f"{_PLACE}: Invalid schema: Schema type is missing"
    allowed = _EVERYWHERE.union(*(_BY_TYPE.get(type_, set()) for type_ in types))
    for name in sorted(schema.keys() - allowed):
        yield f"{_PLACE}: For '{'|'.join(types)}' type, property '{name}' is not supported"
    yield from _of_values(schema, types)
    yield from _of_types(schema, types)
    for part in _parts(schema):
        yield from _of(part, root)


def _of_values(schema: Schema, types: list[Any]) -> Iterator[str]:
    for value in [*schema.get("enum", []), *([schema["const"]] if "const" in schema else [])]:
        if type(value) not in _JSON_TYPES:
            yield f"{_PLACE}: Complex types in enums are not supported"
        elif types and types != [_JSON_TYPES[type(value)]]:
            yield f"{_PLACE}: Invalid schema: Enum value {value!r} does not match declared type {schema['type']!r}"


def _of_types(schema: Schema, types: list[Any]) -> Iterator[str]:
    if "object" in types and schema.get("additionalProperties") is not False:
        yield f"{_PLACE}: For 'object' type, 'additionalProperties' must be explicitly set to false"
    if set(schema.get("required", [])) - schema.get("properties", {}).keys():
        yield f"{_PLACE}: For 'object' type, 'required' names a property that is not there"
    if "array" in types and "items" not in schema:
        yield f"{_PLACE}: For 'array' type, 'items' is missing"
    if schema.get("minItems", 0) not in (0, 1):
        yield f"{_PLACE}: For 'array' type, 'minItems' values other than 0 or 1 are not supported"
    if "format" in schema and schema["format"] not in _FORMATS:
        yield f"{_PLACE}: For 'string' type, format {schema['format']!r} is not supported"
    if _PATTERN_FEATURES.search(schema.get("pattern", "")):
        yield f"{_PLACE}: For 'string' type, the pattern is not supported"


def _of_its_size(schema: Schema) -> Iterator[str]:
    every = list(_every(schema))
    optional = sum(len(one.get("properties", {}).keys() - set(one.get("required", []))) for one in every)
    unions = sum("anyOf" in one or isinstance(one.get("type"), list) for one in every)
    if optional > _MOST_OPTIONAL:
        yield f"Schemas contains too many optional parameters ({optional}). (limit: {_MOST_OPTIONAL})"
    if unions > _MOST_UNIONS:
        yield f"Schemas contains too many parameters with union types ({unions}). (limit: {_MOST_UNIONS})"
    if len(orjson.dumps(schema)) > _MOST_BYTES:
        yield "The compiled grammar is too large, which would cause performance issues."


def _parts(schema: Schema) -> list[Any]:
    listed = [part for name in ("anyOf", "allOf") for part in schema.get(name, [])]
    return [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else []), *listed]


def _every(schema: Any) -> Iterator[Schema]:
    if isinstance(schema, dict):
        yield schema
        for part in [*_parts(schema), *schema.get("$defs", {}).values(), *schema.get("definitions", {}).values()]:
            yield from _every(part)


def _resolved(ref: Any, root: Schema) -> Any:
    match str(ref).split("/"):
        case ["#", ("$defs" | "definitions") as group, name]:
            return root.get(group, {}).get(name.replace("~1", "/").replace("~0", "~"))
    return None


def _comes_back(ref: str, schema: Any, root: Schema, seen: tuple[str, ...]) -> bool:
    for one in _every(schema):
        to = one.get("$ref")
        if to == ref or (to and to not in seen and _comes_back(ref, _resolved(to, root), root, (*seen, to))):
            return True
    return False


def _cites(body: dict[str, Any]) -> bool:
    return any(
        (block.get("citations") or {}).get("enabled")
        for message in body.get("messages", ())
        if isinstance(message["content"], list)
        for block in message["content"]
    )
