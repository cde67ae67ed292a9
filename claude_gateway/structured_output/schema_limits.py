"""Check that a JSON Schema from a client does not exceed the gateway's limits. No I/O.

This module does not check whether the schema is valid. The module `validation` checks this later, outside the event
loop, because that check takes long. If a schema exceeds a limit, the functions raise `ApiError` 400 with the field path
of the schema.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import orjson

from claude_gateway.core.errors import bad_request
from claude_gateway.dialects.common.tools.tools import is_serializable, list_rounding_notes
from workers.core.job import OutputSchema

Schema = Mapping[str, Any]

_MAX_SCHEMA_BYTES = 64 * 1024
_MAX_SCHEMA_DEPTH = 64
_MAX_SUBSCHEMAS = 2_000
# Keywords that contain subschemas. For a keyword in the first set, the value is an object with named subschemas. For a
# keyword in the second set, the value is a subschema or a list of subschemas. The values of all other keywords contain
# no subschemas.
_NAMED_SUBSCHEMA_KEYWORDS = frozenset(
    {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"}
)
_SUBSCHEMA_KEYWORDS = frozenset(
    {
        *("items", "prefixItems", "additionalItems", "unevaluatedItems", "contains", "contentSchema"),
        *("additionalProperties", "unevaluatedProperties", "propertyNames"),
        *("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "type", "disallow", "extends"),
    }
)
_REFERENCE_KEYWORDS = ("$ref", "$dynamicRef", "$recursiveRef")
_ANCHOR_KEYWORDS = ("$anchor", "$dynamicAnchor")
# Regular expression syntax that engines with linear run time do not support.
_BACKTRACKING_SYNTAX = re.compile(r"\(\?<?[=!]|\\[1-9]|\\k<")
_MAX_QUOTE_CHARS = 80


def any_json_object(field_path: str) -> OutputSchema:
    """Return the output schema for a reply that may be any JSON object."""
    return OutputSchema(None, field_path)


def parse_output_schema(schema: Schema, field_path: str, warnings: list[str]) -> OutputSchema:
    """Convert a client's JSON Schema to the output schema of a job. Omit the parts that the gateway cannot use.

    Args:
        schema: JSON Schema that the client sent.
        field_path: Position of the schema in the request.
        warnings: List to which the function adds a warning for each part that the gateway does not check.

    Raises:
        ApiError: 400 if the schema exceeds a limit, or refers to something outside itself.
    """
    if not is_serializable(schema):
        raise bad_request(field_path, "the schema is nested too deeply")
    raw = orjson.dumps(schema)
    if len(raw) > _MAX_SCHEMA_BYTES:
        raise bad_request(field_path, f"the schema has {len(raw)} bytes; the maximum is {_MAX_SCHEMA_BYTES}")
    draft = {name: schema[name] for name in ("$schema",) if name in schema}
    checked_schema = draft | _remove_identifiers(schema, field_path)
    _check_subschemas(checked_schema, field_path)
    unchecked = set()
    for pattern in iterate_patterns(checked_schema):
        if needs_backtracking(pattern):
            unchecked.add(f"the pattern {pattern[:_MAX_QUOTE_CHARS]!r} has a lookaround or a backreference")
    if b'"patternProperties"' in raw and b'"unevaluatedProperties"' in raw:
        # For this combination of keywords, jsonschema matches the patterns with a backtracking engine, which may never
        # end.
        checked_schema = _remove_keyword(checked_schema, "unevaluatedProperties")
        unchecked.add("unevaluatedProperties is combined with patternProperties")
    warnings += [f"{field_path}: {reason}, and is not checked" for reason in sorted(unchecked)]
    warnings += list_rounding_notes(schema, field_path)
    return OutputSchema(checked_schema, field_path)


def needs_backtracking(pattern: str) -> bool:
    """Return whether only a backtracking engine can match the pattern. The run time of such an engine has no limit."""
    return _BACKTRACKING_SYNTAX.search(pattern) is not None


def iterate_patterns(schema: Schema) -> Iterator[str]:
    """Yield the regular expressions in a schema and in all its subschemas."""
    for subschema in _iterate_subschemas(schema):
        if isinstance(pattern := subschema.get("pattern"), str):
            yield pattern
        if isinstance(pattern_properties := subschema.get("patternProperties"), Mapping):
            yield from pattern_properties


def _remove_identifiers(schema: Schema, field_path: str, depth: int = 0) -> dict[str, Any]:
    """Return a copy of the schema in which the schema and its subschemas have no ids and no draft names.

    With these keywords, a subschema could have another base for references, or follow another JSON Schema draft.
    """
    if depth > _MAX_SCHEMA_DEPTH:
        raise bad_request(field_path, f"the schema is nested deeper than {_MAX_SCHEMA_DEPTH} levels")
    cleaned = _map_subschemas(schema, lambda part: _remove_identifiers(part, field_path, depth + 1))
    for name in ("$id", "id", "$schema", "$vocabulary"):
        if isinstance(cleaned.get(name), str | Mapping):
            del cleaned[name]
    return cleaned


def _remove_keyword(schema: Schema, removed_keyword: str) -> dict[str, Any]:
    remaining = {keyword: value for keyword, value in schema.items() if keyword != removed_keyword}
    return _map_subschemas(remaining, lambda part: _remove_keyword(part, removed_keyword))


def _map_subschemas(schema: Schema, transform: Callable[[Schema], Any]) -> dict[str, Any]:
    """Return a copy of the schema in which the result of `transform` replaces each direct subschema."""

    def transform_value(value: Any) -> Any:
        if isinstance(value, Mapping):
            return transform(value)
        return [transform_value(part) for part in value] if isinstance(value, list) else value

    copy: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in _NAMED_SUBSCHEMA_KEYWORDS and isinstance(value, Mapping):
            copy[keyword] = {name: transform_value(part) for name, part in value.items()}
        else:
            copy[keyword] = transform_value(value) if keyword in _SUBSCHEMA_KEYWORDS else value
    return copy


def _iterate_subschemas(schema: Schema) -> Iterator[Schema]:
    pending = [schema]
    while pending:
        subschema = pending.pop()
        yield subschema
        _map_subschemas(subschema, pending.append)


def _check_subschemas(schema: Schema, field_path: str) -> None:
    subschemas = list(_iterate_subschemas(schema))
    if len(subschemas) > _MAX_SUBSCHEMAS:
        raise bad_request(field_path, f"the schema has {len(subschemas)} parts; the maximum is {_MAX_SUBSCHEMAS}")
    anchors = {
        subschema[name] for subschema in subschemas for name in _ANCHOR_KEYWORDS if isinstance(subschema.get(name), str)
    }
    subschema_ids = {id(subschema) for subschema in subschemas} | {id(True), id(False)}
    for subschema in subschemas:
        for keyword in _REFERENCE_KEYWORDS:
            ref = subschema.get(keyword)
            if not isinstance(ref, str) or (ref[:1] == "#" and ref[1:] in anchors):
                continue
            if not ref.startswith("#"):
                raise bad_request(
                    field_path, f"{ref[:_MAX_QUOTE_CHARS]!r} is outside the schema, and the gateway fetches no schemas"
                )
            # A reference may only lead to a subschema, because `_remove_identifiers` has not cleaned other values.
            if id(_resolve_pointer(schema, ref)) not in subschema_ids:
                raise bad_request(field_path, f"{ref[:_MAX_QUOTE_CHARS]!r} does not point to a subschema")


def _resolve_pointer(schema: Schema, pointer: str) -> Any:
    """Return the value to which a JSON pointer in the schema refers, or None if there is no such value."""
    root, *steps = unquote(pointer).split("/")
    value: Any = schema if root == "#" else None
    for step in steps:
        name = step.replace("~1", "/").replace("~0", "~")
        match value:
            case list() if name.isdecimal() and int(name) < len(value):
                value = value[int(name)]
            case Mapping():
                value = value.get(name)
            case _:
                return None
    return value
