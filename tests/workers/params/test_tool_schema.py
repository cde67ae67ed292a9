"""Conversion of tool schemas to an object at the root without a union."""

from typing import Any

import pytest

from workers.params.tool_schema import build_constraint_text, to_object_schema

NAME = {"type": "string"}
SCHEMA_A = {"type": "object", "properties": {"a": NAME}, "required": ["a"]}
SCHEMA_B = {"type": "object", "properties": {"b": NAME}, "required": ["b"]}


def test_returns_a_valid_schema_unchanged() -> None:
    schema = {"type": "object", "properties": {"a": {"anyOf": [NAME, {"type": "null"}]}}}
    assert to_object_schema(schema) is schema


def test_adds_the_object_type_to_a_schema_without_a_type() -> None:
    assert to_object_schema({}) == {"type": "object"}


@pytest.mark.parametrize(
    ("keyword", "required"), [("anyOf", None), ("oneOf", None), ("allOf", ["a", "b"])], ids=lambda value: str(value)
)
def test_merges_the_branches_of_a_union_and_describes_the_constraint(keyword: str, required: list[str] | None) -> None:
    schema = {keyword: [SCHEMA_A, SCHEMA_B], "description": "Whom to call."}
    merged = to_object_schema(schema)
    assert merged == {
        "type": "object",
        "description": "Whom to call.",
        "properties": {"a": NAME, "b": NAME},
        **({"required": required} if required else {}),
    }
    assert '"required":["a"]' in build_constraint_text(schema)


def test_keeps_the_keywords_beside_a_union() -> None:
    schema = {
        "type": "object",
        "properties": {"name": NAME, "area": NAME, "how": NAME},
        "required": ["how"],
        "additionalProperties": False,
    }
    union = [{"required": ["name", "area"]}, {"required": ["area"]}]
    assert to_object_schema({**schema, "anyOf": union}) == schema


def test_has_no_constraint_text_without_a_union() -> None:
    assert build_constraint_text({"type": "object", "properties": {"a": {"anyOf": [NAME]}}, "anyOf": None}) == ""


def test_merges_branches_that_are_references_or_unions() -> None:
    schema = {"allOf": [{"$ref": "#/$defs/A"}, {"anyOf": [SCHEMA_B, SCHEMA_A]}], "$defs": {"A": SCHEMA_A}}
    merged = to_object_schema(schema)
    assert merged["properties"] == {"a": NAME, "b": NAME}
    assert merged["required"] == ["a"]
    assert merged["$defs"] == {"A": SCHEMA_A}


def test_merges_different_subschemas_of_a_property_to_a_union() -> None:
    other = {"type": "object", "properties": {"a": {"type": "integer"}}}
    assert to_object_schema({"oneOf": [SCHEMA_A, other, SCHEMA_A]})["properties"]["a"] == {
        "anyOf": [NAME, {"type": "integer"}]
    }


@pytest.mark.parametrize(
    "branches",
    [[], [True], [None, "x"], [{"$ref": "#/$defs/none"}], [{"$ref": "https://example.com/a"}], [{"$ref": "#"}]],
    ids=str,
)
def test_returns_an_object_for_branches_without_properties(branches: list[Any]) -> None:
    assert to_object_schema({"anyOf": branches})["type"] == "object"


def test_stops_merging_a_schema_that_refers_to_itself_many_times() -> None:
    schema = {"properties": {"a": NAME}, "anyOf": [{"$ref": "#"}] * 5_000}
    assert to_object_schema(schema) == {"type": "object", "properties": {"a": NAME}}


def test_limits_the_number_of_subschemas_of_a_property() -> None:
    schema = {"anyOf": [{"properties": {"a": {"const": number}}} for number in range(100)]}
    assert len(to_object_schema(schema)["properties"]["a"]["anyOf"]) == 20


def test_merges_required_properties_once_and_in_order() -> None:
    schema = {"allOf": [{"required": ["b", "a"]}, {"required": ["a", "c"]}], "required": ["c"]}
    assert to_object_schema(schema)["required"] == ["c", "b", "a"]
