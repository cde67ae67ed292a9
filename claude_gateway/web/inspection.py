"""`POST /v1/compatibility` and `POST /v1/debug/request`: what would become of a request, and nobody is asked."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from aiohttp import web
from pydantic import BaseModel

from claude_gateway.access.key_ring import sent_keys
from claude_gateway.dialects.anthropic.parse import parse as parse_messages
from claude_gateway.dialects.anthropic.wire import MessagesRequest
from claude_gateway.dialects.gemini.parse import parse as parse_gemini
from claude_gateway.dialects.gemini.wire import GenerateContentRequest
from claude_gateway.dialects.openai_chat.encode import error_object
from claude_gateway.dialects.openai_chat.parse import parse as parse_chat
from claude_gateway.dialects.openai_chat.wire import ChatRequest
from claude_gateway.dialects.openai_responses.parse import parse as parse_responses
from claude_gateway.dialects.openai_responses.parse import references
from claude_gateway.dialects.openai_responses.wire import ResponsesRequest
from claude_gateway.errors import ApiError
from claude_gateway.inspection import report, shown
from claude_gateway.inspection.told_by import Kind
from claude_gateway.own_tools.toolbox import Asks
from claude_gateway.prompt.hosted_tools import Hosted
from claude_gateway.reading.debugging import PARAMETERS, Examined, describe, examine, inspected_model
from claude_gateway.web import body
from claude_gateway.web.chosen_model import chosen_model
from claude_gateway.web.equipment import equipped
from claude_gateway.web.json_answer import json_answer
from claude_gateway.web.messages import wants_tools
from claude_gateway.web.parsed import Parsed
from claude_gateway.web.parts import CALLER, PARTS, REQUEST_ID
from claude_gateway.web.sent import Sent, receive
from workers.job import ChatJob
from workers.job_size import job_bytes

_ENDPOINTS: Mapping[Kind, str] = {
    Kind.CHAT: "POST /v1/chat/completions",
    Kind.RESPONSES: "POST /v1/responses",
    Kind.MESSAGES: "POST /v1/messages",
    Kind.GEMINI: "POST /v1beta/models/{model}:generateContent",
}
# The client reads no more of them.
_MAX_WARNINGS = 1_000


class _Parsed(Parsed, Protocol):
    @property
    def hosted(self) -> tuple[Hosted, ...]: ...


@dataclass(frozen=True, slots=True)
class _Reading:
    """A request as it was read; `error` is what it would be refused with, and then there is no job."""

    sent: Sent[BaseModel]
    examined: Examined
    job: ChatJob | None = None
    warnings: tuple[str, ...] = ()
    error: ApiError | None = None

    def told(self) -> dict[str, Any]:
        kind = self.examined.kind
        return {"dialect": kind, "endpoint": _ENDPOINTS[kind], "told_by": self.examined.told_by}

    def refusal(self) -> dict[str, Any] | None:
        return error_object(self.error)["error"] if self.error else None


async def compatibility(request: web.Request) -> web.Response:
    """What becomes of each parameter."""
    reading = await _read(request)
    treated = reading.examined.treated
    known = PARAMETERS[reading.examined.kind].PARAMETERS
    return json_answer(
        {
            **reading.told(),
            "compatible": reading.error is None,
            "parameters": report.by_treatment(treated),
            "warnings": reading.warnings,
            "suggestions": report.suggestions(treated, known, reading.refusal()),
            "error": reading.refusal(),
        }
    )


async def debug(request: web.Request) -> web.Response:
    """How it was read, and the job that it became."""
    reading = await _read(request)
    secrets = [*sent_keys(request.headers), *request.query.getall("key", [])]
    job = reading.job
    if job is not None and job.work is not None:
        job = replace(job, work=replace(job.work, call=None))
    is_small = job is None or job_bytes(job) <= request.app[PARTS].offload.limits.inline_bytes
    parsed, became = await reading.sent.run(describe, job, secrets, is_small=is_small)
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
            "parsed": parsed,
            "job": became,
            "warnings": reading.warnings,
            "not_done": ["nothing was fetched by URL", "what a session remembers was not put before it"],
        }
    )


async def _read(request: web.Request) -> _Reading:
    """As its own path reads it. Raises `ApiError` for what is no JSON object, and for a dialect that is none."""
    headers, named = tuple(request.headers), request.query.get("dialect")
    sent = await receive(request, partial(inspected_model, headers, named))
    examined = await sent.run(examine, headers, named)
    reading = _Reading(sent, examined, error=examined.error)
    asked = examined.asked
    if asked is None:
        return reading
    try:
        parsed, wants = await _parsed(request, sent, asked, examined)
        told, session = bool(getattr(asked, "stream_tool_progress", None)), getattr(asked, "session_id", None)
        asks = Asks(wants, told, session, parsed.hosted, as_calls=examined.kind is Kind.MESSAGES)
        job, left_out = await equipped(request, parsed.job, asks)
    except ApiError as error:
        return replace(reading, error=error)
    return replace(reading, job=job, warnings=(*parsed.warnings[:_MAX_WARNINGS], *left_out))


async def _parsed(
    request: web.Request, sent: Sent[BaseModel], asked: BaseModel, examined: Examined
) -> tuple[_Parsed, bool]:
    """And whether Claude's own tools are wanted."""
    parts, owner = request.app[PARTS], request[CALLER].id
    sealer = parts.responses.sealer(owner)
    match asked:
        case ChatRequest():
            model = _model(request, asked.model)
            return await sent.parsed(parse_chat, owner, model), bool(asked.enable_tools)
        case MessagesRequest():
            model = _model(request, asked.model)
            return await sent.parsed(parse_messages, owner, model), wants_tools(asked, parts.settings)
        case ResponsesRequest():
            memory = await parts.responses.recall(owner, asked.previous_response_id, references(asked))
            model = _model(request, asked.model)
            return await sent.parsed(parse_responses, owner, model, sealer, memory.past), bool(asked.enable_tools)
        case GenerateContentRequest():
            model = _model(request, _in_path(request, examined.named_model))
            return await sent.parsed(parse_gemini, owner, model, sealer), bool(asked.enable_tools)
    raise TypeError(type(asked))


def _model(request: web.Request, name: str) -> str:
    return chosen_model(request, name, spends=False)


def _in_path(request: web.Request, in_body: str) -> str:
    """The model's name, which Google has in the path."""
    return (request.query.get("model") or in_body).removeprefix("models/") or "default"
