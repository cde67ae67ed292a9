"""The document of today, and validators of what it says is answered."""

from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from claude_gateway.openapi.document import document
from claude_gateway.openapi.operations import OPERATIONS, TABLES

Json = dict[str, Any]


@cache
def written() -> Json:
    return document(OPERATIONS, TABLES, "1.2.3")


def answered(path: str, status: int, method: str = "post") -> Json:
    """What stands of one answer: its contents by type."""
    content: Json = written()["paths"][path][method]["responses"][str(status)]["content"]
    return content


def event(content: Json) -> Json | None:
    """The shape of the data of an event; None for what is no stream."""
    data = content["schema"].get("properties", {}).get("data", {})
    found: Json | None = data.get("anyOf", [data])[-1].get("contentSchema")
    return found


def complaints(value: Any, schema: Json) -> list[str]:
    """Why a value is not of this schema of the document."""
    validator = Draft202012Validator({**schema, "components": written()["components"]})
    return [f"{error.json_path}: {error.message}"[:400] for error in validator.iter_errors(value)]
