"""Google's schemas as JSON Schema. The whole conversion is in the golden cases; here is what must not happen."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.dialects.gemini.schema import from_json_schema, from_openapi
from claude_gateway.errors import ApiError
from tests.claude_gateway.dialects.anything import json_values

# Property names that mean something one level up, in either case of Google's keys.
NAMES = ["type", "nullable", "min_items", "any_of", "ref", "propertyOrdering", "Items", "properties"]


@pytest.mark.parametrize("convert", [from_openapi, from_json_schema])
def test_the_names_of_properties_and_the_caller_s_values_stay(convert: Any) -> None:
    values = {
        "default": {"type": "OBJECT", "min_items": "1"},
        "enum": ["STRING", "any_of"],
        "const": {"nullable": True},
    }
    schema = {"type": "OBJECT", "properties": {name: {"type": "STRING", **values} for name in NAMES}, "required": NAMES}

    converted = convert(schema, "here")

    assert converted == {
        "type": "object",
        "properties": {name: {"type": "string", **values} for name in NAMES},
        "required": NAMES,
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "additionalProperties": False},
        {"$schema": "x", "type": "object", "nullable": True, "x_y": 1, "items": [{"type": "array"}], "minItems": "1"},
        {"anyOf": [{"$ref": "#/$defs/t"}], "$defs": {"t": {"not": {"type": "integer"}}}},
    ],
)
def test_a_json_schema_in_lower_case_stays_as_it_was_sent(schema: dict[str, Any]) -> None:
    assert from_json_schema(schema, "here") == schema


def test_types_in_upper_case_are_lowered_wherever_a_schema_stands() -> None:
    upper, lower = ({"type": word} for word in ("STRING", "string"))

    def around(one: dict[str, str]) -> dict[str, Any]:
        return {
            "properties": {"a": {"items": one}},
            "anyOf": [one],
            "additionalProperties": one,
            "$defs": {"b": {"not": one}},
            "prefixItems": [one, True],
        }

    assert from_json_schema(around(upper), "here") == around(lower)
    assert from_openapi(around(upper), "here") == around(lower)


@pytest.mark.parametrize("convert", [from_openapi, from_json_schema])
def test_a_schema_that_is_nested_too_deep_is_named(convert: Any) -> None:
    schema: dict[str, Any] = {}
    for _ in range(900):
        schema = {"items": schema}

    with pytest.raises(ApiError, match="here"):
        convert(schema, "here")


@pytest.mark.parametrize("convert", [from_openapi, from_json_schema])
@given(schema=json_values, key=st.sampled_from(["type", "properties", "enum", "items", "anyOf", "propertyOrdering"]))
def test_nothing_that_json_can_hold_breaks_the_conversion(convert: Any, schema: Any, key: str) -> None:
    convert(schema, "here")
    convert({key: schema, "nullable": True, "properties": {"a": {key: schema}}}, "here")
