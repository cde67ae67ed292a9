"""What of a caller's JSON Schema the Messages API takes as `output_config.format`. Pure.

Sources: the documented limitations of structured outputs, the texts of the 400s that enforce them, and what
Anthropic's own client leaves out (anthropic 2.12). Whatever satisfies the result and what its descriptions add
satisfies the caller's schema too; where the API's subset cannot say so much, there is no result.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

Schema = Mapping[str, Any]

# The API refuses a request with more of them, all schemas together.
_MOST_OPTIONAL = 24
_MOST_UNIONS = 16

_FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid")
# Look-around, back references, word boundaries, other escapes and long repetitions are refused.
_REFUSED_IN_A_PATTERN = re.compile(r"\(\?|\\[^dDwWsS.\-+*?()\[\]{}|^$/\\]|\{\d*,?\d{3,}|[^ -~]")
_LONGEST_PATTERN = 200

# Asks nothing of the answer.
_SILENT = frozenset(
    {"$schema", "$id", "$anchor", "$comment", "$defs", "definitions", "readOnly", "writeOnly", "deprecated"}
)
_MAY_STAND_BESIDE_A_REFERENCE = _SILENT | {"title", "description", "default", "examples"}
# Without these the rest would mean something else.
_UNSAYABLE = frozenset({"allOf", "anyOf", "oneOf", "prefixItems", "patternProperties", "$dynamicRef", "$recursiveRef"})
# Keywords that speak of one type alone.
_SPEAKS_OF: Mapping[str, frozenset[str]] = {
    "object": frozenset({"properties", "required", "additionalProperties", "minProperties", "maxProperties"}),
    "array": frozenset({"items", "minItems", "maxItems", "uniqueItems", "contains"}),
    "string": frozenset({"format", "pattern", "minLength", "maxLength"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    "boolean": frozenset(),
    "null": frozenset(),
}


def fitted_schema(schema: Schema) -> Schema | None:
    """The schema as the API takes it; None where it cannot be said in its subset. Takes what is no schema, too."""
    try:
        fitting = _Fitting(schema)
        fitted = fitting.whole()
    except (_CannotSay, RecursionError):  # definitions may lead from one to the next without end
        return None
    if fitting.optional > _MOST_OPTIONAL or fitting.unions > _MOST_UNIONS:
        return None
    return fitted


class _CannotSay(Exception):
    """The subset has no words for it."""


class _Fitting:
    """One pass over a schema; counts what the API counts."""

    def __init__(self, schema: Schema) -> None:
        self.optional = self.unions = 0
        self._schema = schema
        self._places = {
            f"#/{group}/{name.replace('~', '~0').replace('/', '~1')}": (group, name)
            for group in ("$defs", "definitions")
            for name in _mapping(schema.get(group, {}))
        }
        self._open: set[str] = set()
        self._definitions: dict[str, dict[str, Any]] = {}
        self._done: set[str] = set()

    def whole(self) -> Schema:
        return {**self._fit(self._schema), **self._definitions}

    def _fit(self, schema: Any) -> dict[str, Any]:
        left = {name: value for name, value in _mapping(schema).items() if name not in _SILENT}
        if "$ref" in left:
            return self._reference(left)
        match left:
            case {"allOf": [dict(only)]}:
                del left["allOf"]
                if left.keys() & only.keys() - {"title", "description"}:
                    raise _CannotSay
                return self._fit({**only, **left})
            case {"type": [_, _, *_] as types} if "enum" not in left and "const" not in left:
                return self._one_of_types(left, types)
        fitted = {name: value for name in ("title", "description") if isinstance(value := left.pop(name, None), str)}
        fitted |= self._core(left)
        if left.keys() & _UNSAYABLE:
            raise _CannotSay
        if left:
            # The model reads it all the same, and the answer is held against it afterwards.
            also = f"Also: {orjson.dumps(left, default=str).decode()}"
            fitted["description"] = f"{fitted['description']}\n\n{also}" if "description" in fitted else also
        return fitted

    def _reference(self, left: dict[str, Any]) -> dict[str, Any]:
        """A reference stands alone, and to a definition that does not come back to itself."""
        ref = left["$ref"]
        alone = not left.keys() - {"$ref"} - _MAY_STAND_BESIDE_A_REFERENCE
        if not alone or not isinstance(ref, str) or ref not in self._places or ref in self._open:
            raise _CannotSay
        if ref not in self._done:
            group, name = self._places[ref]
            self._open.add(ref)
            self._definitions.setdefault(group, {})[name] = self._fit(self._schema[group][name])
            self._open.discard(ref)
            self._done.add(ref)
        return {"$ref": ref}

    def _one_of_types(self, left: dict[str, Any], types: list[Any]) -> dict[str, Any]:
        """A list of types as so many schemas, each with the keywords that speak of its type."""
        if not all(isinstance(type_, str) for type_ in types) or len(set(types)) < len(types):
            raise _CannotSay  # no schema; and copies within copies are how a small one becomes a huge one
        self.unions += 1
        fitted: dict[str, Any] = {name: left.pop(name) for name in ("title", "description") if name in left}
        del left["type"]
        fitted["anyOf"] = [self._fit({"type": type_, **_relevant(left, type_)}) for type_ in types]
        return fitted

    def _core(self, left: dict[str, Any]) -> dict[str, Any]:
        """What the API takes of `left`; taken out of it."""
        if "enum" in left or "const" in left:
            return _literals(left)
        if variants := left.pop("anyOf", None) or left.pop("oneOf", None):
            if "type" in left or not isinstance(variants, list):
                raise _CannotSay
            self.unions += 1
            return {"anyOf": [self._fit(variant) for variant in variants]}
        type_ = left.pop("type", None)
        match [type_] if isinstance(type_, str) else type_:
            case ["object"]:
                return self._object(left)
            case ["array"]:
                fitted = {"type": "array", "items": self._fit(left.pop("items", None))}
                return fitted | _taken(left, "minItems", left.get("minItems") in (0, 1))
            case ["string"]:
                return (
                    {"type": "string"}
                    | _taken(left, "format", left.get("format") in _FORMATS)
                    | _taken(left, "pattern", _is_plain(left.get("pattern")))
                )
            case ["number" | "integer" | "boolean" | "null" as plain]:
                return {"type": plain}
        raise _CannotSay

    def _object(self, left: dict[str, Any]) -> dict[str, Any]:
        """Every object is closed. One whose properties are not named cannot be."""
        properties = _mapping(left.pop("properties", {}))
        others = left.pop("additionalProperties", True)
        required = left.pop("required", [])
        if others not in (True, False, {}) or (others is not False and not properties):
            raise _CannotSay
        if not isinstance(required, list) or not all(isinstance(name, str) and name in properties for name in required):
            raise _CannotSay
        self.optional += len(properties.keys() - set(required))
        return {
            "type": "object",
            "properties": {name: self._fit(schema) for name, schema in properties.items()},
            "additionalProperties": False,
            "required": required,
        }


def _literals(left: dict[str, Any]) -> dict[str, Any]:
    """Beside a list of values the API takes no type, and in it nothing but plain values."""
    types = left.pop("type", None)
    values = [left.pop("const")] if "const" in left else left.pop("enum")
    if not isinstance(values, list):
        raise _CannotSay
    fitting = [value for value in values if types is None or _is_of(value, types)]
    if not fitting or any(isinstance(value, dict | list) for value in values):
        raise _CannotSay
    return {"enum": fitting}


def _is_of(value: Any, types: Any) -> bool:
    words: tuple[str, ...]
    match value:
        case None:
            words = ("null",)
        case bool():
            words = ("boolean",)
        case int():
            words = ("integer", "number")
        case float():
            words = ("number", "integer") if value.is_integer() else ("number",)
        case _:
            words = ("string",)
    return any(type_ in words for type_ in (types if isinstance(types, list) else [types]))


def _relevant(left: Schema, type_: Any) -> dict[str, Any]:
    own = _SPEAKS_OF["number"] if type_ == "integer" else _SPEAKS_OF.get(type_, frozenset())
    others = frozenset[str]().union(*_SPEAKS_OF.values()) - own
    return {name: value for name, value in left.items() if name not in others}


def _taken(left: dict[str, Any], name: str, takes: bool) -> dict[str, Any]:
    return {name: left.pop(name)} if takes else {}


def _is_plain(pattern: Any) -> bool:
    return isinstance(pattern, str) and len(pattern) <= _LONGEST_PATTERN and not _REFUSED_IN_A_PATTERN.search(pattern)


def _mapping(value: Any) -> Schema:
    if not isinstance(value, Mapping):
        raise _CannotSay
    return value
