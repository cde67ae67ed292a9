"""Functions that build the OpenAPI document from the described operations of the HTTP API. Does no I/O."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from claude_gateway.dialects.common.dialect_name import DialectName
from claude_gateway.dialects.common.parameters.support import SupportTable
from claude_gateway.openapi.document.components import Json, build_components
from claude_gateway.openapi.error_schemas import list_error_responses
from claude_gateway.openapi.spec import Operation, Parameter, RequestBodySpec, ResponseSpec, Tag

_SSE_CONTENT_TYPE = "text/event-stream"
_DESCRIPTION = """\
Your own Claude Code, for any program that speaks OpenAI, Anthropic or Gemini.

The paths of chats and models also work without `/v1`. The paths of Gemini work under `/v1beta`, under `/v1` and without
a prefix.
The response header `x-gateway-warnings` names the parts of a request that the gateway ignored, omitted or changed, as
`field: action (reason)`. The header `x-claude-model` names the used model, `x-gateway-login` names the used login, and
`x-request-id` identifies the request.
"""
_TAG_DESCRIPTIONS: Mapping[Tag, str] = {
    Tag.CHAT: "Chats with Claude in the dialects of OpenAI, Anthropic and Google.",
    Tag.MODELS: "The available models.",
    Tag.SESSIONS: "Conversations that the gateway stores for the API key, and the files that Claude works on in them.",
    Tag.TOOLS: "The built-in tools of Claude Code.",
    Tag.MCP: "MCP servers, whose tools Claude can use.",
    Tag.USAGE: "Usage and its cost.",
    Tag.ADMIN: "Administration; requires the scope `admin`.",
    Tag.HEALTH: "State of the gateway.",
}
_SECURITY_SCHEMES: Json = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "The API key, as OpenAI's clients send it."},
    "x-api-key": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "As Anthropic's clients send it.",
    },
    "x-goog-api-key": {
        "type": "apiKey",
        "in": "header",
        "name": "x-goog-api-key",
        "description": "As Google's clients send it.",
    },
}
_QUERY_KEY_SCHEME: Json = {
    "type": "apiKey",
    "in": "query",
    "name": "key",
    "description": "As Google's older clients send it.",
}


def build_document(
    operations: Sequence[Operation], parameter_tables: Mapping[type, SupportTable], version: str
) -> Json:
    """Return an OpenAPI document that describes all given operations.

    Args:
        operations: The operations, in the order in which the document lists them.
        parameter_tables: For each schema of a request body, a table that says for each parameter of the body how the
            gateway supports the parameter.
        version: The version of the API that the document names.
    """
    schemas, definitions = build_components(_collect_models(operations), parameter_tables)
    paths: dict[str, Json] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = _operation_object(operation, schemas)
    used_tags = {operation.spec.tag for operation in operations}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "claude-gateway",
            "version": version,
            "description": _DESCRIPTION,
            "license": {"name": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": tag.value, "description": description}
            for tag, description in _TAG_DESCRIPTIONS.items()
            if tag in used_tags
        ],
        "paths": paths,
        "components": {"schemas": definitions, "securitySchemes": {**_SECURITY_SCHEMES, "key": _QUERY_KEY_SCHEME}},
    }


def _collect_models(operations: Iterable[Operation]) -> Iterator[Any]:
    for operation in operations:
        spec = operation.spec
        if spec.body is not None and spec.body.model is not None:
            yield spec.body.model
        for response in (*spec.responses.values(), *(response for _, response in list_error_responses(operation))):
            yield from (model for model in (response.model, response.stream_model) if model is not None)


def _operation_object(operation: Operation, schemas: Mapping[Any, Json]) -> Json:
    spec = operation.spec
    responses = {**spec.responses, **dict(list_error_responses(operation))}
    operation_object: Json = {
        "tags": [spec.tag.value],
        "summary": spec.summary,
        "operationId": _make_operation_id(operation),
        "responses": {
            str(status): _response_object(response, schemas) for status, response in sorted(responses.items())
        },
    }
    if spec.description:
        operation_object["description"] = spec.description
    if spec.parameters:
        operation_object["parameters"] = [_parameter_object(parameter) for parameter in spec.parameters]
    if spec.body is not None:
        operation_object["requestBody"] = _request_body_object(spec.body, schemas)
    if operation.needs_key:
        scheme_names = [*_SECURITY_SCHEMES, *(["key"] if operation.error_dialect is DialectName.GEMINI else [])]
        operation_object["security"] = [{name: []} for name in scheme_names]
    return operation_object


def _make_operation_id(operation: Operation) -> str:
    words = operation.path.replace("{", " ").replace("}", " ").replace(":", " ").replace("/", " ").split()
    return "_".join([operation.method, *words])


def _parameter_object(parameter: Parameter) -> Json:
    parameter_object = {
        "name": parameter.name,
        "in": parameter.location,
        "required": parameter.location == "path",
        "schema": dict(parameter.schema),
    }
    example = {} if parameter.example is None else {"example": parameter.example}
    return {**parameter_object, "description": parameter.description, **example}


def _request_body_object(body: RequestBodySpec, schemas: Mapping[Any, Json]) -> Json:
    schema = schemas[body.model] if body.model is not None else {"type": "string", "format": "binary"}
    content: Json = {"schema": schema}
    if body.examples:
        content["examples"] = {name: {"value": value} for name, value in body.examples.items()}
    return {"required": True, "content": {body.content_type: content}}


def _response_object(response: ResponseSpec, schemas: Mapping[Any, Json]) -> Json:
    content: Json = {}
    if response.model is not None:
        content["application/json"] = {"schema": schemas[response.model]}
        if response.example is not None:
            content["application/json"]["example"] = response.example
    elif response.content_type != "application/json":
        content[response.content_type] = {"schema": {"type": "string"}}
    if response.alternative_content_type:
        content[response.alternative_content_type] = {"schema": {"type": "string"}}
    if response.stream_model is not None:
        content[_SSE_CONTENT_TYPE] = _stream_object(response, schemas[response.stream_model])
    return {"description": response.description, **({"content": content} if content else {})}


def _stream_object(response: ResponseSpec, event_schema: Json) -> Json:
    """Return the OpenAPI object that describes a stream of server-sent events.

    The object contains the schema of one event and an example with a few events, because OpenAPI 3.1 cannot describe a
    whole stream.
    """
    data: Json = {"type": "string", "contentMediaType": "application/json", "contentSchema": event_schema}
    end_markers = [event for event in response.stream_example if isinstance(event, str)]
    if end_markers:
        data = {"anyOf": [{"enum": end_markers}, data]}
    schema = {"type": "object", "properties": {"event": {"type": "string"}, "data": data}, "required": ["data"]}
    return {"schema": schema, "example": "".join(_format_event(event) for event in response.stream_example)}


def _format_event(data: Any) -> str:
    """Return the text of a server-sent event with the given data.

    If the data has a field `type`, the event has this type as its name. Otherwise the event has no name.
    """
    name = f"event: {data['type']}\n" if "type" in data else ""
    return f"{name}data: {data if isinstance(data, str) else json.dumps(data)}\n\n"
