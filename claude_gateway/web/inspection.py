"""`POST /v1/compatibility` and `POST /v1/debug/request`: what would become of a request, and nobody is asked."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from aiohttp import web
from pydantic import BaseModel

from claude_gateway.access.key_ring import sent_keys
from claude_gateway.dialects.anthropic import parameters as anthropic_parameters
from claude_gateway.dialects.anthropic.parse import parse as parse_messages
from claude_gateway.dialects.anthropic.wire import MessagesRequest
from claude_gateway.dialects.gemini import parameters as gemini_parameters
from claude_gateway.dialects.gemini.parse import parse as parse_gemini
from claude_gateway.dialects.gemini.wire import GenerateContentRequest
from claude_gateway.dialects.openai_chat import parameters as chat_parameters
from claude_gateway.dialects.openai_chat.encode import error_object
from claude_gateway.dialects.openai_chat.parse import parse as parse_chat
from claude_gateway.dialects.openai_chat.wire import ChatRequest
from claude_gateway.dialects.openai_responses import parameters as responses_parameters
from claude_gateway.dialects.openai_responses.parse import parse as parse_responses
from claude_gateway.dialects.openai_responses.parse import references
from claude_gateway.dialects.openai_responses.wire import ResponsesRequest
from claude_gateway.errors import ApiError
from claude_gateway.inspection import report, shown
from claude_gateway.inspection.told_by import Kind, kind_of
from claude_gateway.own_tools.toolbox import Asks
from claude_gateway.prompt.hosted_tools import Hosted
from claude_gateway.web import body
from claude_gateway.web.chosen_model import chosen_model
from claude_gateway.web.equipment import equipped
from claude_gateway.web.json_answer import json_answer
from claude_gateway.web.messages import wants_tools
from claude_gateway.web.parsed import Parsed
from claude_gateway.web.parts import CALLER, PARTS, REQUEST_ID
from workers.job import ChatJob

_ENDPOINTS: Mapping[Kind, str] = {
    Kind.CHAT: "POST /v1/chat/completions",
    Kind.RESPONSES: "POST /v1/responses",
    Kind.MESSAGES: "POST /v1/messages",
    Kind.GEMINI: "POST /v1beta/models/{model}:generateContent",
}
_MODELS: Mapping[Kind, type[BaseModel]] = {
    Kind.CHAT: ChatRequest,
    Kind.RESPONSES: ResponsesRequest,
    Kind.MESSAGES: MessagesRequest,
    Kind.GEMINI: GenerateContentRequest,
}
_PARAMETERS: Mapping[Kind, Any] = {
    Kind.CHAT: chat_parameters,
    Kind.RESPONSES: responses_parameters,
    Kind.MESSAGES: anthropic_parameters,
    Kind.GEMINI: gemini_parameters,
}


class _Parsed(Parsed, Protocol):
    @property
    def hosted(self) -> tuple[Hosted, ...]: ...


@dataclass(frozen=True, slots=True)
class _Reading:
    """A request as it was read; `error` is what it would be refused with, and then there is no job."""

    kind: Kind
    told_by: str
    sent: Mapping[str, Any]
    asked: BaseModel | None = None
    job: ChatJob | None = None
    warnings: tuple[str, ...] = ()
    error: ApiError | None = None

    def told(self) -> dict[str, Any]:
        return {"dialect": self.kind, "endpoint": _ENDPOINTS[self.kind], "told_by": self.told_by}

    def refusal(self) -> dict[str, Any] | None:
        return error_object(self.error)["error"] if self.error else None


async def compatibility(request: web.Request) -> web.Response:
    """What becomes of each parameter."""
    reading = await _read(request)
    parameters = _PARAMETERS[reading.kind]
    treated = parameters.treated(reading.sent)
    return json_answer(
        {
            **reading.told(),
            "compatible": reading.error is None,
            "parameters": report.by_treatment(treated),
            "warnings": reading.warnings,
            "suggestions": report.suggestions(treated, parameters.PARAMETERS, reading.refusal()),
            "error": reading.refusal(),
        }
    )


async def debug(request: web.Request) -> web.Response:
    """How it was read, and the job that it became."""
    reading = await _read(request)
    secrets = [*sent_keys(request.headers), *request.query.getall("key", [])]
    asked = None if reading.asked is None else reading.asked.model_dump(exclude_unset=True, by_alias=True)
    return json_answer(
        {
            **reading.told(),
            "request": {
                "request_id": request[REQUEST_ID],
                "headers": shown.headers(request.headers.items(), secrets),
                "body_bytes": len(await body.read_bytes(request)),
            },
            "valid": reading.error is None,
            "error": reading.refusal(),
            "parsed": shown.value(asked, secrets),
            "job": shown.value(reading.job, secrets),
            "warnings": reading.warnings,
            "not_done": ["nothing was fetched by URL", "what a session remembers was not put before it"],
        }
    )


async def _read(request: web.Request) -> _Reading:
    """As its own path reads it. Raises `ApiError` for what is no JSON object, and for a dialect that is none."""
    sent = await body.read_object(request)
    kind, told_by = kind_of(sent, request.headers, request.query.get("dialect"))
    match sent:
        case {"extra_body": dict(extra), **rest} if kind is Kind.CHAT:
            sent = {**rest, **extra}
    reading = _Reading(kind, told_by, sent)
    try:
        asked = body.validated(_MODELS[kind], sent)
        reading = replace(reading, asked=asked)
        parsed, wants = await _parsed(request, asked, sent)
        told, session = bool(getattr(asked, "stream_tool_progress", None)), getattr(asked, "session_id", None)
        asks = Asks(wants, told, session, parsed.hosted, as_calls=kind is Kind.MESSAGES)
        job, left_out = await equipped(request, parsed.job, asks)
    except ApiError as error:
        return replace(reading, error=error)
    return replace(reading, job=job, warnings=(*parsed.warnings, *left_out))


async def _parsed(request: web.Request, asked: BaseModel, sent: Mapping[str, Any]) -> tuple[_Parsed, bool]:
    """And whether Claude's own tools are wanted."""
    parts, owner = request.app[PARTS], request[CALLER].id
    sealer = parts.responses.sealer(owner)
    match asked:
        case ChatRequest():
            return parse_chat(asked, owner, _model(request, asked.model)), bool(asked.enable_tools)
        case MessagesRequest():
            return parse_messages(asked, owner, _model(request, asked.model)), wants_tools(asked, parts.settings)
        case ResponsesRequest():
            memory = await parts.responses.recall(owner, asked.previous_response_id, references(asked))
            model = _model(request, asked.model)
            return parse_responses(asked, owner, model, sealer, memory.past), bool(asked.enable_tools)
        case GenerateContentRequest():
            model = _model(request, _in_path(request, sent))
            return parse_gemini(asked, owner, model, sealer), bool(asked.enable_tools)
    raise TypeError(type(asked))


def _model(request: web.Request, name: str) -> str:
    return chosen_model(request, name, spends=False)


def _in_path(request: web.Request, sent: Mapping[str, Any]) -> str:
    """The model's name, which Google has in the path."""
    named = request.query.get("model") or sent.get("model")
    return named.removeprefix("models/") if isinstance(named, str) else "default"
