"""Tests for the OpenAPI document, and for recorded responses against its schemas."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator

from claude_gateway.openapi.document.parameter_tables import PARAMETER_TABLES
from claude_gateway.web.route_lookup import DOCUMENTED_OPERATIONS as OPERATIONS
from tests.claude_gateway.dialects.test_cases import CASES
from tests.claude_gateway.openapi.document_schemas import (
    Json,
    current_document,
    event_schema,
    find_schema_errors,
    response_content,
)

PATHS = {
    "openai_chat": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/{model}:generateContent",
}
STREAMED = PATHS | {"gemini": "/v1beta/models/{model}:streamGenerateContent"}


def test_every_component_is_a_json_schema() -> None:
    for schema in current_document()["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_reference_resolves() -> None:
    components = {f"#/components/schemas/{name}" for name in current_document()["components"]["schemas"]}

    assert set(_references(current_document())) <= components


def test_every_example_matches_its_schema() -> None:
    errors_by_example = {
        name: errors for name, value, schema in _examples() if (errors := find_schema_errors(value, schema))
    }

    assert errors_by_example == {}


def test_every_operation_has_request_and_response_examples() -> None:
    bodies = {operation.path: operation.spec.body for operation in OPERATIONS if operation.spec.body is not None}
    assert [path for path, body in bodies.items() if body.model and not body.examples] == []
    assert [
        operation.path
        for operation in OPERATIONS
        for response in operation.spec.responses.values()
        if (response.model and response.example is None) or (response.stream_model and not response.stream_example)
    ] == []


def test_request_schemas_describe_the_support_of_each_parameter() -> None:
    schemas = current_document()["components"]["schemas"]

    assert schemas["ChatRequest"]["properties"]["seed"] == {"description": "Ignored: Claude has no such parameter."}
    assert schemas["ChatRequest"]["properties"]["n"]["description"].startswith("Emulated: that number of parallel jobs")
    for model, table in PARAMETER_TABLES.items():
        assert table.keys() == schemas[model.__name__]["properties"].keys() & table.keys()


@pytest.mark.parametrize("case", sorted(CASES.glob("*/*/body.json")), ids=lambda case: "/".join(case.parts[-3:-1]))
@pytest.mark.promise("openapi.true")
def test_recorded_response_matches_its_schema(case: Path) -> None:
    schema = response_content(PATHS[case.parts[-3]], 200)["application/json"]["schema"]

    assert find_schema_errors(orjson.loads(case.read_bytes()), schema) == []


@pytest.mark.parametrize("case", sorted(CASES.glob("*/*/stream.txt")), ids=lambda case: "/".join(case.parts[-3:-1]))
def test_recorded_stream_events_match_their_schemas(case: Path) -> None:
    schema = event_schema(response_content(STREAMED[case.parts[-3]], 200)["text/event-stream"])
    assert schema is not None
    events = [line.removeprefix("data: ") for line in case.read_text().split("\n") if line.startswith("data: ")]

    assert [
        error for data in events if data != "[DONE]" for error in find_schema_errors(orjson.loads(data), schema)
    ] == []


@pytest.mark.parametrize("case", sorted(CASES.glob("*/*/error.json")), ids=lambda case: "/".join(case.parts[-3:-1]))
def test_recorded_error_matches_its_schema(case: Path) -> None:
    error = orjson.loads(case.read_bytes())
    schema = response_content(PATHS[case.parts[-3]], error.pop("status"))["application/json"]["schema"]

    assert find_schema_errors(error, schema) == []


def _examples() -> Iterator[tuple[str, Any, Json]]:
    for path, methods in current_document()["paths"].items():
        for method, operation in methods.items():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                for name, example in content.get("examples", {}).items():
                    yield f"{method} {path} {name}", example["value"], content["schema"]
            for status, response in operation["responses"].items():
                yield from _find_examples(f"{method} {path} {status}", response.get("content", {}))


def _find_examples(name: str, contents: Json) -> Iterator[tuple[str, Any, Json]]:
    for content in contents.values():
        if (schema := event_schema(content)) is not None:
            for line in content["example"].split("\n"):
                if line.startswith("data: {"):
                    yield name, orjson.loads(line.removeprefix("data: ")), schema
        elif "example" in content:
            yield name, content["example"], content["schema"]


def _references(value: Any) -> Iterator[str]:
    match value:
        case {"$ref": str(reference)}:
            yield reference
        case dict():
            for item in value.values():
                yield from _references(item)
        case list():
            for item in value:
                yield from _references(item)
