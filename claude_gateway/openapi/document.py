"""The OpenAPI document: every operation, in one. Built once, when somebody first asks for it. Pure."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from claude_gateway.openapi.failures import failures
from claude_gateway.openapi.operation import Answer, Body, Envelope, Group, Operation, Parameter
from claude_gateway.openapi.schemas import Json, components
from claude_gateway.prompt.parameters import Table

_SSE = "text/event-stream"
_ABOUT = """\
Your own Claude Code, for any program that speaks OpenAI, Anthropic or Gemini.

The paths for chats and models also work without `/v1`, those of Gemini under `/v1beta`, `/v1` and neither.
What was not honoured of a request is named in the header `x-gateway-warnings` of its answer; `x-claude-model` names the
model used, `x-request-id` the request.
"""
_GROUPS: Mapping[Group, str] = {
    Group.CHAT: "Ask Claude, in the dialect of OpenAI, Anthropic or Google.",
    Group.MODELS: "What can be asked.",
    Group.SESSIONS: "What Claude remembers for the calling key, and the files that it works on.",
    Group.TOOLS: "Claude's own tools.",
    Group.MCP: "Servers whose tools are given to Claude.",
    Group.USAGE: "What was used, and what it cost.",
    Group.ADMIN: "For keys with the scope `admin`.",
    Group.HEALTH: "Whether the gateway lives, and can answer.",
}
_SCHEMES: Json = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "The gateway's key, as OpenAI's clients send it."},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "As Anthropic's do."},
    "x-goog-api-key": {"type": "apiKey", "in": "header", "name": "x-goog-api-key", "description": "As Google's do."},
}
_IN_QUERY: Json = {"type": "apiKey", "in": "query", "name": "key", "description": "As Google's older ones do."}


def document(operations: Sequence[Operation], tables: Mapping[type, Table], version: str) -> Json:
    """`tables` say what becomes of the parameters of a model; `version` is that of the API."""
    schemas, definitions = components(_shapes(operations), tables)
    paths: dict[str, Json] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = _written(operation, schemas)
    used = {operation.group for operation in operations}
    return {
        "openapi": "3.1.0",
        "info": {"title": "claude-gateway", "version": version, "description": _ABOUT, "license": {"name": "MIT"}},
        "servers": [{"url": "/"}],
        "tags": [{"name": group.value, "description": about} for group, about in _GROUPS.items() if group in used],
        "paths": paths,
        "components": {"schemas": definitions, "securitySchemes": {**_SCHEMES, "key": _IN_QUERY}},
    }


def _shapes(operations: Iterable[Operation]) -> Iterator[Any]:
    for operation in operations:
        if operation.body is not None and operation.body.shape is not None:
            yield operation.body.shape
        for answer in (*operation.answers.values(), *(answer for _, answer in failures(operation))):
            yield from (shape for shape in (answer.shape, answer.stream) if shape is not None)


def _written(operation: Operation, schemas: Mapping[Any, Json]) -> Json:
    answers = {**operation.answers, **dict(failures(operation))}
    written: Json = {
        "tags": [operation.group.value],
        "summary": operation.summary,
        "operationId": _id(operation),
        "responses": {str(status): _answer(answer, schemas) for status, answer in sorted(answers.items())},
    }
    if operation.description:
        written["description"] = operation.description
    if operation.parameters:
        written["parameters"] = [_parameter(one) for one in operation.parameters]
    if operation.body is not None:
        written["requestBody"] = _body(operation.body, schemas)
    if operation.needs_key:
        names = [*_SCHEMES, *(["key"] if operation.envelope is Envelope.GEMINI else [])]
        written["security"] = [{name: []} for name in names]
    return written


def _id(operation: Operation) -> str:
    words = operation.path.replace("{", " ").replace("}", " ").replace(":", " ").replace("/", " ").split()
    return "_".join([operation.method, *words])


def _parameter(one: Parameter) -> Json:
    written = {"name": one.name, "in": one.place, "required": one.place == "path", "schema": dict(one.schema)}
    example = {} if one.example is None else {"example": one.example}
    return {**written, "description": one.description, **example}


def _body(body: Body, schemas: Mapping[Any, Json]) -> Json:
    schema = schemas[body.shape] if body.shape is not None else {"type": "string", "format": "binary"}
    content: Json = {"schema": schema}
    if body.examples:
        content["examples"] = {name: {"value": value} for name, value in body.examples.items()}
    return {"required": True, "content": {body.content_type: content}}


def _answer(answer: Answer, schemas: Mapping[Any, Json]) -> Json:
    content: Json = {}
    if answer.shape is not None:
        content["application/json"] = {"schema": schemas[answer.shape]}
        if answer.example is not None:
            content["application/json"]["example"] = answer.example
    elif answer.content_type != "application/json":
        content[answer.content_type] = {"schema": {"type": "string"}}
    if answer.also:
        content[answer.also] = {"schema": {"type": "string"}}
    if answer.stream is not None:
        content[_SSE] = _stream(answer, schemas[answer.stream])
    return {"description": answer.description, **({"content": content} if content else {})}


def _stream(answer: Answer, event: Json) -> Json:
    """The schema of each event: OpenAPI 3.1 has no other word for a stream."""
    data: Json = {"type": "string", "contentMediaType": "application/json", "contentSchema": event}
    ends = [one for one in answer.stream_example if isinstance(one, str)]
    if ends:
        data = {"anyOf": [{"enum": ends}, data]}
    schema = {"type": "object", "properties": {"event": {"type": "string"}, "data": data}, "required": ["data"]}
    return {"schema": schema, "example": "".join(_event(one) for one in answer.stream_example)}


def _event(data: Any) -> str:
    """As on the wire; a dialect that names its events calls them by their type."""
    name = f"event: {data['type']}\n" if "type" in data else ""
    return f"{name}data: {data if isinstance(data, str) else json.dumps(data)}\n\n"
