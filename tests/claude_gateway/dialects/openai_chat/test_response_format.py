"""Conversion of `response_format`."""

from typing import Any

import pytest
from pydantic import ValidationError

from claude_gateway.core.errors import ApiError
from claude_gateway.dialects.openai_chat.parse import ParsedChatRequest, parse
from claude_gateway.dialects.openai_chat.schema import ChatRequest
from tests.claude_gateway.scripted import CHAT_BODY, MODEL
from workers.core.job import OutputSchema

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
FIELD_PATH = "response_format.json_schema.schema"


def parse_format(response_format: Any, model: str = MODEL) -> ParsedChatRequest:
    return parse(ChatRequest.model_validate({**CHAT_BODY, "response_format": response_format}), "key_1", model)


def json_schema_format(**fields: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", **fields}}


@pytest.mark.parametrize("strict", [True, False, None])
def test_schema_becomes_part_of_the_job_whether_strict_or_not(strict: bool | None) -> None:
    output = parse_format(json_schema_format(schema=SCHEMA, strict=strict)).job.params.output_schema

    assert output == OutputSchema(SCHEMA, FIELD_PATH, {**SCHEMA, "additionalProperties": False})


def test_schema_is_not_native_for_a_model_that_cannot_enforce_it() -> None:
    output = parse_format(json_schema_format(schema=SCHEMA), "claude-opus-4-20250514").job.params.output_schema

    assert output == OutputSchema(SCHEMA, FIELD_PATH)


def test_client_description_fills_missing_schema_description() -> None:
    filled_output = parse_format(json_schema_format(schema=SCHEMA, description="An answer.")).job.params.output_schema
    unchanged_output = parse_format(
        json_schema_format(schema={**SCHEMA, "description": "Own."}, description="An answer.")
    ).job.params.output_schema

    assert filled_output is not None
    assert filled_output.schema == {**SCHEMA, "description": "An answer."}
    assert unchanged_output is not None
    assert unchanged_output.schema == {**SCHEMA, "description": "Own."}


@pytest.mark.parametrize("response_format", [{"type": "json_object"}, json_schema_format()])
def test_json_object_format_accepts_any_object(response_format: dict[str, Any]) -> None:
    output = parse_format(response_format).job.params.output_schema

    assert output is not None
    assert output.schema is output.native_schema is None


@pytest.mark.parametrize(
    "response_format", [None, {"type": "text"}, {"type": "text", "json_schema": {"schema": SCHEMA}}]
)
def test_text_format_has_no_effect(response_format: Any) -> None:
    assert parse_format(response_format).job == parse_format(None).job
    assert parse_format(response_format).warnings == ()


@pytest.mark.parametrize(
    ("response_format", "param"),
    [
        ({"type": "json_schema"}, "response_format.json_schema"),
        (json_schema_format(schema={"$ref": "http://elsewhere"}), FIELD_PATH),
    ],
)
def test_rejects_format_without_usable_schema_with_400_and_its_field_path(
    response_format: dict[str, Any], param: str
) -> None:
    with pytest.raises(ApiError) as raised:
        parse_format(response_format)

    assert (raised.value.status, raised.value.param) == (400, param)


@pytest.mark.parametrize(
    "response_format", ["json", {}, {"type": "xml"}, json_schema_format(schema=[]), json_schema_format(schema="{}")]
)
def test_rejects_format_of_wrong_type(response_format: Any) -> None:
    with pytest.raises(ValidationError):
        parse_format(response_format)
