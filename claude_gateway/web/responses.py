"""`POST /v1/responses`, and what is asked of the stored ones."""

import time
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from aiohttp import web

from claude_gateway.dialects.openai_chat.encode import error_object
from claude_gateway.dialects.openai_responses.answer import Answer
from claude_gateway.dialects.openai_responses.encode import BodyFold, LogEncoder, Sent, StreamEncoder
from claude_gateway.dialects.openai_responses.parse import kept_references, parse, references
from claude_gateway.dialects.openai_responses.response_object import Identity
from claude_gateway.errors import ApiError
from claude_gateway.own_tools.toolbox import Asks
from claude_gateway.prompt.conversation import bad
from claude_gateway.prompt.numbers import MAX_INTEGER, read_number
from claude_gateway.prompt.remote_media import with_fetched
from claude_gateway.reading.models import responses_model
from claude_gateway.responses.register import Asked
from claude_gateway.web import answer, body
from claude_gateway.web.bring_in import bring_in
from claude_gateway.web.chosen_model import chosen_model, told_model
from claude_gateway.web.equipment import equipped
from claude_gateway.web.framing import SERVER_SENT_EVENTS
from claude_gateway.web.json_answer import json_answer
from claude_gateway.web.middlewares import error_response
from claude_gateway.web.parts import CALLER, PARTS
from claude_gateway.web.sent import receive
from claude_gateway.web.slices import send_whole
from claude_gateway.web.sse import send_stream

_USUAL_PAGE = 20
_LARGEST_PAGE = 100


async def create(request: web.Request) -> web.StreamResponse:
    asked, identity = await _read(request)
    if asked.parsed.background:
        return await _in_background(request, asked, identity)
    try:
        return await _answer(request, asked, identity)
    finally:
        asked.memory.release()


async def _answer(request: web.Request, asked: Asked, identity: Identity) -> web.StreamResponse:
    events = answer.events_of(request, asked.parsed.job, live=asked.parsed.stream)
    if asked.parsed.stream:
        one = _begin(request, asked, identity)
        told = request.app[PARTS].responses.record(asked, one, events)
        return await answer.send(request, asked.parsed, told, StreamEncoder(one))
    fold = BodyFold(lambda: _begin(request, asked, identity))
    response = await answer.gather(asked.parsed, events, fold)
    if asked.parsed.store:
        await request.app[PARTS].responses.keep(asked, fold.answer)
    return response


async def get(request: web.Request) -> web.StreamResponse:
    """The response as it stands, or its stream once more, from any event on."""
    owner, id_ = _named(request)
    if request.query.get("stream", "").lower() in ("true", "1"):
        after = _number(request, "starting_after", -1, least=0)
        with request.app[PARTS].background.follower(owner):
            return await _follow(request, await request.app[PARTS].background.follow(owner, id_, after), after, {})
    made = await request.app[PARTS].background.shown(owner, id_)
    if made is not None:
        return json_answer(made)
    responses = request.app[PARTS].responses
    async with responses.room(owner, id_):
        return await send_whole(request, json_answer(await responses.shown(owner, id_)))


async def delete(request: web.Request) -> web.Response:
    owner, id_ = _named(request)
    await request.app[PARTS].background.cancel(owner, id_)
    await request.app[PARTS].responses.delete(owner, id_)
    return json_answer({"id": id_, "object": "response", "deleted": True})


async def cancel(request: web.Request) -> web.Response:
    """Only what is made in the background can be cancelled; one that has ended stays as it is."""
    owner, id_ = _named(request)
    await request.app[PARTS].background.cancel(owner, id_)
    response = await request.app[PARTS].responses.shown(owner, id_)
    if not response["background"]:
        raise bad("response_id", "only a response made in the background can be cancelled")
    return json_answer(response)


async def input_items(request: web.Request) -> web.StreamResponse:
    owner, id_ = _named(request)
    responses = request.app[PARTS].responses
    async with responses.room(owner, id_):
        return await send_whole(request, _page(request, await responses.input_items(owner, id_)))


def _page(request: web.Request, items: list[dict[str, Any]]) -> web.Response:
    """The items that the query asks for."""
    order = request.query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise bad("order", "must be asc or desc")
    if order == "desc":
        items.reverse()
    if (after := request.query.get("after")) is not None:
        ids = [item["id"] for item in items]
        if after not in ids:
            raise bad("after", f"there is no item {after[:80]!r} among the input of this response")
        items = items[ids.index(after) + 1 :]
    limit = _number(request, "limit", _USUAL_PAGE, least=1, most=_LARGEST_PAGE)
    page = items[:limit]
    ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
    return json_answer({"object": "list", "data": page, "has_more": len(items) > limit, **ends})


async def refuse_upgrade(request: web.Request) -> web.Response:
    """Some clients try a WebSocket first, and go on with POST at once after a refusal."""
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise web.HTTPMethodNotAllowed(request.method, ["POST"])
    error = ApiError(426, "validation_error", "This gateway speaks no WebSocket here; use POST.", code="no_websocket")
    response = error_response(error, error_object(error))
    response.headers["Upgrade"] = "HTTP/1.1"
    return response


async def _read(request: web.Request) -> tuple[Asked, Identity]:
    """Apart, so that the request as it was sent is not held in memory while its job waits and runs."""
    sent = await receive(request, responses_model, kept_references)
    head = await sent.head()
    owner = request[CALLER].id
    model = chosen_model(request, head.model)
    responses = request.app[PARTS].responses
    memory = await responses.recall(owner, head.previous_response_id, references(head))
    try:
        parsed = await sent.parsed(parse, owner, model, responses.sealer(owner), memory.past)
        ready = await bring_in(request, parsed)
        # What is stored is what the model saw: it is not fetched again when a later response goes on from here.
        said = replace(parsed.said, messages=with_fetched(parsed.said.messages, ready.fetched))
        asks = Asks(bool(head.enable_tools), bool(head.stream_tool_progress), None, parsed.hosted)
        job, left_out = await equipped(request, ready.job, asks)
        parsed = replace(parsed, job=job, said=said, warnings=(*ready.warnings, *left_out))
    except BaseException:
        memory.release()
        raise
    return Asked(owner, parsed, memory), Identity(
        f"resp_{uuid.uuid4().hex}", int(time.time()), told_model(request, head.model)
    )


def _begin(request: web.Request, asked: Asked, identity: Identity) -> Answer:
    sealer = request.app[PARTS].responses.sealer(asked.owner) if asked.parsed.sealed else None
    return Answer(identity, asked.parsed.echo, asked.parsed.origins, sealer)


async def _in_background(request: web.Request, asked: Asked, identity: Identity) -> web.StreamResponse:
    request.app[PARTS].drain.admit()
    background, headers = request.app[PARTS].background, answer.headers(asked.parsed)
    with background.follower(asked.owner) if asked.parsed.stream else nullcontext():
        try:
            run = await background.start(asked, _begin(request, asked, identity))
        except BaseException:
            asked.memory.release()
            raise
        held = body.keep_memory(request)
        run.when_ended(held.release)
        run.when_ended(asked.memory.release)
        if asked.parsed.stream:
            return await _follow(request, run.log.follow(), -1, headers)
    return json_answer(run.queued, headers=headers)


async def _follow(
    request: web.Request, told: AsyncGenerator[Sequence[Sent], None], after: int, headers: Mapping[str, str]
) -> web.StreamResponse:
    return await send_stream(request, told, LogEncoder(after), answer.pace(request), headers, SERVER_SENT_EVENTS)


def _named(request: web.Request) -> tuple[str, str]:
    """The caller and the response that the path names."""
    return request[CALLER].id, request.match_info["id"]


def _number(request: web.Request, name: str, usual: int, *, least: int, most: int = MAX_INTEGER) -> int:
    sent = request.query.get(name)
    return usual if sent is None else read_number(sent, name, least, most)
