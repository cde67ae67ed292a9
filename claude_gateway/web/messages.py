"""`POST /v1/messages` and `POST /v1/messages/count_tokens`."""

import uuid

import orjson
from aiohttp import web

from claude_gateway.dialects.anthropic import encode
from claude_gateway.dialects.anthropic.parse import ParsedMessages, parse
from claude_gateway.dialects.anthropic.wire import MessagesRequest
from claude_gateway.web import answer, body
from claude_gateway.web.json_answer import json_answer
from claude_gateway.web.keys import CALLER, CATALOGUE

_BYTES_A_TOKEN = 4


async def messages(request: web.Request) -> web.StreamResponse:
    asked, model = await _read(request)
    message_id = f"msg_{uuid.uuid4().hex}"
    if asked.stream:
        return await answer.stream(request, asked, encode.StreamEncoder(message_id, model))
    return await answer.whole(request, asked, encode.BodyFold(message_id, model))


async def count_tokens(request: web.Request) -> web.Response:
    """An estimate by length, so that an editor that asks forty times a second costs nobody anything."""
    asked = await body.read(request, MessagesRequest)
    request.app[CATALOGUE].resolve(asked.model)
    sent = asked.model_dump(include={"messages", "system", "tools"})
    return json_answer({"input_tokens": max(1, len(orjson.dumps(sent)) // _BYTES_A_TOKEN)})


async def _read(request: web.Request) -> tuple[ParsedMessages, str]:
    """Apart, so that the request as it was sent is not held in memory while its job waits and runs."""
    asked = await body.read(request, MessagesRequest)
    model = request.app[CATALOGUE].resolve(asked.model)
    return parse(asked, request[CALLER].id, model), asked.model
