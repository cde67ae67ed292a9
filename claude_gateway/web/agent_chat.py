"""A Responses body sent to the path of chats, as Cursor's agent mode does: read by the one dialect, answered in the
other."""

import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from aiohttp import web

from claude_gateway.dialects.openai_chat import encode
from claude_gateway.dialects.openai_responses.parse import ParsedResponse, parse
from claude_gateway.dialects.openai_responses.wire import ResponsesRequest
from claude_gateway.own_tools.toolbox import Asks
from claude_gateway.prompt.conversation import bad
from claude_gateway.prompt.raw_calls import RawCalls
from claude_gateway.web import answer
from claude_gateway.web.bring_in import bring_in
from claude_gateway.web.chosen_model import chosen_model, told_model
from claude_gateway.web.equipment import equipped
from claude_gateway.web.parts import CALLER, PARTS
from claude_gateway.web.sent import Sent
from workers.events import Event


async def answer_chat(request: web.Request, sent: Sent[Any], asked: ResponsesRequest) -> web.StreamResponse:
    """`asked` is the head of what was sent."""
    parsed, identity = await _read(request, sent, asked)
    ready = await bring_in(request, parsed)
    asks = Asks(bool(asked.enable_tools), bool(asked.stream_tool_progress), None, parsed.hosted)
    job, left_out = await equipped(request, ready.job, asks)
    parsed = replace(parsed, job=job, warnings=(*ready.warnings, *left_out))
    del sent, asked  # not held in memory while its job waits and runs
    events = _raw(request, parsed)
    if parsed.stream:
        encoder = encode.ChunkEncoder(identity, include_usage=parsed.include_usage)
        return await answer.send(request, parsed, events, encoder)
    return await answer.gather(parsed, events, encode.BodyFold(identity))


async def _read(
    request: web.Request, sent: Sent[Any], asked: ResponsesRequest
) -> tuple[ParsedResponse, encode.Identity]:
    for name in ("previous_response_id", "background"):
        if getattr(asked, name):
            raise bad(name, "a chat is not stored; send this to /v1/responses")
    owner = request[CALLER].id
    model = chosen_model(request, asked.model)
    parsed = await sent.parsed(parse, owner, model, request.app[PARTS].responses.sealer(owner))
    return parsed, encode.Identity(f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), told_model(request, asked.model))


async def _raw(request: web.Request, parsed: ParsedResponse) -> AsyncGenerator[Event, None]:
    calls = RawCalls({name for name, origin in parsed.origins.items() if origin.kind == "custom"})
    async with aclosing(answer.events_of(request, parsed.job, live=parsed.stream)) as events:
        async for event in events:
            for told in calls.feed(event):
                yield told
