"""`POST /v1/chat/completions`."""

import time
import uuid

from aiohttp import web

from claude_gateway.dialects.openai_chat import encode
from claude_gateway.dialects.openai_chat.parse import parse
from claude_gateway.dialects.openai_chat.wire import ChatRequest
from claude_gateway.web import answer, body
from claude_gateway.web.keys import CALLER, CATALOGUE, SESSIONS


async def chat_completions(request: web.Request) -> web.StreamResponse:
    asked = await body.read(request, ChatRequest)
    model = request.app[CATALOGUE].resolve(asked.model)
    identity = encode.Identity(f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), asked.model)
    async with request.app[SESSIONS].open(request[CALLER].id, asked.session_id) as session:
        chat = parse(asked, request[CALLER].id, model, session.remembered)
        del asked  # not held in memory while its job waits and runs
        if chat.stream:
            encoder = encode.ChunkEncoder(identity, include_usage=chat.include_usage)
            return await answer.stream(request, chat, encoder, session)
        return await answer.whole(request, chat, encode.BodyFold(identity), session)
