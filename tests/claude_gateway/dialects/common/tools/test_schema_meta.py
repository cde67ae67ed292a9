"""Check of tool schemas, compared with a validator for the meta-schema."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError

from claude_gateway.dialects.common.tools.schema_meta import find_invalid_path
from tests.claude_gateway.dialects.strategies.json_values import json_values

KEYWORDS = sorted(
    {
        *("type", "properties", "required", "items", "prefixItems", "enum", "const", "default", "title", "description"),
        *(
            "allOf",
            "anyOf",
            "oneOf",
            "not",
            "if",
            "then",
            "else",
            "$defs",
            "definitions",
            "$ref",
            "$schema",
            "$comment",
        ),
        *("additionalProperties", "patternProperties", "propertyNames", "unevaluatedProperties", "unevaluatedItems"),
        *("dependentSchemas", "dependentRequired", "dependencies", "contains", "maxContains", "minContains"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength"),
        *("pattern", "format", "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties", "examples"),
        *("deprecated", "readOnly", "writeOnly", "contentEncoding", "contentMediaType", "contentSchema", "a_keyword"),
    }
)
values = json_values | st.sampled_from(
    [*("string", "object", ["string", "null"], ["a", "b"], [], {}, [True], {"a": ["b"]}, [[1]]), 0, 1, 2.0, -1, 0.5]
)
schemas = st.recursive(
    st.dictionaries(st.sampled_from(KEYWORDS), values, max_size=2) | st.booleans(),
    lambda inner: st.dictionaries(
        st.sampled_from(KEYWORDS),
        inner | st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2) | values,
        max_size=3,
    ),
    max_leaves=6,
)
CITY = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {"city": {"type": "string", "exclusiveMinimum": 3}, "deep": {"$ref": "#/$defs/any"}},
    "required": ["city"],
    "additionalProperties": False,
    "$defs": {"any": {"anyOf": [{"type": "null"}, {"type": ["integer", "string"], "default": {"type": 5}}]}},
}


def is_schema(value: Any) -> bool:
    """Validate with the meta-schema, but do not check the syntax of patterns."""
    try:
        Draft202012Validator.check_schema(value, format_checker=FormatChecker(formats=()))
    except SchemaError:
        return False
    return True


@given(schemas)
def test_agrees_with_a_meta_schema_validator(schema: Any) -> None:
    assert (find_invalid_path(schema) is None) is is_schema(schema)


@pytest.mark.parametrize(
    ("schema", "field_path"),
    [
        ({"type": "any"}, ".type"),
        ({"properties": {"city": {"type": "string", "required": True}}}, ".properties.city.required"),
        ({"properties": ["city"]}, ".properties"),
        ({"anyOf": [{"type": "string"}, "string"]}, ".anyOf.1"),
        ({"items": [{"type": "string"}]}, ".items"),
    ],
)
def test_returns_the_path_of_the_invalid_part(schema: dict[str, Any], field_path: str) -> None:
    assert find_invalid_path(schema) == field_path


def test_checks_deep_and_large_schema_quickly() -> None:
    deep: dict[str, Any] = CITY
    for _ in range(5_000):
        deep = {"not": deep}
    wide = {"properties": {f"name{n}": CITY for n in range(10_000)}}

    assert find_invalid_path(deep) is find_invalid_path(wide) is None
