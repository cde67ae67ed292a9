"""Schemas of tools, as the API takes them: an object at the root, with no union beside it."""

from typing import Any

import pytest

from workers.tool_schema import constraint, object_schema

NAME = {"type": "string"}
A = {"type": "object", "properties": {"a": NAME}, "required": ["a"]}
B = {"type": "object", "properties": {"b": NAME}, "required": ["b"]}


def test_a_schema_that_the_api_takes_is_the_same_object() -> None:
    schema = {"type": "object", "properties": {"a": {"anyOf": [NAME, {"type": "null"}]}}}
    assert object_schema(schema) is schema


def test_a_schema_without_a_type_is_said_to_be_of_an_object() -> None:
    assert object_schema({}) == {"type": "object"}


@pytest.mark.parametrize(
    ("keyword", "required"), [("anyOf", None), ("oneOf", None), ("allOf", ["a", "b"])], ids=lambda value: str(value)
)
def test_the_branches_of_a_union_become_one_object_and_the_union_is_told_in_words(
    keyword: str, required: list[str] | None
) -> None:
    schema = {keyword: [A, B], "description": "Whom to call."}
    made = object_schema(schema)
    assert made == {
        "type": "object",
        "description": "Whom to call.",
        "properties": {"a": NAME, "b": NAME},
        **({"required": required} if required else {}),
    }
    assert '"required":["a"]' in constraint(schema)


def test_what_stands_beside_the_union_stays_as_it_is() -> None:
    schema = {
        "type": "object",
        "properties": {"name": NAME, "area": NAME, "how": NAME},
        "required": ["how"],
        "additionalProperties": False,
    }
    union = [{"required": ["name", "area"]}, {"required": ["area"]}]
    assert object_schema({**schema, "anyOf": union}) == schema


def test_a_schema_without_a_union_has_no_constraint_to_tell() -> None:
    assert constraint({"type": "object", "properties": {"a": {"anyOf": [NAME]}}, "anyOf": None}) == ""


def test_branches_may_be_references_and_unions_themselves() -> None:
    schema = {"allOf": [{"$ref": "#/$defs/A"}, {"anyOf": [B, A]}], "$defs": {"A": A}}
    made = object_schema(schema)
    assert made["properties"] == {"a": NAME, "b": NAME}
    assert made["required"] == ["a"]
    assert made["$defs"] == {"A": A}


def test_a_property_that_two_branches_describe_differently_may_be_either() -> None:
    other = {"type": "object", "properties": {"a": {"type": "integer"}}}
    assert object_schema({"oneOf": [A, other, A]})["properties"]["a"] == {"anyOf": [NAME, {"type": "integer"}]}


@pytest.mark.parametrize(
    "branches",
    [[], [True], [None, "x"], [{"$ref": "#/$defs/none"}], [{"$ref": "https://example.com/a"}], [{"$ref": "#"}]],
    ids=str,
)
def test_branches_that_say_nothing_leave_an_object(branches: list[Any]) -> None:
    assert object_schema({"anyOf": branches})["type"] == "object"


def test_a_schema_that_refers_to_itself_many_times_comes_to_an_end() -> None:
    schema = {"properties": {"a": NAME}, "anyOf": [{"$ref": "#"}] * 5_000}
    assert object_schema(schema) == {"type": "object", "properties": {"a": NAME}}


def test_a_property_has_so_many_descriptions_at_most() -> None:
    schema = {"anyOf": [{"properties": {"a": {"const": number}}} for number in range(100)]}
    assert len(object_schema(schema)["properties"]["a"]["anyOf"]) == 20


def test_what_many_parts_require_is_required_once_in_their_order() -> None:
    schema = {"allOf": [{"required": ["b", "a"]}, {"required": ["a", "c"]}], "required": ["c"]}
    assert object_schema(schema)["required"] == ["c", "b", "a"]
