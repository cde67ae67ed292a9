"""What of a caller's schema the API takes, held against the refusals of the stand-in."""

from typing import Any

import pytest
from hypothesis import given

from claude_gateway.demo.schema_refusals import schema_complaints
from tests.workers.schemas import json_schemas, spoilt_schemas
from workers.output_schema import fitted_schema

Json = dict[str, Any]
TEXT = {"type": "string"}


def one(schema: Any, **more: Any) -> Json:
    """An object with one property."""
    return {"type": "object", "properties": {"a": schema}, "required": ["a"], **more}


def closed(schema: Any, **more: Any) -> Json:
    return {**one(schema), "additionalProperties": False, **more}


def complaints(schema: Json) -> list[str]:
    format_ = {"type": "json_schema", "schema": schema}
    return list(schema_complaints({"model": "m", "output_config": {"format": format_}}, True))


@given(json_schemas)
def test_what_was_fitted_is_taken_upstream(schema: Json) -> None:
    fitted = fitted_schema(schema)

    assert fitted is None or complaints(dict(fitted)) == []


@pytest.mark.parametrize(
    ("schema", "fitted"),
    [
        (one(TEXT), closed(TEXT)),
        (one(TEXT, additionalProperties=True), closed(TEXT)),
        (one(TEXT, **{"$schema": "http://json-schema.org/draft-07/schema#", "$id": "x"}), closed(TEXT)),
        ({**one(TEXT), "required": []}, {**closed(TEXT), "required": []}),
        ({"type": "object", "additionalProperties": False}, closed(TEXT, properties={}, required=[])),
        (
            one({"type": "integer", "minimum": 1, "maximum": 9, "description": "How old."}),
            closed({"type": "integer", "description": 'How old.\n\nAlso: {"minimum":1,"maximum":9}'}),
        ),
        (
            one({"type": "array", "items": TEXT, "minItems": 1, "maxItems": 3}),
            closed({"type": "array", "items": TEXT, "minItems": 1, "description": 'Also: {"maxItems":3}'}),
        ),
        (
            one({"type": "array", "items": TEXT, "minItems": 2}),
            closed({"type": "array", "items": TEXT, "description": 'Also: {"minItems":2}'}),
        ),
        (one({**TEXT, "format": "date"}), closed({**TEXT, "format": "date"})),
        (one({**TEXT, "format": "color"}), closed({**TEXT, "description": 'Also: {"format":"color"}'})),
        (one({**TEXT, "pattern": r"^\d{2}-[a-z]+$"}), closed({**TEXT, "pattern": r"^\d{2}-[a-z]+$"})),
        (one({**TEXT, "pattern": "^(?=a)b"}), closed({**TEXT, "description": 'Also: {"pattern":"^(?=a)b"}'})),
        (one({**TEXT, "enum": ["x", "y"]}), closed({"enum": ["x", "y"]})),
        (one({"type": ["string", "null"], "enum": ["x", None, 5]}), closed({"enum": ["x", None]})),
        (one({"const": "x"}), closed({"enum": ["x"]})),
        (one({"oneOf": [TEXT, {"type": "null"}]}), closed({"anyOf": [TEXT, {"type": "null"}]})),
        (
            one({"type": ["string", "null"], "maxLength": 3, "description": "D"}),
            closed(
                {
                    "description": "D",
                    "anyOf": [{**TEXT, "description": 'Also: {"maxLength":3}'}, {"type": "null"}],
                }
            ),
        ),
        (one({"allOf": [TEXT], "description": "D"}), closed({**TEXT, "description": "D"})),
        (
            one({"$ref": "#/$defs/T", "description": "gone"}, **{"$defs": {"T": TEXT, "unused": True}}),
            closed({"$ref": "#/$defs/T"}, **{"$defs": {"T": TEXT}}),
        ),
        (
            one({"allOf": [{"$ref": "#/definitions/T"}], "default": "x"}, definitions={"T": TEXT}),
            closed({"$ref": "#/definitions/T"}, definitions={"T": TEXT}),
        ),
        (
            one({"$ref": "#/$defs/a~1b~0"}, **{"$defs": {"a/b~": TEXT}}),
            closed({"$ref": "#/$defs/a~1b~0"}, **{"$defs": {"a/b~": TEXT}}),
        ),
        ({"$ref": "#/$defs/T", "$defs": {"T": TEXT}}, {"$ref": "#/$defs/T", "$defs": {"T": TEXT}}),
        ({"type": "array", "items": TEXT}, {"type": "array", "items": TEXT}),
    ],
)
def test_a_schema_is_fitted_to_what_the_api_takes(schema: Json, fitted: Json) -> None:
    assert fitted_schema(schema) == fitted
    assert complaints(fitted) == []


@pytest.mark.parametrize(
    "schema",
    [
        {},
        one(True),
        one({}),
        one({"description": "anything"}),
        one({"type": "array"}),
        one({"type": "array", "items": [TEXT]}),
        one({"type": "array", "items": TEXT, "prefixItems": [TEXT]}),
        {"type": "object"},
        one(TEXT, additionalProperties=TEXT),
        one(TEXT, patternProperties={"^x-": TEXT}),
        one(TEXT, required=["another"]),
        one(TEXT, required="a"),
        one({"enum": [{"deep": 1}]}),
        one({**TEXT, "enum": [1, 2]}),
        one({"enum": []}),
        one({"allOf": [one(TEXT), one(TEXT)]}),
        one(TEXT, anyOf=[{"required": ["a"]}]),
        one({"type": "stringy"}),
        one({"$ref": "#"}),
        one({"$ref": "#/properties/a"}),
        one({"$ref": "#/$defs/T", "minLength": 3}, **{"$defs": {"T": TEXT}}),
        one({"$ref": "#/$defs/T"}, **{"$defs": {"T": one({"$ref": "#/$defs/T"})}}),
        one(
            {"$ref": "#/$defs/T"},
            **{"$defs": {"T": {"anyOf": [{"$ref": "#/$defs/U"}]}, "U": one({"$ref": "#/$defs/T"})}},
        ),
        {"type": "object", "properties": {str(n): TEXT for n in range(25)}},
        {"type": "object", "properties": {str(n): {"type": ["string", "null"]} for n in range(17)}},
        {"type": "object", "properties": [TEXT]},
        {"$defs": 5, **one(TEXT)},
        one({"type": ["string", "string"]}),
    ],
    ids=str,
)
def test_what_the_api_cannot_be_told_is_not_told_by_halves(schema: Json) -> None:
    assert fitted_schema(schema) is None


def test_types_named_again_and_again_do_not_multiply() -> None:
    schema: Json = TEXT
    for _ in range(30):
        schema = {"type": ["array"] * 30, "items": schema}

    assert fitted_schema(one(schema)) is None


@given(spoilt_schemas())
def test_what_is_no_schema_is_not_told_and_breaks_nothing(schema: Json) -> None:
    fitted = fitted_schema(schema)

    assert fitted is None or isinstance(fitted, dict)


@pytest.mark.parametrize(
    "broken",
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
def test_a_keyword_that_holds_what_it_cannot_breaks_nothing(broken: Json) -> None:
    fitted_schema(one(broken))


def test_a_chain_of_definitions_without_end_is_not_followed_for_ever() -> None:
    chain = {str(n): {"$ref": f"#/$defs/{n + 1}"} for n in range(1_500)}

    assert fitted_schema({"$ref": "#/$defs/0", "$defs": {**chain, "1500": TEXT}}) is None


def test_the_schema_itself_stays_as_it_was() -> None:
    schema = one(
        {"allOf": [{"type": ["string", "null"], "minLength": 1}], "description": "D"}, **{"$defs": {"T": TEXT}}
    )
    before = repr(schema)

    fitted_schema(schema)

    assert repr(schema) == before
