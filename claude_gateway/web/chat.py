"""`POST /v1/chat/completions`."""

import time
import uuid
from dataclasses import replace

from aiohttp import web

from claude_gateway.dialects.openai_chat import encode
from claude_gateway.dialects.openai_chat.parse import parse
from claude_gateway.dialects.openai_chat.wire import ChatRequest
from claude_gateway.web import agent_chat, answer, body
from claude_gateway.web.equipment import Asks, equipped
from claude_gateway.web.keys import CALLER, CATALOGUE, SESSIONS


async def chat_completions(request: web.Request) -> web.StreamResponse:
    sent = await body.read_object(request)
    if agent_chat.is_agents(sent):
        return await agent_chat.answer_chat(request, sent)
    asked = body.validated(ChatRequest, sent)
    model = request.app[CATALOGUE].resolve(asked.model)
    identity = encode.Identity(f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), asked.model)
    async with request.app[SESSIONS].open(request[CALLER].id, asked.session_id) as session:
        chat = parse(asked, request[CALLER].id, model, session.remembered)
        asks = Asks(bool(asked.enable_tools), bool(asked.stream_tool_progress), asked.session_id)
        job, left_out = await equipped(request, chat.job, asks)
        chat = replace(chat, job=job, warnings=(*chat.warnings, *left_out))
        del sent, asked  # not held in memory while its job waits and runs
        if chat.stream:
            encoder = encode.ChunkEncoder(identity, include_usage=chat.include_usage, legacy=chat.legacy)
            return await answer.stream(request, chat, encoder, session)
        return await answer.whole(request, chat, encode.BodyFold(identity, legacy=chat.legacy), session)
