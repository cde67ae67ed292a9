"""`POST /v1/messages` and `POST /v1/messages/count_tokens`."""

import uuid

import orjson
from aiohttp import web

from claude_gateway.dialects.anthropic import encode
from claude_gateway.dialects.anthropic.parse import ParsedMessages, parse
from claude_gateway.dialects.anthropic.wire import MessagesRequest
from claude_gateway.web import body
from claude_gateway.web.answer_headers import answer_headers
from claude_gateway.web.keys import CALLER, CATALOGUE, SERVICE, SETTINGS
from claude_gateway.web.sse import Pace, send_stream

_BYTES_A_TOKEN = 4


async def messages(request: web.Request) -> web.StreamResponse:
    asked, model = await _read(request)
    message_id = f"msg_{uuid.uuid4().hex}"
    return await (_stream if asked.stream else _whole)(request, asked, message_id, model)


async def count_tokens(request: web.Request) -> web.Response:
    """An estimate by length, so that an editor that asks forty times a second costs nobody anything."""
    asked = await body.read(request, MessagesRequest)
    request.app[CATALOGUE].resolve(asked.model)
    sent = asked.model_dump(include={"messages", "system", "tools"})
    return _json({"input_tokens": max(1, len(orjson.dumps(sent)) // _BYTES_A_TOKEN)})


async def _read(request: web.Request) -> tuple[ParsedMessages, str]:
    """Apart, so that the request as it was sent is not held in memory while its job waits and runs."""
    asked = await body.read(request, MessagesRequest)
    model = request.app[CATALOGUE].resolve(asked.model)
    return parse(asked, request[CALLER].id, model), asked.model


async def _stream(request: web.Request, asked: ParsedMessages, message_id: str, model: str) -> web.StreamResponse:
    settings = request.app[SETTINGS]
    encoder = encode.StreamEncoder(message_id, model)
    return await send_stream(
        request,
        request.app[SERVICE].run(asked.job),
        encoder.feed,
        encoder.fail,
        Pace(settings.stream_head_seconds, settings.heartbeat_seconds),
        answer_headers(asked.job.model, asked.warnings),
    )


async def _whole(request: web.Request, asked: ParsedMessages, message_id: str, model: str) -> web.Response:
    fold = encode.BodyFold(message_id, model)
    async for event in request.app[SERVICE].run(asked.job):
        fold.feed(event)
    return _json(fold.body(), answer_headers(asked.job.model, asked.warnings))


def _json(value: object, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json", headers=headers)
