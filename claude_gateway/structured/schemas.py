"""A caller's JSON Schema for the answer, read within bounds. Pure; raises `ApiError` 400 naming its place.

Whether it is a schema at all takes longer to find out than an event loop can wait: see `schema_check`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import orjson

from claude_gateway.prompt.conversation import bad
from claude_gateway.prompt.tools import is_writable, rounded
from workers.job import OutputSchema

Schema = Mapping[str, Any]

_MOST_BYTES = 64 * 1024
_DEEPEST = 64
_MOST_PARTS = 2_000
# Under these stand schemas, by name or alone or in a list. Whatever stands elsewhere is data.
_SCHEMAS_BY_NAME = frozenset(
    {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"}
)
_SCHEMAS = frozenset(
    {
        *("items", "prefixItems", "additionalItems", "unevaluatedItems", "contains", "contentSchema"),
        *("additionalProperties", "unevaluatedProperties", "propertyNames"),
        *("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "type", "disallow", "extends"),
    }
)
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_ANCHORS = ("$anchor", "$dynamicAnchor")
# Linear time is promised for every pattern but these, which no engine of that kind knows.
_BACKTRACKS = re.compile(r"\(\?<?[=!]|\\[1-9]|\\k<")
_LONGEST_QUOTE = 80


def json_object(place: str) -> OutputSchema:
    """Any JSON object."""
    return OutputSchema(None, place)


def read_schema(schema: Schema, place: str, notes: list[str]) -> OutputSchema:
    """A schema that refers to nothing outside itself. What of it will not be checked is noted."""
    if not is_writable(schema):
        raise bad(place, "the schema is nested too deep")
    raw = orjson.dumps(schema)
    if len(raw) > _MOST_BYTES:
        raise bad(place, f"the schema has {len(raw)} bytes, and at most {_MOST_BYTES} are taken")
    whole = {name: schema[name] for name in ("$schema",) if name in schema} | _cleaned(schema, place)
    _check_parts(whole, place)
    dropped = set()
    for pattern in patterns(whole):
        if backtracks(pattern):
            dropped.add(f"the pattern {pattern[:_LONGEST_QUOTE]!r} looks around or back")
    if b'"patternProperties"' in raw and b'"unevaluatedProperties"' in raw:
        # The library would match their patterns with an engine that can be made to run for ever.
        whole = _without(whole, "unevaluatedProperties")
        dropped.add("unevaluatedProperties stands beside patternProperties")
    notes += [f"{place}: {reason}, and is not checked" for reason in sorted(dropped)]
    notes += rounded(schema, place)
    return OutputSchema(whole, place)


def backtracks(pattern: str) -> bool:
    """True for a pattern that only an engine without a bound on its time can match."""
    return _BACKTRACKS.search(pattern) is not None


def patterns(schema: Schema) -> Iterator[str]:
    for one in _every(schema):
        if isinstance(pattern := one.get("pattern"), str):
            yield pattern
        if isinstance(by_pattern := one.get("patternProperties"), Mapping):
            yield from by_pattern


def _cleaned(schema: Schema, place: str, depth: int = 0) -> dict[str, Any]:
    """Without names and dialects of its parts: with them a part would be read by other rules than the whole."""
    if depth > _DEEPEST:
        raise bad(place, f"the schema is nested deeper than {_DEEPEST}")
    cleaned = _with_parts(schema, lambda part: _cleaned(part, place, depth + 1))
    for name in ("$id", "id", "$schema", "$vocabulary"):
        if isinstance(cleaned.get(name), str | Mapping):
            del cleaned[name]
    return cleaned


def _without(schema: Schema, name: str) -> dict[str, Any]:
    kept = {key: value for key, value in schema.items() if key != name}
    return _with_parts(kept, lambda part: _without(part, name))


def _with_parts(schema: Schema, change: Callable[[Schema], Any]) -> dict[str, Any]:
    """A copy in which every schema that stands directly in this one is changed."""

    def changed(value: Any) -> Any:
        if isinstance(value, Mapping):
            return change(value)
        return [changed(part) for part in value] if isinstance(value, list) else value

    copy: dict[str, Any] = {}
    for name, value in schema.items():
        if name in _SCHEMAS_BY_NAME and isinstance(value, Mapping):
            copy[name] = {key: changed(part) for key, part in value.items()}
        else:
            copy[name] = changed(value) if name in _SCHEMAS else value
    return copy


def _every(schema: Schema) -> Iterator[Schema]:
    waiting = [schema]
    while waiting:
        one = waiting.pop()
        yield one
        _with_parts(one, waiting.append)


def _check_parts(schema: Schema, place: str) -> None:
    every = list(_every(schema))
    if len(every) > _MOST_PARTS:
        raise bad(place, f"the schema has {len(every)} parts, and at most {_MOST_PARTS} are taken")
    anchors = {one[name] for one in every for name in _ANCHORS if isinstance(one.get(name), str)}
    schemas = {id(one) for one in every} | {id(True), id(False)}
    for one in every:
        for keyword in _REFERENCES:
            ref = one.get(keyword)
            if not isinstance(ref, str) or (ref[:1] == "#" and ref[1:] in anchors):
                continue
            if not ref.startswith("#"):
                raise bad(place, f"{ref[:_LONGEST_QUOTE]!r} is outside the schema, and nothing is fetched")
            # Data that only looks like a schema was not cleaned as one.
            if id(_at(schema, ref)) not in schemas:
                raise bad(place, f"{ref[:_LONGEST_QUOTE]!r} points to no schema in the schema")


def _at(schema: Schema, ref: str) -> Any:
    """What a JSON pointer points to; None for nothing."""
    root, *steps = unquote(ref).split("/")
    at: Any = schema if root == "#" else None
    for step in steps:
        name = step.replace("~1", "/").replace("~0", "~")
        match at:
            case list() if name.isdecimal() and int(name) < len(at):
                at = at[int(name)]
            case Mapping():
                at = at.get(name)
            case _:
                return None
    return at
