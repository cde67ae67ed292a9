"""`POST /v1/chat/completions`."""

import time
import uuid

import orjson
from aiohttp import web

from claude_gateway.dialects.openai_chat import encode
from claude_gateway.dialects.openai_chat.parse import ParsedChat, parse
from claude_gateway.dialects.openai_chat.wire import ChatRequest
from claude_gateway.web import body
from claude_gateway.web.answer_headers import answer_headers
from claude_gateway.web.keys import CALLER, CATALOGUE, SERVICE, SETTINGS
from claude_gateway.web.sse import Pace, send_stream


async def chat_completions(request: web.Request) -> web.StreamResponse:
    chat, identity = await _read(request)
    return await (_stream if chat.stream else _whole)(request, chat, identity)


async def _read(request: web.Request) -> tuple[ParsedChat, encode.Identity]:
    """Apart, so that the request as it was sent is not held in memory while its job waits and runs."""
    asked = await body.read(request, ChatRequest)
    model = request.app[CATALOGUE].resolve(asked.model)
    chat = parse(asked, request[CALLER].id, model)
    return chat, encode.Identity(f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), asked.model)


async def _stream(request: web.Request, chat: ParsedChat, identity: encode.Identity) -> web.StreamResponse:
    settings = request.app[SETTINGS]
    encoder = encode.ChunkEncoder(identity, include_usage=chat.include_usage)
    return await send_stream(
        request,
        request.app[SERVICE].run(chat.job),
        lambda event: [(None, data) for data in encoder.feed(event)],
        lambda error: [(None, encode.error_data(error))],
        Pace(settings.stream_head_seconds, settings.heartbeat_seconds),
        answer_headers(chat.job.model, chat.warnings),
    )


async def _whole(request: web.Request, chat: ParsedChat, identity: encode.Identity) -> web.Response:
    fold = encode.BodyFold(identity)
    async for event in request.app[SERVICE].run(chat.job):
        fold.feed(event)
    return web.Response(
        body=orjson.dumps(fold.body()),
        content_type="application/json",
        headers=answer_headers(chat.job.model, chat.warnings),
    )
