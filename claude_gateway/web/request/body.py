"""Reading of request bodies within limits on size, memory and time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from aiohttp import web

from claude_gateway.core.errors import ApiError
from claude_gateway.request_reading.json_body import (
    IDENTITY_ENCODING,
    Model,
    RequestBody,
    body_too_large,
    decompress,
    parse_object,
    validate_schema,
)
from claude_gateway.web.context.body_memory import BodyReservation
from claude_gateway.web.context.state import API_KEY, STATE
from claude_gateway.web.request.expectation import send_continue
from claude_gateway.web.request.recheck import recheck_key
from workers.core.event_loop import loop_time

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_RESERVATION = web.RequestKey("body_reservation", BodyReservation)
# The gateway does not call `request.read()`, because aiohttp keeps its result until the next request on the connection.
_RAW_BODY = web.RequestKey("raw_body", bytes)
_MEMORY_RETRY_SECONDS = 5
# The gateway decompresses bodies up to this size in the event loop, unless the result is large.
_MAX_INLINE_COMPRESSED_BYTES = 8 * 1024
# Maximum size of bodies that contain no prompts, but describe keys, MCP servers or tool configurations.
_MAX_SMALL_BODY_BYTES = 64 * 1024


async def read_small_body(request: web.Request, schema: type[Model]) -> Model:
    """Read the body of a configuration request, and return it as the validated model.

    Raises:
        ApiError: 400 if the body is invalid, 413 if it is larger than 64 KiB. Also the errors of `read_body_bytes`.
    """
    raw = await read_body_bytes(
        request, _MAX_SMALL_BODY_BYTES, f"{_MAX_SMALL_BODY_BYTES} bytes for a request of this kind"
    )
    return validate_schema(
        schema, parse_object(decompress(RequestBody(raw, _get_content_encoding(request), _MAX_SMALL_BODY_BYTES)))
    )


async def receive_body(request: web.Request) -> RequestBody:
    """Read the body of a request, and return it in decompressed form.

    Raises:
        ApiError: The errors of `read_body_bytes` and `decompress`.
    """
    raw = await read_body_bytes(request)
    body = RequestBody(raw, _get_content_encoding(request), request.app[STATE].settings.max_request_size)
    if body.encoding == IDENTITY_ENCODING:
        return body
    decompressed = await _decompress(request, body)
    request[_RESERVATION].shrink(len(raw) + len(decompressed.raw))
    return decompressed


async def _decompress(request: web.Request, body: RequestBody) -> RequestBody:
    offload = request.app[STATE].offload
    limit = min(body.max_bytes, offload.limits.max_inline_bytes)
    if len(body.raw) <= _MAX_INLINE_COMPRESSED_BYTES:
        try:
            return replace(decompress(replace(body, max_bytes=limit)), max_bytes=body.max_bytes)
        except ApiError as error:
            if error.status != 413 or limit == body.max_bytes:
                raise
    return await offload.run(request[API_KEY].id, decompress, body)


async def read_body_bytes(
    request: web.Request, max_bytes: int | None = None, limit_name: str = "MAX_REQUEST_SIZE"
) -> bytes:
    """Read the body of a request, and return its bytes as the client sent them, possibly compressed.

    Args:
        request: The request.
        max_bytes: The maximum size; None for `MAX_REQUEST_SIZE`.
        limit_name: The name of the limit for the error text.

    Raises:
        ApiError: 413 if the body is too large, 503 if not enough memory becomes free for it, 408 if it takes too long
            to arrive, 401 or 403 if the key lost its rights while the body arrived.
    """
    settings = request.app[STATE].settings
    max_bytes = min(max_bytes or settings.max_request_size, settings.max_request_size)
    if (request.content_length or 0) > max_bytes:
        raise body_too_large(limit_name)  # the gateway does not read the body
    if _RAW_BODY in request:
        return request[_RAW_BODY]
    request[_RESERVATION] = await _reserve_memory(request)
    try:
        if request.content.is_eof():  # the whole body has arrived, as in most requests
            raw = request[_RAW_BODY] = await _receive_bytes(request, max_bytes, limit_name)
        else:
            async with asyncio.timeout(settings.max_timeout / 1000):
                raw = request[_RAW_BODY] = await _receive_bytes(request, max_bytes, limit_name)
    except TimeoutError:
        raise ApiError(
            408, "timeout_error", "The request body took too long to arrive (MAX_TIMEOUT).", code="request_timeout"
        ) from None
    if _get_content_encoding(request) == IDENTITY_ENCODING:
        request[_RESERVATION].shrink(len(raw))
    request.app[STATE].pacer.add_body(request[API_KEY].id, len(raw), loop_time())
    await recheck_key(request)
    return raw


@web.middleware
async def release_body_memory(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Handle a request, and release the memory that its body holds when the response is complete."""
    try:
        return await handler(request)
    finally:
        if (reservation := request.get(_RESERVATION)) is not None:
            del request[_RESERVATION]
            reservation.release()
        if _RAW_BODY in request:
            del request[_RAW_BODY]


def detach_body_memory(request: web.Request) -> BodyReservation:
    """Return the memory reservation of a body, for a job that continues after the gateway has sent the response.

    The calling code must release the memory when the job ends.
    """
    reservation = request[_RESERVATION]
    request[_RESERVATION] = BodyReservation(reservation.memory, reservation.key_id, 0)
    return reservation


async def _receive_bytes(request: web.Request, max_bytes: int, limit_name: str) -> bytes:
    await send_continue(request)
    body = bytearray()
    while chunk := await request.content.readany():
        body += chunk
        if len(body) > max_bytes:
            raise body_too_large(limit_name)
    return bytes(body)


async def _reserve_memory(request: web.Request) -> BodyReservation:
    """Reserve memory for the largest body that this request can have.

    Raises:
        ApiError: 503 if the memory does not become free in time.
    """
    state = request.app[STATE]
    max_bytes = state.settings.max_request_size
    size_bytes = max_bytes if request.content_length is None and request.can_read_body else request.content_length or 0
    if _get_content_encoding(request) != IDENTITY_ENCODING:
        size_bytes += max_bytes
    try:
        return await state.body_memory.reserve(request[API_KEY].id, size_bytes, state.settings.queue_timeout_seconds)
    except TimeoutError:
        raise ApiError(
            503,
            "overloaded_error",
            "Other requests use all memory of this gateway for request bodies (MAX_REQUEST_MEMORY_MIB). "
            f"Try again in {_MEMORY_RETRY_SECONDS} seconds.",
            code="request_memory_exhausted",
            retry_after=_MEMORY_RETRY_SECONDS,
        ) from None


def _get_content_encoding(request: web.Request) -> str:
    return request.headers.get("content-encoding", IDENTITY_ENCODING).lower()
