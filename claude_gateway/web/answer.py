"""A job's answer in the words of its dialect: as a stream, or as one body. The same way for every dialect."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Protocol

from aiohttp import web

from claude_gateway.session import NO_SESSION, Session
from claude_gateway.web.answer_headers import answer_headers
from claude_gateway.web.bring_in import bring_in
from claude_gateway.web.framing import SERVER_SENT_EVENTS, Framing
from claude_gateway.web.json_answer import json_answer
from claude_gateway.web.keys import SERVICE, SETTINGS
from claude_gateway.web.parsed import Parsed
from claude_gateway.web.sse import Encoder, Fed, Pace, send_stream
from workers.events import Event


class Fold(Protocol):
    """Events to a body."""

    def feed(self, event: Event) -> None: ...
    def body(self) -> dict[str, Any]: ...


async def stream(
    request: web.Request,
    parsed: Parsed,
    encoder: Encoder[Event],
    session: Session = NO_SESSION,
    *,
    framing: Framing = SERVER_SENT_EVENTS,
) -> web.StreamResponse:
    parsed = await bring_in(request, parsed)
    told = session.record(parsed.job, request.app[SERVICE].run(parsed.job))
    return await send(request, parsed, told, encoder, framing)


async def whole(request: web.Request, parsed: Parsed, fold: Fold, session: Session = NO_SESSION) -> web.Response:
    parsed = await bring_in(request, parsed)
    return await gather(parsed, session.record(parsed.job, request.app[SERVICE].run(parsed.job)), fold)


async def send(
    request: web.Request,
    parsed: Parsed,
    told: AsyncGenerator[Fed, None],
    encoder: Encoder[Fed],
    framing: Framing = SERVER_SENT_EVENTS,
) -> web.StreamResponse:
    """A stream of what was told of the job."""
    return await send_stream(request, told, encoder, pace(request), headers(parsed), framing)


async def gather(parsed: Parsed, events: AsyncGenerator[Event, None], fold: Fold) -> web.Response:
    """One body, once the last event is there."""
    async with aclosing(events):
        async for event in events:
            fold.feed(event)
    return json_answer(fold.body(), headers=headers(parsed))


def headers(parsed: Parsed) -> dict[str, str]:
    return answer_headers(parsed.job.model, parsed.warnings)


def pace(request: web.Request) -> Pace:
    settings = request.app[SETTINGS]
    return Pace(settings.stream_head_seconds, settings.heartbeat_seconds)
