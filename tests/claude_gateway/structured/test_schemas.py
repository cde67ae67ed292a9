"""How much of a schema is taken, and that nothing outside it is ever looked for."""

from typing import Any

import pytest
from hypothesis import given

from claude_gateway.errors import ApiError
from claude_gateway.structured.schemas import read_schema
from tests.workers.schemas import json_schemas, spoilt_schemas
from workers.job import OutputSchema

PLACE = "response_format.json_schema.schema"
TEXT = {"type": "string"}


def read(schema: dict[str, Any]) -> tuple[Any, list[str]]:
    notes: list[str] = []
    return read_schema(schema, PLACE, notes).schema, notes


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = dict(TEXT)
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": TEXT}, "required": ["a"]},
        {"$schema": "http://json-schema.org/draft-07/schema#", "type": "string"},
        {"properties": {"$ref": TEXT, "enum": TEXT, "pattern": TEXT}},
        {"enum": [{"$ref": "http://elsewhere"}], "default": {"$id": "kept"}},
        {"$ref": "#/$defs/T", "$defs": {"T": TEXT}},
        {"$ref": "#/$defs/a~1b~0", "$defs": {"a/b~": TEXT}},
        {"$ref": "#/$defs/a%20b", "$defs": {"a b": TEXT}},
        {"$ref": "#/$defs/any", "$defs": {"any": True}},
        {"$ref": "#name", "$defs": {"T": {"$anchor": "name"}}},
        {"anyOf": [TEXT, {"$ref": "#/anyOf/0"}]},
        {"properties": {"child": {"$ref": "#"}}},
        nested(60),
    ],
    ids=lambda schema: str(schema)[:60],
)
def test_a_schema_stays_as_it_was_written(schema: dict[str, Any]) -> None:
    assert read(schema) == (schema, [])
    assert read_schema(schema, PLACE, []) == OutputSchema(schema, PLACE)


def test_names_and_dialects_of_parts_are_left_out() -> None:
    part = {"$id": "http://elsewhere/part", "$schema": "http://json-schema.org/draft-04/schema#", "type": "string"}

    assert read({"$id": "http://elsewhere/", "items": part}) == ({"items": TEXT}, [])


@pytest.mark.parametrize(
    ("schema", "word"),
    [
        ({"$ref": "http://elsewhere/schema.json"}, "outside"),
        ({"items": {"$ref": "schema.json"}}, "outside"),
        ({"$ref": "http://json-schema.org/draft-07/schema#"}, "outside"),
        ({"$dynamicRef": "file:///etc/passwd"}, "outside"),
        ({"properties": {"a": {"anyOf": [{"$ref": "#/$defs/none"}]}}}, "points to no schema"),
        ({"$ref": "#none"}, "points to no schema"),
        ({"$ref": "#/default", "default": TEXT}, "points to no schema"),
        ({"$ref": "#/enum/7", "enum": [TEXT]}, "points to no schema"),
        ({"$ref": "#/anyOf/²", "anyOf": [TEXT]}, "points to no schema"),
        (nested(70), "nested deeper"),
        (nested(400), "nested too deep"),
        ({"enum": ["x" * 70_000]}, "bytes"),
        ({"properties": {str(number): {} for number in range(2_000)}}, "parts"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_is_not_taken_is_a_400_that_names_the_place(schema: dict[str, Any], word: str) -> None:
    with pytest.raises(ApiError, match=word) as raised:
        read(schema)

    assert (raised.value.status, raised.value.param) == (400, PLACE)
    assert raised.value.message.startswith(f"{PLACE}: ")
    assert len(raised.value.message) < 300


@pytest.mark.parametrize("pattern", ["^(?=.*[a-z]).+$", "(?<!a)b", r"(a)\1", r"(?P<n>a)\k<n>"])
def test_a_pattern_that_looks_around_or_back_is_named(pattern: str) -> None:
    for schema in ({"type": "string", "pattern": pattern}, {"patternProperties": {pattern: {}}}):
        _, (note,) = read(schema)
        assert note.startswith(f"{PLACE}: ")
        assert "is not checked" in note


def test_what_would_meet_a_backtracking_engine_is_left_out_and_named() -> None:
    schema, (note,) = read({"allOf": [{"patternProperties": {"^a": TEXT}}], "unevaluatedProperties": False})

    assert schema == {"allOf": [{"patternProperties": {"^a": TEXT}}]}
    assert "unevaluatedProperties" in note


@pytest.mark.parametrize("keyword", ["default", "enum", "x-more"])
def test_data_nested_too_deep_to_be_written_again_is_refused(keyword: str) -> None:
    deep: Any = [1]
    for _ in range(240):
        deep = [deep]

    with pytest.raises(ApiError, match="too deep"):
        read({keyword: deep})


@given(json_schemas | spoilt_schemas())
def test_any_schema_is_refused_or_stays_as_it_was(schema: dict[str, Any]) -> None:
    try:
        kept, _ = read(schema)
    except ApiError:
        return
    assert kept == schema
