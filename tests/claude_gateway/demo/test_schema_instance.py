"""The smallest value of a schema fits it."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from claude_gateway.demo.schema_instance import smallest
from claude_gateway.demo.script import plan

SCHEMAS: dict[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "enum": {"enum": ["a", "b"]},
    "const": {"const": 7},
    "nullable": {"type": ["string", "null"]},
    "union": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    "list": {"type": "array", "items": {"type": "string"}, "minItems": 1},
    "object": {
        "type": "object",
        "properties": {"a": {"type": "number"}, "b": {"type": "boolean"}},
        "required": ["a"],
        "additionalProperties": False,
    },
    "reference": {"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "object", "properties": {}, "required": []}}},
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_smallest_value_fits(name: str) -> None:
    Draft202012Validator(SCHEMAS[name]).validate(smallest(SCHEMAS[name]))


def test_schema_that_refers_to_itself_ends() -> None:
    assert smallest({"$ref": "#"}) is None


def test_answer_without_a_directive_fits_the_schema_of_the_request() -> None:
    format_ = {"type": "json_schema", "schema": SCHEMAS["object"]}
    asked = {"output_config": {"format": format_}, "messages": [{"role": "user", "content": "What is it?"}]}

    assert plan(asked).text == '{"a":0}'
    asked["messages"] = [{"role": "user", "content": "{{say words}}"}]
    assert plan(asked).text == "words"
    asked["messages"] = [{"role": "user", "content": '{"a": 7}'}]
    assert plan(asked).text == '{"a": 7}'
