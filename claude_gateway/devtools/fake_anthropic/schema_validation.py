"""Functions that validate the request field `output_config.format` as the real Messages API does. Does no I/O.

If the error message of the real API is known, the functions return the same message. The module
workers/params/output_schema.py converts the schemas of clients to schemas that the API accepts. It shares no code with
this module, so that tests detect a mistake in either of them.
"""

import re
from collections.abc import Iterator
from typing import Any

import orjson

_FIELD_PATH = "output_config.format.schema"
_MAX_OPTIONAL_PARAMETERS = 24
_MAX_UNION_PARAMETERS = 16
# The real API limits the size of the grammar that it compiles from a schema. The limit is not documented, but the API
# rejected schemas of this size.
_MAX_SCHEMA_BYTES = 11_000
_SUPPORTED_FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid")
_UNSUPPORTED_PATTERN = re.compile(r"\(\?|\\[1-9]|\\[bB]")
_COMMON_KEYWORDS = {
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
_KEYWORDS_BY_TYPE: dict[str, set[str]] = {
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


def find_output_schema_problems(body: dict[str, Any], model_supports_schemas: bool) -> Iterator[str]:
    """Yield an error message for each reason for which the real API rejects the output schema of a request.

    Args:
        body: The request body.
        model_supports_schemas: Whether the requested model supports output schemas.
    """
    format_ = (body.get("output_config") or {}).get("format")
    if format_ is None:
        return
    if not model_supports_schemas:
        yield f"output_config.format: {body['model']} does not support structured outputs."
    if format_.get("type") != "json_schema" or not isinstance(format_.get("schema"), dict):
        yield f"{_FIELD_PATH}: Field required"
        return
    schema = format_["schema"]
    yield from _find_problems(schema, schema)
    for group in ("$defs", "definitions"):
        for name, definition in schema.get(group, {}).items():
            yield from _find_problems(definition, schema)
            if _is_circular(f"#/{group}/{name}", definition, schema, ()):
                yield f"{_FIELD_PATH}: Circular reference detected in schema definitions: {name} -> {name}."
    yield from _find_size_problems(schema)
    if _has_citations(body):
        yield "output_config.format: citations are not supported with structured outputs."


def _find_problems(schema: Any, root: Schema) -> Iterator[str]:
    if not isinstance(schema, dict):
        yield f"{_FIELD_PATH}: Invalid schema: {schema!r} is not an object"
        return
    if "$ref" in schema:
        if _resolve_ref(schema["$ref"], root) is None:
            yield f"{_FIELD_PATH}: Unresolvable reference {schema['$ref']!r}"
        if schema.keys() - {"$ref", "$defs", "definitions"}:
            yield f"{_FIELD_PATH}: '$ref' must stand alone"
        return
    if "oneOf" in schema:
        yield f"{_FIELD_PATH}: Schema type 'oneOf' is not supported"
    types = schema.get("type", [])
    types = types if isinstance(types, list) else [types]
    if not types and not schema.keys() & {"enum", "const", "anyOf", "allOf", "oneOf"}:
        yield f"{_FIELD_PATH}: Invalid schema: Schema type is missing"
    allowed = _COMMON_KEYWORDS.union(*(_KEYWORDS_BY_TYPE.get(type_, set()) for type_ in types))
    for name in sorted(schema.keys() - allowed):
        yield f"{_FIELD_PATH}: For '{'|'.join(types)}' type, property '{name}' is not supported"
    yield from _find_value_problems(schema, types)
    yield from _find_type_problems(schema, types)
    for part in _subschemas(schema):
        yield from _find_problems(part, root)


def _find_value_problems(schema: Schema, types: list[Any]) -> Iterator[str]:
    for value in [*schema.get("enum", []), *([schema["const"]] if "const" in schema else [])]:
        if type(value) not in _JSON_TYPES:
            yield f"{_FIELD_PATH}: Complex types in enums are not supported"
        elif types and types != [_JSON_TYPES[type(value)]]:
            yield f"{_FIELD_PATH}: Invalid schema: Enum value {value!r} does not match declared type {schema['type']!r}"


def _find_type_problems(schema: Schema, types: list[Any]) -> Iterator[str]:
    if "object" in types and schema.get("additionalProperties") is not False:
        yield f"{_FIELD_PATH}: For 'object' type, 'additionalProperties' must be explicitly set to false"
    if set(schema.get("required", [])) - schema.get("properties", {}).keys():
        yield f"{_FIELD_PATH}: For 'object' type, 'required' names a missing property"
    if "array" in types and "items" not in schema:
        yield f"{_FIELD_PATH}: For 'array' type, 'items' is missing"
    if schema.get("minItems", 0) not in (0, 1):
        yield f"{_FIELD_PATH}: For 'array' type, 'minItems' values other than 0 or 1 are not supported"
    if "format" in schema and schema["format"] not in _SUPPORTED_FORMATS:
        yield f"{_FIELD_PATH}: For 'string' type, format {schema['format']!r} is not supported"
    if _UNSUPPORTED_PATTERN.search(schema.get("pattern", "")):
        yield f"{_FIELD_PATH}: For 'string' type, the pattern is not supported"


def _find_size_problems(schema: Schema) -> Iterator[str]:
    schemas = list(_iter_schemas(schema))
    optional = sum(len(part.get("properties", {}).keys() - set(part.get("required", []))) for part in schemas)
    unions = sum("anyOf" in part or isinstance(part.get("type"), list) for part in schemas)
    if optional > _MAX_OPTIONAL_PARAMETERS:
        yield f"Schemas contains too many optional parameters ({optional}). (limit: {_MAX_OPTIONAL_PARAMETERS})"
    if unions > _MAX_UNION_PARAMETERS:
        yield f"Schemas contains too many parameters with union types ({unions}). (limit: {_MAX_UNION_PARAMETERS})"
    if len(orjson.dumps(schema)) > _MAX_SCHEMA_BYTES:
        yield "The compiled grammar is too large, which would cause performance issues."


def _subschemas(schema: Schema) -> list[Any]:
    alternatives = [part for name in ("anyOf", "allOf") for part in schema.get(name, [])]
    return [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else []), *alternatives]


def _iter_schemas(schema: Any) -> Iterator[Schema]:
    if isinstance(schema, dict):
        yield schema
        for part in [*_subschemas(schema), *schema.get("$defs", {}).values(), *schema.get("definitions", {}).values()]:
            yield from _iter_schemas(part)


def _resolve_ref(ref: Any, root: Schema) -> Any:
    match str(ref).split("/"):
        case ["#", ("$defs" | "definitions") as group, name]:
            return root.get(group, {}).get(name.replace("~1", "/").replace("~0", "~"))
    return None


def _is_circular(ref: str, schema: Any, root: Schema, visited_refs: tuple[str, ...]) -> bool:
    for part in _iter_schemas(schema):
        target = part.get("$ref")
        if target == ref or (
            target
            and target not in visited_refs
            and _is_circular(ref, _resolve_ref(target, root), root, (*visited_refs, target))
        ):
            return True
    return False


def _has_citations(body: dict[str, Any]) -> bool:
    return any(
        (block.get("citations") or {}).get("enabled")
        for message in body.get("messages", ())
        if isinstance(message["content"], list)
        for block in message["content"]
    )
