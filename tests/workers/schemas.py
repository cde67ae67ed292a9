"""Hypothesis strategies for JSON Schemas as clients write them, also with parts that the API does not accept."""

from typing import Any

from hypothesis import strategies as st

from tests.claude_gateway.dialects.strategies.json_values import mutated

_names = st.sampled_from(["a", "b", "c", "d"])
_scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-1, 1) | st.sampled_from(["x", "", "é"])
_types = st.sampled_from(["object", "array", "string", "integer", "number", "boolean", "null"])
_keywords: dict[str, st.SearchStrategy[Any]] = {
    "title": st.just("T"),
    "description": st.just("D"),
    "default": _scalars,
    "examples": st.lists(_scalars, max_size=2),
    "$comment": st.just("c"),
    "minimum": st.integers(0, 3),
    "exclusiveMaximum": st.floats(0, 9),
    "multipleOf": st.integers(1, 3),
    "minLength": st.integers(0, 3),
    "maxLength": st.integers(0, 9),
    "format": st.sampled_from(["date", "uuid", "color"]),
    "pattern": st.sampled_from(["^a+$", r"\bword\b", "(?=a)b", r"\d{2,4}", "(a)\\1", "x{1,9999}"]),
    "minItems": st.integers(0, 3),
    "maxItems": st.integers(0, 3),
    "uniqueItems": st.booleans(),
    "minProperties": st.integers(0, 3),
    "required": st.lists(_names, unique=True, max_size=3),
    "additionalProperties": st.booleans(),
    "readOnly": st.booleans(),
    "enum": st.lists(_scalars | st.just({"deep": 1}), max_size=3),
    "const": _scalars,
}
_values = st.fixed_dictionaries({}, optional=_keywords)


def _nested_schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return schemas that contain other schemas."""
    structure = st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(_names, inner, max_size=3),
            "items": inner,
            "anyOf": st.lists(inner, min_size=1, max_size=3),
            "oneOf": st.lists(inner, min_size=1, max_size=2),
            "allOf": st.lists(inner, min_size=1, max_size=2),
            "not": inner,
            "if": inner,
            "patternProperties": st.dictionaries(st.just("^x-"), inner, max_size=1),
            "additionalProperties": inner,
            "prefixItems": st.lists(inner, min_size=1, max_size=2),
        },
    )
    typed = _types | st.lists(_types, unique=True, min_size=1, max_size=3)
    return st.builds(lambda a, b, t: {**a, **b, **({"type": t} if t else {})}, structure, _values, st.none() | typed)


_references = st.sampled_from(["#/$defs/a", "#/$defs/b", "#/definitions/c", "#", "#/properties/a", "#/$defs/none"]).map(
    lambda ref: {"$ref": ref}
)
_leaves = st.builds(lambda values, t: {**values, "type": t}, _values, _types) | _references | st.booleans()
_parts = st.recursive(_leaves, _nested_schemas, max_leaves=5)
json_schemas: st.SearchStrategy[dict[str, Any]] = st.builds(
    lambda root, defs, more: {**root, **({"$defs": defs} if defs else {}), **({"definitions": more} if more else {})},
    _parts.filter(lambda part: isinstance(part, dict)),
    st.dictionaries(_names, _parts, max_size=2),
    st.dictionaries(_names, _parts, max_size=1),
)


def mutated_schemas() -> st.SearchStrategy[dict[str, Any]]:
    """Return such schemas with one value replaced by another."""
    return json_schemas.filter(bool).flatmap(mutated)
