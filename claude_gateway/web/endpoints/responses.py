"""Handlers for `/v1/responses`. They create responses, and return, cancel and delete stored responses."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, nullcontext
from typing import Any

from aiohttp import web

from claude_gateway.core.errors import ApiError, bad_request
from claude_gateway.dialects.common.parameters.numbers import MAX_INTEGER, parse_integer
from claude_gateway.dialects.openai_chat.errors import error_object
from claude_gateway.dialects.openai_responses.encode import EventLogEncoder, StreamMessage
from claude_gateway.web.context.state import API_KEY, STATE
from claude_gateway.web.dialects.dialect import PreparedRequest
from claude_gateway.web.dialects.openai_responses import (
    OPENAI_RESPONSES,
    create_builder,
    create_identity,
    create_pending_response,
)
from claude_gateway.web.pipeline.prepare import prepare_request
from claude_gateway.web.pipeline.respond import get_stream_timing, send_reply
from claude_gateway.web.request.body import detach_body_memory
from claude_gateway.web.responses.error_response import error_response
from claude_gateway.web.responses.json_response import json_response
from claude_gateway.web.responses.response_headers import build_response_headers
from claude_gateway.web.streaming.chunked_body import send_if_large
from claude_gateway.web.streaming.framing import SSE_FRAMING
from claude_gateway.web.streaming.sse import send_stream

_DEFAULT_PAGE_ITEMS = 20
_MAX_PAGE_ITEMS = 100


async def create_response(request: web.Request) -> web.StreamResponse:
    """Respond to a Responses request. If the request has `background` set, run its job in the background."""
    async with AsyncExitStack() as resources:
        prepared = await prepare_request(request, OPENAI_RESPONSES, resources)
        if prepared.parsed.background:
            return await _start_in_background(request, prepared, resources)
        return await send_reply(request, prepared)


async def get_response(request: web.Request) -> web.StreamResponse:
    """Return a stored response in its current state, or a stream of its events.

    The query parameter `stream` selects the stream. The stream contains the events after the number `starting_after`.
    """
    key_id, id_ = _get_key_and_response_id(request)
    if request.query.get("stream", "").lower() in ("true", "1"):
        after = _read_query_integer(request, "starting_after", -1, minimum=0)
        with request.app[STATE].background_responses.acquire_follower_slot(key_id):
            return await _follow_stream(
                request, await request.app[STATE].background_responses.follow(key_id, id_, after), after, {}
            )
    background_response = await request.app[STATE].background_responses.get_response(key_id, id_)
    if background_response is not None:
        return json_response(background_response)
    responses = request.app[STATE].stored_responses
    async with responses.reserve_memory(key_id, id_):
        return await send_if_large(request, json_response(await responses.get_response(key_id, id_)))


async def delete_response(request: web.Request) -> web.Response:
    """Delete a stored response. If its job is still running, cancel the job."""
    key_id, id_ = _get_key_and_response_id(request)
    await request.app[STATE].background_responses.cancel(key_id, id_)
    await request.app[STATE].stored_responses.delete_response(key_id, id_)
    return json_response({"id": id_, "object": "response", "deleted": True})


async def cancel_response(request: web.Request) -> web.Response:
    """Cancel the job of a background response. If the response is already complete, do not change it."""
    key_id, id_ = _get_key_and_response_id(request)
    await request.app[STATE].background_responses.cancel(key_id, id_)
    response = await request.app[STATE].stored_responses.get_response(key_id, id_)
    if not response["background"]:
        raise bad_request("response_id", "only background responses can be cancelled")
    return json_response(response)


async def list_input_items(request: web.Request) -> web.StreamResponse:
    """List the input items of a stored response. Each request returns one page of the list."""
    key_id, id_ = _get_key_and_response_id(request)
    responses = request.app[STATE].stored_responses
    async with responses.reserve_memory(key_id, id_):
        return await send_if_large(request, _paginate(request, await responses.list_input_items(key_id, id_)))


def _paginate(request: web.Request, items: list[dict[str, Any]]) -> web.Response:
    """Return the page of items that the query parameters select."""
    order = request.query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise bad_request("order", "must be asc or desc")
    if order == "desc":
        items.reverse()
    if (after := request.query.get("after")) is not None:
        ids = [item["id"] for item in items]
        if after not in ids:
            raise bad_request("after", f"the input of this response has no item {after[:80]!r}")
        items = items[ids.index(after) + 1 :]
    limit = _read_query_integer(request, "limit", _DEFAULT_PAGE_ITEMS, minimum=1, maximum=_MAX_PAGE_ITEMS)
    page = items[:limit]
    ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
    return json_response({"object": "list", "data": page, "has_more": len(items) > limit, **ends})


async def refuse_websocket(request: web.Request) -> web.Response:
    """Refuse a WebSocket connection with status 426.

    Some clients first try to open such a connection. After this status, they immediately use POST.
    """
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise web.HTTPMethodNotAllowed(request.method, ["POST"])
    error = ApiError(
        426, "validation_error", "This path does not support WebSocket; use POST.", code="websocket_not_supported"
    )
    response = error_response(error, error_object(error))
    response.headers["Upgrade"] = "HTTP/1.1"
    return response


async def _start_in_background(
    request: web.Request, prepared: PreparedRequest, resources: AsyncExitStack
) -> web.StreamResponse:
    state, parsed = prepared.client.state, prepared.parsed
    state.shutdown.reject_if_draining()
    background, headers = state.background_responses, build_response_headers(parsed.job.model, parsed.warnings)
    pending = create_pending_response(prepared)
    with background.acquire_follower_slot(pending.key_id) if parsed.stream else nullcontext():
        run = await background.start(pending, create_builder(prepared, create_identity(prepared)))
        # From this point, the background job holds the memory for the body. The job releases the memory at its end.
        run.add_end_callback(detach_body_memory(request).release)
        resources.pop_all()
        run.add_end_callback(pending.context.release)
        if parsed.stream:
            return await _follow_stream(request, run.event_log.follow(), -1, headers)
    return json_response(run.queued_response, headers=headers)


async def _follow_stream(
    request: web.Request,
    messages: AsyncGenerator[Sequence[StreamMessage], None],
    after: int,
    headers: Mapping[str, str],
) -> web.StreamResponse:
    return await send_stream(
        request, messages, EventLogEncoder(after), get_stream_timing(request.app[STATE]), headers, SSE_FRAMING
    )


def _get_key_and_response_id(request: web.Request) -> tuple[str, str]:
    """Return the id of the client's key, and the id of the response that the path names."""
    return request[API_KEY].id, request.match_info["id"]


def _read_query_integer(
    request: web.Request, name: str, default: int, *, minimum: int, maximum: int = MAX_INTEGER
) -> int:
    value = request.query.get(name)
    return default if value is None else parse_integer(value, name, minimum, maximum)
