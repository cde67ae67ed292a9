"""The smallest value of a schema is valid."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from claude_gateway.devtools.fake_anthropic.schema_instance import smallest_instance
from claude_gateway.devtools.fake_anthropic.script import parse_script

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
def test_smallest_value_matches_the_schema(name: str) -> None:
    Draft202012Validator(SCHEMAS[name]).validate(smallest_instance(SCHEMAS[name]))


def test_recursive_schema_terminates() -> None:
    assert smallest_instance({"$ref": "#"}) is None


def test_reply_without_directive_matches_the_schema_of_the_request() -> None:
    format_ = {"type": "json_schema", "schema": SCHEMAS["object"]}
    request = {"output_config": {"format": format_}, "messages": [{"role": "user", "content": "What is it?"}]}

    assert parse_script(request).text == '{"a":0}'
    request["messages"] = [{"role": "user", "content": "{{say words}}"}]
    assert parse_script(request).text == "words"
    request["messages"] = [{"role": "user", "content": '{"a": 7}'}]
    assert parse_script(request).text == '{"a": 7}'
