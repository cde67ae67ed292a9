"""`POST /v1/chat/completions`."""

import time
import uuid

from aiohttp import web

from claude_gateway.dialects.openai_chat import encode
from claude_gateway.dialects.openai_chat.parse import ParsedChat, parse
from claude_gateway.dialects.openai_chat.wire import ChatRequest
from claude_gateway.web import answer, body
from claude_gateway.web.keys import CALLER, CATALOGUE


async def chat_completions(request: web.Request) -> web.StreamResponse:
    chat, identity = await _read(request)
    if chat.stream:
        return await answer.stream(request, chat, encode.ChunkEncoder(identity, include_usage=chat.include_usage))
    return await answer.whole(request, chat, encode.BodyFold(identity))


async def _read(request: web.Request) -> tuple[ParsedChat, encode.Identity]:
    """Apart, so that the request as it was sent is not held in memory while its job waits and runs."""
    asked = await body.read(request, ChatRequest)
    model = request.app[CATALOGUE].resolve(asked.model)
    chat = parse(asked, request[CALLER].id, model)
    return chat, encode.Identity(f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), asked.model)
