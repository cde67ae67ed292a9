"""The OpenAPI document of the current sources, and validation of values against its schemas."""

from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from claude_gateway.openapi.document.builder import build_document
from claude_gateway.openapi.document.parameter_tables import PARAMETER_TABLES
from claude_gateway.web.route_lookup import DOCUMENTED_OPERATIONS as OPERATIONS

Json = dict[str, Any]


@cache
def current_document() -> Json:
    """Return the OpenAPI document of the current sources."""
    return build_document(OPERATIONS, PARAMETER_TABLES, "1.2.3")


def response_content(path: str, status: int, method: str = "post") -> Json:
    """Return the contents of a documented response by media type."""
    content: Json = current_document()["paths"][path][method]["responses"][str(status)]["content"]
    return content


def event_schema(content: Json) -> Json | None:
    """Return the schema of the data of an event; None if the response is not a stream."""
    data = content["schema"].get("properties", {}).get("data", {})
    schema: Json | None = data.get("anyOf", [data])[-1].get("contentSchema")
    return schema


def find_schema_errors(value: Any, schema: Json) -> list[str]:
    """Return the reasons why a value does not match this schema of the document."""
    validator = Draft202012Validator({**schema, "components": current_document()["components"]})
    return [f"{error.json_path}: {error.message}"[:400] for error in validator.iter_errors(value)]
