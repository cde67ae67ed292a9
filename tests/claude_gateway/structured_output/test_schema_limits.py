"""Limits of accepted schemas; the gateway never resolves references outside a schema."""

from typing import Any

import pytest
from hypothesis import given

from claude_gateway.core.errors import ApiError
from claude_gateway.structured_output.schema_limits import parse_output_schema
from tests.workers.schemas import json_schemas, mutated_schemas
from workers.core.job import OutputSchema

FIELD_PATH = "response_format.json_schema.schema"
TEXT = {"type": "string"}


def parse_schema(schema: dict[str, Any]) -> tuple[Any, list[str]]:
    notes: list[str] = []
    return parse_output_schema(schema, FIELD_PATH, notes).schema, notes


def nest_schema(levels: int) -> dict[str, Any]:
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
        nest_schema(60),
    ],
    ids=lambda schema: str(schema)[:60],
)
def test_leaves_valid_schema_unchanged(schema: dict[str, Any]) -> None:
    assert parse_schema(schema) == (schema, [])
    assert parse_output_schema(schema, FIELD_PATH, []) == OutputSchema(schema, FIELD_PATH)


def test_drops_ids_and_drafts_of_subschemas() -> None:
    part = {"$id": "http://elsewhere/part", "$schema": "http://json-schema.org/draft-04/schema#", "type": "string"}

    assert parse_schema({"$id": "http://elsewhere/", "items": part}) == ({"items": TEXT}, [])


@pytest.mark.parametrize(
    ("schema", "message_part"),
    [
        ({"$ref": "http://elsewhere/schema.json"}, "outside"),
        ({"items": {"$ref": "schema.json"}}, "outside"),
        ({"$ref": "http://json-schema.org/draft-07/schema#"}, "outside"),
        ({"$dynamicRef": "file:///etc/passwd"}, "outside"),
        ({"properties": {"a": {"anyOf": [{"$ref": "#/$defs/none"}]}}}, "does not point to a subschema"),
        ({"$ref": "#none"}, "does not point to a subschema"),
        ({"$ref": "#/default", "default": TEXT}, "does not point to a subschema"),
        ({"$ref": "#/enum/7", "enum": [TEXT]}, "does not point to a subschema"),
        ({"$ref": "#/anyOf/²", "anyOf": [TEXT]}, "does not point to a subschema"),
        (nest_schema(70), "nested deeper"),
        (nest_schema(400), "nested too deep"),
        ({"enum": ["x" * 70_000]}, "bytes"),
        ({"properties": {str(number): {} for number in range(2_000)}}, "parts"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_rejects_unsupported_schema_with_400_and_its_field_path(schema: dict[str, Any], message_part: str) -> None:
    with pytest.raises(ApiError, match=message_part) as raised:
        parse_schema(schema)

    assert (raised.value.status, raised.value.param) == (400, FIELD_PATH)
    assert raised.value.message.startswith(f"{FIELD_PATH}: ")
    assert len(raised.value.message) < 300


@pytest.mark.parametrize("pattern", ["^(?=.*[a-z]).+$", "(?<!a)b", r"(a)\1", r"(?P<n>a)\k<n>"])
def test_warns_about_pattern_with_lookaround_or_backreference(pattern: str) -> None:
    for schema in ({"type": "string", "pattern": pattern}, {"patternProperties": {pattern: {}}}):
        _, (note,) = parse_schema(schema)
        assert note.startswith(f"{FIELD_PATH}: ")
        assert "is not checked" in note


def test_drops_unevaluated_properties_beside_pattern_properties_with_a_warning() -> None:
    schema, (note,) = parse_schema({"allOf": [{"patternProperties": {"^a": TEXT}}], "unevaluatedProperties": False})

    assert schema == {"allOf": [{"patternProperties": {"^a": TEXT}}]}
    assert "unevaluatedProperties" in note


@pytest.mark.parametrize("keyword", ["default", "enum", "x-more"])
def test_rejects_schema_that_is_nested_too_deeply_to_encode(keyword: str) -> None:
    deep: Any = [1]
    for _ in range(240):
        deep = [deep]

    with pytest.raises(ApiError, match="too deep"):
        parse_schema({keyword: deep})


@given(json_schemas | mutated_schemas())
def test_any_schema_is_rejected_or_stays_unchanged(schema: dict[str, Any]) -> None:
    try:
        parsed, _ = parse_schema(schema)
    except ApiError:
        return
    assert parsed == schema
