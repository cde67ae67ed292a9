"""Conversion of Google's schemas to JSON Schema.

The golden cases cover the whole conversion; these tests cover data that must stay unchanged, and invalid schemas.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.core.errors import ApiError
from claude_gateway.dialects.gemini.json_schema import from_json_schema, from_openapi
from tests.claude_gateway.dialects.strategies.json_values import json_values

# Property names that are also keywords, in both cases of Google's keywords.
PROPERTY_NAMES = ["type", "nullable", "min_items", "any_of", "ref", "propertyOrdering", "Items", "properties"]


@pytest.mark.parametrize("convert", [from_openapi, from_json_schema])
def test_keeps_property_names_and_client_values(convert: Any) -> None:
    values = {
        "default": {"type": "OBJECT", "min_items": "1"},
        "enum": ["STRING", "any_of"],
        "const": {"nullable": True},
    }
    schema = {
        "type": "OBJECT",
        "properties": {name: {"type": "STRING", **values} for name in PROPERTY_NAMES},
        "required": PROPERTY_NAMES,
    }

    converted = convert(schema, "schema_path")

    assert converted == {
        "type": "object",
        "properties": {name: {"type": "string", **values} for name in PROPERTY_NAMES},
        "required": PROPERTY_NAMES,
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "additionalProperties": False},
        {"$schema": "x", "type": "object", "nullable": True, "x_y": 1, "items": [{"type": "array"}], "minItems": "1"},
        {"anyOf": [{"$ref": "#/$defs/t"}], "$defs": {"t": {"not": {"type": "integer"}}}},
    ],
)
def test_leaves_lowercase_json_schema_unchanged(schema: dict[str, Any]) -> None:
    assert from_json_schema(schema, "schema_path") == schema


def test_lowercases_types_at_every_depth() -> None:
    uppercase, lowercase = ({"type": name} for name in ("STRING", "string"))

    def nest(subschema: dict[str, str]) -> dict[str, Any]:
        return {
            "properties": {"a": {"items": subschema}},
            "anyOf": [subschema],
            "additionalProperties": subschema,
            "$defs": {"b": {"not": subschema}},
            "prefixItems": [subschema, True],
        }

    assert from_json_schema(nest(uppercase), "schema_path") == nest(lowercase)
    assert from_openapi(nest(uppercase), "schema_path") == nest(lowercase)


@pytest.mark.parametrize("convert", [from_openapi, from_json_schema])
def test_rejects_too_deeply_nested_schema_with_its_field_path(convert: Any) -> None:
    schema: dict[str, Any] = {}
    for _ in range(900):
        schema = {"items": schema}

    with pytest.raises(ApiError, match="schema_path"):
        convert(schema, "schema_path")


@pytest.mark.parametrize("convert", [from_openapi, from_json_schema])
@given(schema=json_values, key=st.sampled_from(["type", "properties", "enum", "items", "anyOf", "propertyOrdering"]))
def test_converts_any_json_without_error(convert: Any, schema: Any, key: str) -> None:
    convert(schema, "schema_path")
    convert({key: schema, "nullable": True, "properties": {"a": {key: schema}}}, "schema_path")
