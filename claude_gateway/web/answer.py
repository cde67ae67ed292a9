"""A job's answer in the words of its dialect: as a stream, or as one body. The same way for every dialect."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Protocol

from aiohttp import web

from claude_gateway.fan_out import Numbered, side_by_side
from claude_gateway.sessions.session import NO_SESSION, Session
from claude_gateway.structured import checked
from claude_gateway.web.answer_headers import answer_headers
from claude_gateway.web.bring_in import bring_in
from claude_gateway.web.framing import SERVER_SENT_EVENTS, Framing
from claude_gateway.web.json_answer import json_answer
from claude_gateway.web.parsed import Parsed
from claude_gateway.web.parts import PARTS
from claude_gateway.web.sse import Encoder, Fed, Fed_contra, Pace, send_stream
from workers.events import Event
from workers.job import ChatJob


class Fold(Protocol[Fed_contra]):
    """Events to a body."""

    def feed(self, event: Fed_contra, /) -> None: ...
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
    told = session.record(parsed.job, events_of(request, parsed.job, live=True))
    return await send(request, parsed, told, encoder, framing)


async def whole(request: web.Request, parsed: Parsed, fold: Fold[Event], session: Session = NO_SESSION) -> web.Response:
    parsed = await bring_in(request, parsed)
    return await gather(parsed, session.record(parsed.job, events_of(request, parsed.job, live=False)), fold)


async def stream_several(
    request: web.Request, parsed: Parsed, count: int, encoder: Encoder[Numbered]
) -> web.StreamResponse:
    """`count` answers to the same job, side by side."""
    parsed = await bring_in(request, parsed)
    return await send(request, parsed, _several(request, parsed.job, count, live=True), encoder)


async def whole_several(request: web.Request, parsed: Parsed, count: int, fold: Fold[Numbered]) -> web.Response:
    parsed = await bring_in(request, parsed)
    return await gather(parsed, _several(request, parsed.job, count, live=False), fold)


async def send(
    request: web.Request,
    parsed: Parsed,
    told: AsyncGenerator[Fed, None],
    encoder: Encoder[Fed],
    framing: Framing = SERVER_SENT_EVENTS,
) -> web.StreamResponse:
    """A stream of what was told of the job."""
    return await send_stream(request, told, encoder, pace(request), headers(parsed), framing)


async def gather(parsed: Parsed, events: AsyncGenerator[Fed, None], fold: Fold[Fed]) -> web.Response:
    """One body, once the last event is there."""
    async with aclosing(events):
        async for event in events:
            fold.feed(event)
    return json_answer(fold.body(), headers=headers(parsed))


def events_of(request: web.Request, job: ChatJob, *, live: bool) -> AsyncGenerator[Event, None]:
    """`live`: the caller sees each as it comes, and nothing can be taken back. Raises `WorkerError` for a job that
    comes when the gateway stops."""
    request.app[PARTS].drain.admit()
    return checked.events_of(request.app[PARTS].service, job, live=live)


def _several(request: web.Request, job: ChatJob, count: int, *, live: bool) -> AsyncGenerator[Numbered, None]:
    return side_by_side([events_of(request, job, live=live) for _ in range(count)])


def headers(parsed: Parsed) -> dict[str, str]:
    return answer_headers(parsed.job.model, parsed.warnings)


def pace(request: web.Request) -> Pace:
    settings = request.app[PARTS].settings
    return Pace(settings.stream_head_seconds, settings.heartbeat_seconds)
