"""A schema, a reply that fits it, and the prompts that make the fake Anthropic API give that reply."""

from typing import Any

from pydantic import BaseModel, Field

from tests.e2e.helpers.gateway import Gateway


class Street(BaseModel):
    name: str
    number: int = Field(ge=1, le=9_999)


class Person(BaseModel):
    """A person with an address."""

    name: str = Field(min_length=2)
    age: int | None
    home: Street


PERSON_JSON = '{"name": "Ada", "age": 36, "home": {"name": "Mill Lane", "number": 7}}'
SCHEMA = {"type": "object", "properties": {"age": {"type": "integer", "minimum": 1}}, "required": ["age"]}
NATIVE_SCHEMA = {
    "type": "object",
    "properties": {"age": {"type": "integer", "description": 'Also: {"minimum":1}'}},
    "additionalProperties": False,
    "required": ["age"],
}


def build_question(answer: str, again: str = "") -> dict[str, Any]:
    """Return a question to which the fake Anthropic API replies with `answer`, and then with `again`."""
    more = f"{{{{again {again}}}}}" if again else ""
    return {"role": "user", "content": f"how old? {{{{say {answer}}}}}{more}"}


def read_request_bodies(gateway: Gateway) -> list[dict[str, Any]]:
    return [request.body for request in gateway.upstream.chat_requests]
