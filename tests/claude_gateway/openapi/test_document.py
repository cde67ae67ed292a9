"""The document itself, and what is really answered held against it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator

from claude_gateway.openapi.operations import OPERATIONS, TABLES
from tests.claude_gateway.dialects.test_cases import CASES
from tests.claude_gateway.openapi.written import Json, answered, complaints, event, written

PATHS = {
    "openai_chat": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/{model}:generateContent",
}
STREAMED = PATHS | {"gemini": "/v1beta/models/{model}:streamGenerateContent"}


def test_every_shape_is_a_json_schema() -> None:
    for schema in written()["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_reference_leads_somewhere() -> None:
    known = {f"#/components/schemas/{name}" for name in written()["components"]["schemas"]}

    assert set(_references(written())) <= known


def test_every_example_has_the_shape_that_it_is_an_example_of() -> None:
    wrong = {place: found for place, value, schema in _examples() if (found := complaints(value, schema))}

    assert wrong == {}


def test_every_operation_has_examples_of_what_is_sent_and_answered() -> None:
    assert [one.path for one in OPERATIONS if one.body and one.body.shape and not one.body.examples] == []
    assert [
        one.path
        for one in OPERATIONS
        for answer in one.answers.values()
        if (answer.shape and answer.example is None) or (answer.stream and not answer.stream_example)
    ] == []


def test_what_becomes_of_a_parameter_is_said_where_it_is_sent() -> None:
    schemas = written()["components"]["schemas"]

    assert schemas["ChatRequest"]["properties"]["seed"] == {"description": "Ignored: Claude has no such parameter."}
    assert schemas["ChatRequest"]["properties"]["n"]["description"].startswith("Emulated: so many jobs side by side")
    for model, table in TABLES.items():
        assert table.keys() == schemas[model.__name__]["properties"].keys() & table.keys()


@pytest.mark.parametrize("case", sorted(CASES.glob("*/*/body.json")), ids=lambda case: "/".join(case.parts[-3:-1]))
@pytest.mark.promise("openapi.true")
def test_a_recorded_answer_has_the_shape_that_is_told_of_it(case: Path) -> None:
    schema = answered(PATHS[case.parts[-3]], 200)["application/json"]["schema"]

    assert complaints(orjson.loads(case.read_bytes()), schema) == []


@pytest.mark.parametrize("case", sorted(CASES.glob("*/*/stream.txt")), ids=lambda case: "/".join(case.parts[-3:-1]))
def test_a_recorded_stream_has_the_events_that_are_told_of_it(case: Path) -> None:
    schema = event(answered(STREAMED[case.parts[-3]], 200)["text/event-stream"])
    assert schema is not None
    sent = [line.removeprefix("data: ") for line in case.read_text().split("\n") if line.startswith("data: ")]

    assert [found for data in sent if data != "[DONE]" for found in complaints(orjson.loads(data), schema)] == []


@pytest.mark.parametrize("case", sorted(CASES.glob("*/*/error.json")), ids=lambda case: "/".join(case.parts[-3:-1]))
def test_a_recorded_refusal_has_the_shape_that_is_told_of_it(case: Path) -> None:
    error = orjson.loads(case.read_bytes())
    schema = answered(PATHS[case.parts[-3]], error.pop("status"))["application/json"]["schema"]

    assert complaints(error, schema) == []


def _examples() -> Iterator[tuple[str, Any, Json]]:
    for path, methods in written()["paths"].items():
        for method, operation in methods.items():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                for name, example in content.get("examples", {}).items():
                    yield f"{method} {path} {name}", example["value"], content["schema"]
            for status, answer in operation["responses"].items():
                yield from _of_answer(f"{method} {path} {status}", answer.get("content", {}))


def _of_answer(place: str, contents: Json) -> Iterator[tuple[str, Any, Json]]:
    for content in contents.values():
        if (schema := event(content)) is not None:
            for line in content["example"].split("\n"):
                if line.startswith("data: {"):
                    yield place, orjson.loads(line.removeprefix("data: ")), schema
        elif "example" in content:
            yield place, content["example"], content["schema"]


def _references(value: Any) -> Iterator[str]:
    match value:
        case {"$ref": str(reference)}:
            yield reference
        case dict():
            for one in value.values():
                yield from _references(one)
        case list():
            for one in value:
                yield from _references(one)
