"""Check that the schemas of tools are valid JSON Schemas (draft 2020-12), because the upstream requires this. No I/O.

The check reads each schema once and is fast, because a client may send hundreds of tools with each request. A library
that validates JSON Schemas would take a hundred times as long.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})


def find_invalid_path(schema: Mapping[str, Any]) -> str | None:
    """Return the path to an invalid part of a schema, such as `.properties.a.type`, or None if the schema is valid."""
    stack: list[tuple[str, Any]] = [("", schema)]
    while stack:
        path, subschema = stack.pop()
        if isinstance(subschema, bool):
            continue
        if not isinstance(subschema, dict):
            return path or "."
        for keyword, value in subschema.items():
            keyword_path = f"{path}.{keyword[:60]}"
            if keyword in _VALUE_CHECKS and not _VALUE_CHECKS[keyword](value):
                return keyword_path
            if keyword in _SUBSCHEMA_KEYWORDS:
                parts = _SUBSCHEMA_KEYWORDS[keyword](value)
                if parts is None:
                    return keyword_path
                stack += [(f"{keyword_path}.{name}" if name else keyword_path, part) for name, part in parts]
    return None


# The subschemas that the value of a keyword contains, each with its name; None if the value is invalid.
Subschemas = list[tuple[str, Any]] | None


def _get_single_schema(value: Any) -> Subschemas:
    return [("", value)]


def _get_schema_list(value: Any) -> Subschemas:
    if not isinstance(value, list) or not value:
        return None
    return [(str(index), part) for index, part in enumerate(value)]


def _get_schema_map(value: Any) -> Subschemas:
    return [(name[:60], part) for name, part in value.items()] if isinstance(value, dict) else None


def _get_dependency_schemas(value: Any) -> Subschemas:
    """Return the subschemas in `dependencies`, a keyword of an older draft.

    Each entry of `dependencies` is a schema or a list of property names.
    """
    parts = _get_schema_map(value)
    return parts and [(name, part) for name, part in parts if not _is_string_set(part)]


def _is_string(value: Any) -> bool:
    return isinstance(value, str)


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return _is_number(value) and value >= 0 and (isinstance(value, int) or value.is_integer())


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_string_set(value: Any) -> bool:
    return _is_list(value) and all(map(_is_string, value)) and len(set(value)) == len(value)


def _is_type(value: Any) -> bool:
    return value in _TYPES if _is_string(value) else _is_string_set(value) and bool(value) and _TYPES.issuperset(value)


def _is_map_of_string_sets(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_string_set, value.values()))


def _is_positive_number(value: Any) -> bool:
    return _is_number(value) and value > 0


def _assign_to_keywords(keywords: str, check: Callable[[Any], Any]) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    return ((keyword, check) for keyword in keywords.split())


# Functions that check the values of keywords which contain no subschemas.
_VALUE_CHECKS: Mapping[str, Callable[[Any], bool]] = dict(
    (
        *_assign_to_keywords(
            "$id $schema $ref $anchor $dynamicRef $dynamicAnchor $comment title description", _is_string
        ),
        *_assign_to_keywords("pattern format contentEncoding contentMediaType", _is_string),
        *_assign_to_keywords("uniqueItems deprecated readOnly writeOnly", _is_boolean),
        *_assign_to_keywords("maximum minimum exclusiveMaximum exclusiveMinimum", _is_number),
        *_assign_to_keywords(
            "maxLength minLength maxItems minItems maxContains minContains maxProperties minProperties", _is_count
        ),
        *_assign_to_keywords("enum examples", _is_list),
        ("multipleOf", _is_positive_number),
        ("type", _is_type),
        ("required", _is_string_set),
        ("dependentRequired", _is_map_of_string_sets),
    )
)
# Functions that return the subschemas in the value of a keyword.
_SUBSCHEMA_KEYWORDS: Mapping[str, Callable[[Any], Subschemas]] = dict(
    (
        *_assign_to_keywords("items contains additionalProperties propertyNames if then else not", _get_single_schema),
        *_assign_to_keywords("unevaluatedItems unevaluatedProperties contentSchema", _get_single_schema),
        *_assign_to_keywords("prefixItems allOf anyOf oneOf", _get_schema_list),
        *_assign_to_keywords("properties patternProperties dependentSchemas $defs definitions", _get_schema_map),
        ("dependencies", _get_dependency_schemas),
    )
)
