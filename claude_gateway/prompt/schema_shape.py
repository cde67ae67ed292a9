"""Whether a tool's schema is one, as the upstream asks: by the meta-schema of JSON Schema 2020-12. Pure.

In one walk, for a caller may send hundreds of tools with each request; a validator takes a hundred times as long.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})


def complaint(schema: Mapping[str, Any]) -> str | None:
    """Where it is no schema, as a path into it; None where it is one."""
    waiting: list[tuple[str, Any]] = [("", schema)]
    while waiting:
        path, one = waiting.pop()
        if isinstance(one, bool):
            continue
        if not isinstance(one, dict):
            return path or "."
        for keyword, value in one.items():
            place = f"{path}.{keyword[:60]}"
            if keyword in _SHAPES and not _SHAPES[keyword](value):
                return place
            if keyword in _PARTS:
                parts = _PARTS[keyword](value)
                if parts is None:
                    return place
                waiting += [(f"{place}.{name}" if name else place, part) for name, part in parts]
    return None


Parts = list[tuple[str, Any]] | None


def _alone(value: Any) -> Parts:
    return [("", value)]


def _in_order(value: Any) -> Parts:
    if not isinstance(value, list) or not value:
        return None
    return [(str(index), part) for index, part in enumerate(value)]


def _by_name(value: Any) -> Parts:
    return [(name[:60], part) for name, part in value.items()] if isinstance(value, dict) else None


def _dependencies(value: Any) -> Parts:
    """Of an older draft: by name a schema, or names that must be there too."""
    parts = _by_name(value)
    return parts and [(name, part) for name, part in parts if not _are_names(part)]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return _is_number(value) and value >= 0 and (isinstance(value, int) or value.is_integer())


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _are_names(value: Any) -> bool:
    return _is_list(value) and all(map(_is_text, value)) and len(set(value)) == len(value)


def _is_type(value: Any) -> bool:
    return value in _TYPES if _is_text(value) else _are_names(value) and bool(value) and _TYPES.issuperset(value)


def _is_names_by_name(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_are_names, value.values()))


def _is_step(value: Any) -> bool:
    return _is_number(value) and value > 0


def _each(keywords: str, meaning: Callable[[Any], Any]) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    return ((keyword, meaning) for keyword in keywords.split())


# What a keyword must hold.
_SHAPES: Mapping[str, Callable[[Any], bool]] = dict(
    (
        *_each("$id $schema $ref $anchor $dynamicRef $dynamicAnchor $comment title description", _is_text),
        *_each("pattern format contentEncoding contentMediaType", _is_text),
        *_each("uniqueItems deprecated readOnly writeOnly", _is_flag),
        *_each("maximum minimum exclusiveMaximum exclusiveMinimum", _is_number),
        *_each("maxLength minLength maxItems minItems maxContains minContains maxProperties minProperties", _is_count),
        *_each("enum examples", _is_list),
        ("multipleOf", _is_step),
        ("type", _is_type),
        ("required", _are_names),
        ("dependentRequired", _is_names_by_name),
    )
)
# Which keywords hold schemas, and how.
_PARTS: Mapping[str, Callable[[Any], Parts]] = dict(
    (
        *_each("items contains additionalProperties propertyNames if then else not", _alone),
        *_each("unevaluatedItems unevaluatedProperties contentSchema", _alone),
        *_each("prefixItems allOf anyOf oneOf", _in_order),
        *_each("properties patternProperties dependentSchemas $defs definitions", _by_name),
        ("dependencies", _dependencies),
    )
)
