"""`POST /v1/chat/completions`."""

import time
import uuid
from dataclasses import replace

from aiohttp import web

from claude_gateway.dialects.openai_chat import choices, encode
from claude_gateway.dialects.openai_chat.parse import ParsedChat, parse
from claude_gateway.dialects.openai_responses.wire import ResponsesRequest
from claude_gateway.own_tools.toolbox import Asks
from claude_gateway.prompt.conversation import bad
from claude_gateway.prompt.numbers import range_text
from claude_gateway.reading.models import chat_model
from claude_gateway.web import agent_chat, answer
from claude_gateway.web.chosen_model import chosen_model, told_model
from claude_gateway.web.equipment import equipped
from claude_gateway.web.parts import CALLER, PARTS
from claude_gateway.web.sent import receive


async def chat_completions(request: web.Request) -> web.StreamResponse:
    sent = await receive(request, chat_model)
    asked = await sent.head()
    if isinstance(asked, ResponsesRequest):
        return await agent_chat.answer_chat(request, sent, asked)
    model = chosen_model(request, asked.model)
    identity = encode.Identity(f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), told_model(request, asked.model))
    count = asked.n or 1
    _check(count, request.app[PARTS].settings.max_choices, asked.session_id)
    async with request.app[PARTS].sessions.open(request[CALLER].id, asked.session_id) as session:
        chat = await sent.parsed(parse, request[CALLER].id, model, session.remembered)
        asks = Asks(bool(asked.enable_tools), bool(asked.stream_tool_progress), asked.session_id, chat.hosted)
        job, left_out = await equipped(request, chat.job, asks)
        chat = replace(chat, job=job, warnings=(*chat.warnings, *left_out))
        del sent, asked  # not held in memory while its job waits and runs
        if count > 1:
            return await _several(request, chat, count, identity)
        if chat.stream:
            encoder = encode.ChunkEncoder(
                identity, include_usage=chat.include_usage, legacy=chat.legacy, custom=chat.custom
            )
            return await answer.stream(request, chat, encoder, session)
        return await answer.whole(
            request, chat, encode.BodyFold(identity, legacy=chat.legacy, custom=chat.custom), session
        )


async def _several(request: web.Request, chat: ParsedChat, count: int, identity: encode.Identity) -> web.StreamResponse:
    if chat.stream:
        encoder = choices.ChoicesEncoder(
            identity, count, include_usage=chat.include_usage, legacy=chat.legacy, custom=chat.custom
        )
        return await answer.stream_several(request, chat, count, encoder)
    return await answer.whole_several(
        request, chat, count, choices.ChoicesFold(identity, count, legacy=chat.legacy, custom=chat.custom)
    )


def _check(count: int, most: int, session_id: str | None) -> None:
    if count > most:
        raise bad("n", f"{range_text(count, 1, most)} (MAX_CHOICES)")
    if count > 1 and session_id:
        raise bad("n", "a session remembers one answer; leave out one of the two")
