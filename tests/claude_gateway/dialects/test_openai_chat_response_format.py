"""What becomes of `response_format`."""

from typing import Any

import pytest
from pydantic import ValidationError

from claude_gateway.dialects.openai_chat.parse import ParsedChat, parse
from claude_gateway.dialects.openai_chat.wire import ChatRequest
from claude_gateway.errors import ApiError
from tests.claude_gateway.scripted import CHAT, MODEL
from workers.job import OutputSchema

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
PLACE = "response_format.json_schema.schema"


def parsed(response_format: Any, model: str = MODEL) -> ParsedChat:
    return parse(ChatRequest.model_validate({**CHAT, "response_format": response_format}), "owner", model)


def json_schema(**more: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", **more}}


@pytest.mark.parametrize("strict", [True, False, None])
def test_a_schema_becomes_part_of_the_job_strict_or_not(strict: bool | None) -> None:
    output = parsed(json_schema(schema=SCHEMA, strict=strict)).job.tuning.output

    assert output == OutputSchema(SCHEMA, PLACE, {**SCHEMA, "additionalProperties": False})


def test_a_model_that_cannot_be_held_to_it_is_not() -> None:
    output = parsed(json_schema(schema=SCHEMA), "claude-opus-4-20250514").job.tuning.output

    assert output == OutputSchema(SCHEMA, PLACE)


def test_what_the_caller_says_of_the_schema_is_its_description_where_it_has_none() -> None:
    described = parsed(json_schema(schema=SCHEMA, description="An answer.")).job.tuning.output
    kept = parsed(json_schema(schema={**SCHEMA, "description": "Own."}, description="An answer.")).job.tuning.output

    assert described is not None
    assert described.schema == {**SCHEMA, "description": "An answer."}
    assert kept is not None
    assert kept.schema == {**SCHEMA, "description": "Own."}


@pytest.mark.parametrize("wanted", [{"type": "json_object"}, json_schema()])
def test_without_a_schema_it_is_any_object(wanted: dict[str, Any]) -> None:
    output = parsed(wanted).job.tuning.output

    assert output is not None
    assert output.schema is output.fitted is None


@pytest.mark.parametrize("wanted", [None, {"type": "text"}, {"type": "text", "json_schema": {"schema": SCHEMA}}])
def test_text_is_nothing_special(wanted: Any) -> None:
    assert parsed(wanted).job == parsed(None).job
    assert parsed(wanted).warnings == ()


@pytest.mark.parametrize(
    ("wanted", "param"),
    [
        ({"type": "json_schema"}, "response_format.json_schema"),
        (json_schema(schema={"$ref": "http://elsewhere"}), PLACE),
    ],
)
def test_what_cannot_be_read_is_a_400_that_names_its_place(wanted: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as raised:
        parsed(wanted)

    assert (raised.value.status, raised.value.param) == (400, param)


@pytest.mark.parametrize("wanted", ["json", {}, {"type": "xml"}, json_schema(schema=[]), json_schema(schema="{}")])
def test_what_has_the_wrong_shape_is_refused(wanted: Any) -> None:
    with pytest.raises(ValidationError):
        parsed(wanted)
