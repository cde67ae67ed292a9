"""Converts a client's JSON Schema to the subset of JSON Schema that the Messages API can enforce. No I/O.

The converted schema becomes the field `output_config.format` of the request to the API. The rules come from three
sources: the limitations in the documentation of the API, the texts of the API's errors with status 400, and the
keywords that Anthropic's client library removes from schemas (anthropic 2.12).

A value that matches the converted schema and follows the descriptions in it also matches the client's schema. If the
subset cannot express the client's schema, the conversion fails.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

Schema = Mapping[str, Any]

# The API rejects a request if all schemas in the request together have more optional properties or unions than this.
_MAX_OPTIONAL_COUNT = 24
_MAX_UNION_COUNT = 16

_SUPPORTED_FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid")
# The API rejects look-around, back references, word boundaries, other escapes and long repetitions.
_UNSUPPORTED_IN_PATTERN = re.compile(r"\(\?|\\[^dDwWsS.\-+*?()\[\]{}|^$/\\]|\{\d*,?\d{3,}|[^ -~]")
_MAX_PATTERN_CHARS = 200

# Keywords that do not restrict the reply. The conversion drops them.
_ANNOTATION_KEYWORDS = frozenset(
    {"$schema", "$id", "$anchor", "$comment", "$defs", "definitions", "readOnly", "writeOnly", "deprecated"}
)
_REF_SIBLING_KEYWORDS = _ANNOTATION_KEYWORDS | {"title", "description", "default", "examples"}
# Keywords that the conversion cannot leave out, because the other keywords would then have another meaning.
_UNSUPPORTED_KEYWORDS = frozenset(
    {"allOf", "anyOf", "oneOf", "prefixItems", "patternProperties", "$dynamicRef", "$recursiveRef"}
)
# Keywords that apply to only one type.
_TYPE_KEYWORDS: Mapping[str, frozenset[str]] = {
    "object": frozenset({"properties", "required", "additionalProperties", "minProperties", "maxProperties"}),
    "array": frozenset({"items", "minItems", "maxItems", "uniqueItems", "contains"}),
    "string": frozenset({"format", "pattern", "minLength", "maxLength"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    "boolean": frozenset(),
    "null": frozenset(),
}


def to_native_schema(schema: Schema) -> Schema | None:
    """Convert a schema to the subset that the API can enforce.

    Returns:
        The converted schema. None if the subset cannot express the schema, or if the schema is invalid.
    """
    try:
        converter = _SchemaConverter(schema)
        native_schema = converter.convert()
    except (_UnsupportedSchemaError, RecursionError):  # the definitions may be nested very deeply
        return None
    if converter.optional_count > _MAX_OPTIONAL_COUNT or converter.union_count > _MAX_UNION_COUNT:
        return None
    return native_schema


class _UnsupportedSchemaError(Exception):
    """Raised if the subset of JSON Schema that the API can enforce cannot express the client's schema."""


class _SchemaConverter:
    """Converts one schema, and counts the optional properties and unions as the API does."""

    def __init__(self, schema: Schema) -> None:
        self.optional_count = self.union_count = 0
        self._schema = schema
        self._definition_paths = {
            f"#/{group}/{name.replace('~', '~0').replace('/', '~1')}": (group, name)
            for group in ("$defs", "definitions")
            for name in _require_mapping(schema.get(group, {}))
        }
        self._active_refs: set[str] = set()
        self._converted_definitions: dict[str, dict[str, Any]] = {}
        self._converted_refs: set[str] = set()

    def convert(self) -> Schema:
        return {**self._convert(self._schema), **self._converted_definitions}

    def _convert(self, schema: Any) -> dict[str, Any]:
        remaining = {
            name: value for name, value in _require_mapping(schema).items() if name not in _ANNOTATION_KEYWORDS
        }
        if "$ref" in remaining:
            return self._convert_reference(remaining)
        match remaining:
            case {"allOf": [dict(only)]}:
                del remaining["allOf"]
                if remaining.keys() & only.keys() - {"title", "description"}:
                    raise _UnsupportedSchemaError
                return self._convert({**only, **remaining})
            case {"type": [_, _, *_] as types} if "enum" not in remaining and "const" not in remaining:
                return self._convert_type_list(remaining, types)
        converted = {
            name: value for name in ("title", "description") if isinstance(value := remaining.pop(name, None), str)
        }
        converted |= self._convert_supported(remaining)
        if remaining.keys() & _UNSUPPORTED_KEYWORDS:
            raise _UnsupportedSchemaError
        if remaining:
            # Add the other keywords to the description, so that the model reads them. The gateway later checks the
            # reply.
            also = f"Also: {orjson.dumps(remaining, default=str).decode()}"
            converted["description"] = f"{converted['description']}\n\n{also}" if "description" in converted else also
        return converted

    def _convert_reference(self, remaining: dict[str, Any]) -> dict[str, Any]:
        """Convert a `$ref`. Fail if there are other keywords next to it, or if the definition refers to itself."""
        ref = remaining["$ref"]
        is_alone = not remaining.keys() - {"$ref"} - _REF_SIBLING_KEYWORDS
        if not is_alone or not isinstance(ref, str) or ref not in self._definition_paths or ref in self._active_refs:
            raise _UnsupportedSchemaError
        if ref not in self._converted_refs:
            group, name = self._definition_paths[ref]
            self._active_refs.add(ref)
            self._converted_definitions.setdefault(group, {})[name] = self._convert(self._schema[group][name])
            self._active_refs.discard(ref)
            self._converted_refs.add(ref)
        return {"$ref": ref}

    def _convert_type_list(self, remaining: dict[str, Any], types: list[Any]) -> dict[str, Any]:
        """Convert a list of types to a union. Each branch gets one type and the keywords that apply to this type."""
        if not all(isinstance(type_, str) for type_ in types) or len(set(types)) < len(types):
            raise _UnsupportedSchemaError  # the list is invalid, and nested duplicates would make a small schema huge
        self.union_count += 1
        converted: dict[str, Any] = {
            name: remaining.pop(name) for name in ("title", "description") if name in remaining
        }
        del remaining["type"]
        converted["anyOf"] = [
            self._convert({"type": type_, **_select_type_keywords(remaining, type_)}) for type_ in types
        ]
        return converted

    def _convert_supported(self, remaining: dict[str, Any]) -> dict[str, Any]:
        """Remove the keywords that the API supports from `remaining`, and return their converted form."""
        if "enum" in remaining or "const" in remaining:
            return _convert_enum(remaining)
        if variants := remaining.pop("anyOf", None) or remaining.pop("oneOf", None):
            if "type" in remaining or not isinstance(variants, list):
                raise _UnsupportedSchemaError
            self.union_count += 1
            return {"anyOf": [self._convert(variant) for variant in variants]}
        type_ = remaining.pop("type", None)
        match [type_] if isinstance(type_, str) else type_:
            case ["object"]:
                return self._convert_object(remaining)
            case ["array"]:
                converted = {"type": "array", "items": self._convert(remaining.pop("items", None))}
                return converted | _take_if_supported(remaining, "minItems", remaining.get("minItems") in (0, 1))
            case ["string"]:
                return (
                    {"type": "string"}
                    | _take_if_supported(remaining, "format", remaining.get("format") in _SUPPORTED_FORMATS)
                    | _take_if_supported(remaining, "pattern", _is_supported_pattern(remaining.get("pattern")))
                )
            case ["number" | "integer" | "boolean" | "null" as plain]:
                return {"type": plain}
        raise _UnsupportedSchemaError

    def _convert_object(self, remaining: dict[str, Any]) -> dict[str, Any]:
        """Convert a schema of type object to one with `additionalProperties: false`, because the API requires this.

        The conversion fails if `additionalProperties` contains a schema, or if the object may have additional
        properties and `properties` is empty.
        """
        properties = _require_mapping(remaining.pop("properties", {}))
        additional = remaining.pop("additionalProperties", True)
        required = remaining.pop("required", [])
        if additional not in (True, False, {}) or (additional is not False and not properties):
            raise _UnsupportedSchemaError
        if not isinstance(required, list) or not all(isinstance(name, str) and name in properties for name in required):
            raise _UnsupportedSchemaError
        self.optional_count += len(properties.keys() - set(required))
        return {
            "type": "object",
            "properties": {name: self._convert(schema) for name, schema in properties.items()},
            "additionalProperties": False,
            "required": required,
        }


def _convert_enum(remaining: dict[str, Any]) -> dict[str, Any]:
    """Convert a list of allowed values (`enum`). The API rejects a `type` next to it, and objects or arrays in it."""
    types = remaining.pop("type", None)
    values = [remaining.pop("const")] if "const" in remaining else remaining.pop("enum")
    if not isinstance(values, list):
        raise _UnsupportedSchemaError
    matching = [value for value in values if types is None or _has_type(value, types)]
    if not matching or any(isinstance(value, dict | list) for value in values):
        raise _UnsupportedSchemaError
    return {"enum": matching}


def _has_type(value: Any, types: Any) -> bool:
    type_names: tuple[str, ...]
    match value:
        case None:
            type_names = ("null",)
        case bool():
            type_names = ("boolean",)
        case int():
            type_names = ("integer", "number")
        case float():
            type_names = ("number", "integer") if value.is_integer() else ("number",)
        case _:
            type_names = ("string",)
    return any(type_ in type_names for type_ in (types if isinstance(types, list) else [types]))


def _select_type_keywords(remaining: Schema, type_: Any) -> dict[str, Any]:
    own_keywords = _TYPE_KEYWORDS["number"] if type_ == "integer" else _TYPE_KEYWORDS.get(type_, frozenset())
    other_keywords = frozenset[str]().union(*_TYPE_KEYWORDS.values()) - own_keywords
    return {name: value for name, value in remaining.items() if name not in other_keywords}


def _take_if_supported(remaining: dict[str, Any], name: str, is_supported: bool) -> dict[str, Any]:
    return {name: remaining.pop(name)} if is_supported else {}


def _is_supported_pattern(pattern: Any) -> bool:
    return (
        isinstance(pattern, str) and len(pattern) <= _MAX_PATTERN_CHARS and not _UNSUPPORTED_IN_PATTERN.search(pattern)
    )


def _require_mapping(value: Any) -> Schema:
    if not isinstance(value, Mapping):
        raise _UnsupportedSchemaError
    return value
