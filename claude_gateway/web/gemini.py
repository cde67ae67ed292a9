"""`POST …/models/{model}:generateContent` and its sisters."""

import uuid
from dataclasses import replace

from aiohttp import web

from claude_gateway.dialects.gemini import encode
from claude_gateway.dialects.gemini.parse import parse
from claude_gateway.errors import ApiError
from claude_gateway.models.catalogue import unknown_model
from claude_gateway.own_tools.toolbox import Asks
from claude_gateway.reading.models import count_gemini, gemini_count_model, gemini_model
from claude_gateway.web import answer
from claude_gateway.web.chosen_model import chosen_model, told_model
from claude_gateway.web.equipment import equipped
from claude_gateway.web.framing import JsonArray, ServerSentEvents
from claude_gateway.web.json_answer import json_answer
from claude_gateway.web.parts import CALLER, PARTS
from claude_gateway.web.sent import receive

_SERVER_SENT_EVENTS = ServerSentEvents(heartbeat=f"data: {encode.KEEP_ALIVE}\n\n", has_bare_errors=True)


async def call(request: web.Request) -> web.StreamResponse:
    """The method stands behind the last colon; the name of the model may hold slashes."""
    name, _, method = request.match_info["call"].rpartition(":")
    if request.match_info["collection"] == "models":
        name = name.removeprefix("models/")
        if name.startswith("models/"):
            raise unknown_model(name)
    else:
        name = f"{request.match_info['collection']}/{name}"
    match method:
        case "generateContent":
            return await _generate(request, name, stream=False)
        case "streamGenerateContent":
            return await _generate(request, name, stream=True)
        case "countTokens":
            return await _count_tokens(request, name)
    raise ApiError(404, "not_found_error", "This gateway has no such method of a model.", code="method_not_found")


async def _generate(request: web.Request, name: str, *, stream: bool) -> web.StreamResponse:
    model = chosen_model(request, name)
    sent = await receive(request, gemini_model)
    asked = await sent.head()
    owner = request[CALLER].id
    sealer = request.app[PARTS].responses.sealer(owner)
    async with request.app[PARTS].sessions.open(owner, asked.session_id) as session:
        parsed = await sent.parsed(parse, owner, model, sealer, session.remembered)
        asks = Asks(bool(asked.enable_tools), bool(asked.stream_tool_progress), asked.session_id, parsed.hosted)
        job, left_out = await equipped(request, parsed.job, asks)
        parsed = replace(parsed, job=job, warnings=(*parsed.warnings, *left_out))
        del sent, asked  # not held in memory while its job waits and runs
        identity = (uuid.uuid4().hex, told_model(request, name), sealer)
        if stream:
            encoder = encode.ChunkEncoder(*identity, include_thoughts=parsed.include_thoughts)
            framing = _SERVER_SENT_EVENTS if request.query.get("alt") == "sse" else JsonArray()
            return await answer.stream(request, parsed, encoder, session, framing=framing)
        fold = encode.BodyFold(*identity, include_thoughts=parsed.include_thoughts)
        return await answer.whole(request, parsed, fold, session)


async def _count_tokens(request: web.Request, name: str) -> web.Response:
    """An estimate by length, as the other dialects have it."""
    model = chosen_model(request, name, spends=False)
    sent = await receive(request, gemini_count_model)
    owner = request[CALLER].id
    return json_answer(
        {"totalTokens": await sent.parsed(count_gemini, owner, model, request.app[PARTS].responses.sealer(owner))}
    )
