"""Conversion of client schemas, checked with the validation of the fake Anthropic API."""

from typing import Any

import pytest
from hypothesis import given

from claude_gateway.devtools.fake_anthropic.schema_validation import find_output_schema_problems
from tests.workers.schemas import json_schemas, mutated_schemas
from workers.params.output_schema import to_native_schema

Json = dict[str, Any]
TEXT = {"type": "string"}


def open_object(schema: Any, **more: Any) -> Json:
    """Build the schema of an object with one property."""
    return {"type": "object", "properties": {"a": schema}, "required": ["a"], **more}


def closed_object(schema: Any, **more: Any) -> Json:
    return {**open_object(schema), "additionalProperties": False, **more}


def find_problems(schema: Json) -> list[str]:
    format_ = {"type": "json_schema", "schema": schema}
    return list(find_output_schema_problems({"model": "m", "output_config": {"format": format_}}, True))


@given(json_schemas)
def test_upstream_accepts_every_converted_schema(schema: Json) -> None:
    native_schema = to_native_schema(schema)

    assert native_schema is None or find_problems(dict(native_schema)) == []


@pytest.mark.parametrize(
    ("schema", "native_schema"),
    [
        (open_object(TEXT), closed_object(TEXT)),
        (open_object(TEXT, additionalProperties=True), closed_object(TEXT)),
        (open_object(TEXT, **{"$schema": "http://json-schema.org/draft-07/schema#", "$id": "x"}), closed_object(TEXT)),
        ({**open_object(TEXT), "required": []}, {**closed_object(TEXT), "required": []}),
        ({"type": "object", "additionalProperties": False}, closed_object(TEXT, properties={}, required=[])),
        (
            open_object({"type": "integer", "minimum": 1, "maximum": 9, "description": "How old."}),
            closed_object({"type": "integer", "description": 'How old.\n\nAlso: {"minimum":1,"maximum":9}'}),
        ),
        (
            open_object({"type": "array", "items": TEXT, "minItems": 1, "maxItems": 3}),
            closed_object({"type": "array", "items": TEXT, "minItems": 1, "description": 'Also: {"maxItems":3}'}),
        ),
        (
            open_object({"type": "array", "items": TEXT, "minItems": 2}),
            closed_object({"type": "array", "items": TEXT, "description": 'Also: {"minItems":2}'}),
        ),
        (open_object({**TEXT, "format": "date"}), closed_object({**TEXT, "format": "date"})),
        (open_object({**TEXT, "format": "color"}), closed_object({**TEXT, "description": 'Also: {"format":"color"}'})),
        (open_object({**TEXT, "pattern": r"^\d{2}-[a-z]+$"}), closed_object({**TEXT, "pattern": r"^\d{2}-[a-z]+$"})),
        (
            open_object({**TEXT, "pattern": "^(?=a)b"}),
            closed_object({**TEXT, "description": 'Also: {"pattern":"^(?=a)b"}'}),
        ),
        (open_object({**TEXT, "enum": ["x", "y"]}), closed_object({"enum": ["x", "y"]})),
        (open_object({"type": ["string", "null"], "enum": ["x", None, 5]}), closed_object({"enum": ["x", None]})),
        (open_object({"const": "x"}), closed_object({"enum": ["x"]})),
        (open_object({"oneOf": [TEXT, {"type": "null"}]}), closed_object({"anyOf": [TEXT, {"type": "null"}]})),
        (
            open_object({"type": ["string", "null"], "maxLength": 3, "description": "D"}),
            closed_object(
                {
                    "description": "D",
                    "anyOf": [{**TEXT, "description": 'Also: {"maxLength":3}'}, {"type": "null"}],
                }
            ),
        ),
        (open_object({"allOf": [TEXT], "description": "D"}), closed_object({**TEXT, "description": "D"})),
        (
            open_object({"$ref": "#/$defs/T", "description": "dropped"}, **{"$defs": {"T": TEXT, "unused": True}}),
            closed_object({"$ref": "#/$defs/T"}, **{"$defs": {"T": TEXT}}),
        ),
        (
            open_object({"allOf": [{"$ref": "#/definitions/T"}], "default": "x"}, definitions={"T": TEXT}),
            closed_object({"$ref": "#/definitions/T"}, definitions={"T": TEXT}),
        ),
        (
            open_object({"$ref": "#/$defs/a~1b~0"}, **{"$defs": {"a/b~": TEXT}}),
            closed_object({"$ref": "#/$defs/a~1b~0"}, **{"$defs": {"a/b~": TEXT}}),
        ),
        ({"$ref": "#/$defs/T", "$defs": {"T": TEXT}}, {"$ref": "#/$defs/T", "$defs": {"T": TEXT}}),
        ({"type": "array", "items": TEXT}, {"type": "array", "items": TEXT}),
    ],
)
def test_converts_a_schema_to_the_subset_of_the_api(schema: Json, native_schema: Json) -> None:
    assert to_native_schema(schema) == native_schema
    assert find_problems(native_schema) == []


@pytest.mark.parametrize(
    "schema",
    [
        {},
        open_object(True),
        open_object({}),
        open_object({"description": "anything"}),
        open_object({"type": "array"}),
        open_object({"type": "array", "items": [TEXT]}),
        open_object({"type": "array", "items": TEXT, "prefixItems": [TEXT]}),
        {"type": "object"},
        open_object(TEXT, additionalProperties=TEXT),
        open_object(TEXT, patternProperties={"^x-": TEXT}),
        open_object(TEXT, required=["another"]),
        open_object(TEXT, required="a"),
        open_object({"enum": [{"deep": 1}]}),
        open_object({**TEXT, "enum": [1, 2]}),
        open_object({"enum": []}),
        open_object({"allOf": [open_object(TEXT), open_object(TEXT)]}),
        open_object(TEXT, anyOf=[{"required": ["a"]}]),
        open_object({"type": "stringy"}),
        open_object({"$ref": "#"}),
        open_object({"$ref": "#/properties/a"}),
        open_object({"$ref": "#/$defs/T", "minLength": 3}, **{"$defs": {"T": TEXT}}),
        open_object({"$ref": "#/$defs/T"}, **{"$defs": {"T": open_object({"$ref": "#/$defs/T"})}}),
        open_object(
            {"$ref": "#/$defs/T"},
            **{"$defs": {"T": {"anyOf": [{"$ref": "#/$defs/U"}]}, "U": open_object({"$ref": "#/$defs/T"})}},
        ),
        {"type": "object", "properties": {str(n): TEXT for n in range(25)}},
        {"type": "object", "properties": {str(n): {"type": ["string", "null"]} for n in range(17)}},
        {"type": "object", "properties": [TEXT]},
        {"$defs": 5, **open_object(TEXT)},
        open_object({"type": ["string", "string"]}),
    ],
    ids=str,
)
def test_returns_none_for_a_schema_that_the_subset_cannot_express(schema: Json) -> None:
    assert to_native_schema(schema) is None


def test_returns_none_for_duplicate_types_in_nested_lists() -> None:
    schema: Json = TEXT
    for _ in range(30):
        schema = {"type": ["array"] * 30, "items": schema}

    assert to_native_schema(open_object(schema)) is None


@given(mutated_schemas())
def test_never_fails_for_an_invalid_schema(schema: Json) -> None:
    native_schema = to_native_schema(schema)

    assert native_schema is None or isinstance(native_schema, dict)


@pytest.mark.parametrize(
    "invalid",
    [
        {"type": [[], "null"]},
        {"type": [{}], "enum": ["a"]},
        {"type": ["string", 5]},
        {"type": "string", "format": []},
        {"$ref": []},
        {"anyOf": {"a": 1}},
        {"enum": {"a": 1}},
    ],
    ids=str,
)
def test_never_fails_for_a_keyword_with_an_invalid_value(invalid: Json) -> None:
    to_native_schema(open_object(invalid))


def test_returns_none_for_a_very_long_chain_of_definitions() -> None:
    chain = {str(n): {"$ref": f"#/$defs/{n + 1}"} for n in range(1_500)}

    assert to_native_schema({"$ref": "#/$defs/0", "$defs": {**chain, "1500": TEXT}}) is None


def test_does_not_change_the_schema_of_the_client() -> None:
    schema = open_object(
        {"allOf": [{"type": ["string", "null"], "minLength": 1}], "description": "D"}, **{"$defs": {"T": TEXT}}
    )
    before = repr(schema)

    to_native_schema(schema)

    assert repr(schema) == before
