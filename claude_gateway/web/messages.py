"""`POST /v1/messages` and `POST /v1/messages/count_tokens`."""

import uuid
from dataclasses import replace

from aiohttp import web

from claude_gateway.config import Settings
from claude_gateway.dialects.anthropic import encode
from claude_gateway.dialects.anthropic.parse import parse
from claude_gateway.dialects.anthropic.wire import MessagesRequest
from claude_gateway.own_tools.toolbox import Asks
from claude_gateway.reading.models import count_messages, messages_model
from claude_gateway.web import answer
from claude_gateway.web.chosen_model import chosen_model, told_model
from claude_gateway.web.equipment import equipped
from claude_gateway.web.json_answer import json_answer
from claude_gateway.web.parts import CALLER, PARTS
from claude_gateway.web.sent import receive


async def messages(request: web.Request) -> web.StreamResponse:
    sent = await receive(request, messages_model)
    asked = await sent.head()
    model = chosen_model(request, asked.model)
    identity = (f"msg_{uuid.uuid4().hex}", told_model(request, asked.model))
    async with request.app[PARTS].sessions.open(request[CALLER].id, asked.session_id) as session:
        parsed = await sent.parsed(parse, request[CALLER].id, model, session.remembered)
        asks = Asks(
            wants_tools(asked, request.app[PARTS].settings),
            bool(asked.stream_tool_progress),
            asked.session_id,
            parsed.hosted,
            as_calls=True,
        )
        job, left_out = await equipped(request, parsed.job, asks)
        parsed = replace(parsed, job=job, warnings=(*parsed.warnings, *left_out))
        del sent, asked  # not held in memory while its job waits and runs
        if parsed.stream:
            return await answer.stream(request, parsed, encode.StreamEncoder(*identity), session)
        return await answer.whole(request, parsed, encode.BodyFold(*identity), session)


async def count_tokens(request: web.Request) -> web.Response:
    """An estimate by length, so that an editor that asks forty times a second costs nobody anything."""
    sent = await receive(request, messages_model)
    model = chosen_model(request, (await sent.head()).model, spends=False)
    return json_answer({"input_tokens": await sent.parsed(count_messages, request[CALLER].id, model)})


def wants_tools(asked: MessagesRequest, settings: Settings) -> bool:
    """Whether Claude is to use its own tools. Without a word of it only where no tools are named at all: an empty list
    says that none are wanted."""
    if asked.enable_tools is not None:
        return asked.enable_tools
    return settings.messages_tools == "on" and asked.tools is None
