"""The bytes of a request's body, received within bounds of size, memory and time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from aiohttp import web

from claude_gateway.errors import ApiError
from claude_gateway.reading.json_body import IDENTITY, Body, Model, read_object, too_large, unpack, validated
from claude_gateway.web.body_memory import Held
from claude_gateway.web.expectation import tell_to_go_on
from claude_gateway.web.parts import CALLER, PARTS
from claude_gateway.web.readmission import admit_again

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_HELD = web.RequestKey("held", Held)
# aiohttp keeps a request, and what its own `read()` returned, until the next one comes on the same connection.
_RAW = web.RequestKey("raw", bytes)
_MEMORY_RETRY_SECONDS = 5
# Packed bodies up to this size are unpacked in the event loop, as long as what comes out is not large.
_MAX_INLINE_PACKED_BYTES = 8 * 1024
# The bodies of everything but prompts: keys, MCP servers, choices of tools.
_MAX_SETTINGS_BYTES = 64 * 1024


async def read(request: web.Request, model: type[Model]) -> Model:
    """A small body, of a request that sets something.

    Raises `ApiError` as `read_bytes`, `read_object` and `validated` do, and 413 for a body that is no small one.
    """
    raw = await read_bytes(request, _MAX_SETTINGS_BYTES, f"{_MAX_SETTINGS_BYTES} bytes for a request of this kind")
    return validated(model, read_object(unpack(Body(raw, _encoding(request), _MAX_SETTINGS_BYTES))))


async def receive(request: web.Request) -> Body:
    """The body as it was before it was packed. Raises `ApiError` as `read_bytes` and `unpack` do."""
    raw = await read_bytes(request)
    parts = request.app[PARTS]
    sent = Body(raw, _encoding(request), parts.settings.max_request_size)
    if sent.encoding == IDENTITY:
        return sent
    unpacked = await _unpacked(request, sent)
    request[_HELD].shrink(len(raw) + len(unpacked.raw))
    return unpacked


async def _unpacked(request: web.Request, sent: Body) -> Body:
    offload = request.app[PARTS].offload
    limit = min(sent.limit, offload.limits.inline_bytes)
    if len(sent.raw) <= _MAX_INLINE_PACKED_BYTES:
        try:
            return replace(unpack(replace(sent, limit=limit)), limit=sent.limit)
        except ApiError as error:
            if error.status != 413 or limit == sent.limit:
                raise
    return await offload.run(request[CALLER].id, unpack, sent)


async def read_bytes(request: web.Request, limit: int | None = None, name: str = "MAX_REQUEST_SIZE") -> bytes:
    """The body as it was sent; `limit` is in bytes, and `name` is what an error calls it.

    Raises `ApiError`: 413 for a body that is too large, 503 where no memory for it becomes free, 408 for a body that
    takes too long to come, and as `admit_again` does where the key lost its rights while the body came.
    """
    settings = request.app[PARTS].settings
    limit = min(limit or settings.max_request_size, settings.max_request_size)
    if (request.content_length or 0) > limit:
        raise too_large(name)  # without waiting for what is not going to be read
    if _RAW in request:
        return request[_RAW]
    request[_HELD] = await _memory_for(request)
    try:
        async with asyncio.timeout(settings.max_timeout / 1000):
            raw = request[_RAW] = await _received(request, limit, name)
    except TimeoutError:
        raise ApiError(
            408, "timeout_error", "The request body took too long to come (MAX_TIMEOUT).", code="request_timeout"
        ) from None
    if _encoding(request) == IDENTITY:
        request[_HELD].shrink(len(raw))
    parts = request.app[PARTS]
    parts.pacer.add_body(request[CALLER].id, len(raw), asyncio.get_running_loop().time())
    await admit_again(request)
    return raw


@web.middleware
async def release_memory(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The memory of a request's body is free for the next one when the request has its whole answer."""
    try:
        return await handler(request)
    finally:
        if (held := request.get(_HELD)) is not None:
            del request[_HELD]
            held.release()
        if _RAW in request:
            del request[_RAW]


def keep_memory(request: web.Request) -> Held:
    """The memory of this request's body, for work that goes on behind its answer. The caller releases it."""
    held = request[_HELD]
    request[_HELD] = Held(held.memory, held.owner, 0)
    return held


async def _received(request: web.Request, limit: int, name: str) -> bytes:
    await tell_to_go_on(request)
    body = bytearray()
    async for piece in request.content.iter_any():
        body += piece
        if len(body) > limit:
            raise too_large(name)
    return bytes(body)


async def _memory_for(request: web.Request) -> Held:
    """Room for the largest body that this request can bring. Raises `ApiError` 503."""
    parts = request.app[PARTS]
    most = parts.settings.max_request_size
    size = most if request.content_length is None and request.can_read_body else request.content_length or 0
    if _encoding(request) != IDENTITY:
        size += most
    try:
        return await parts.body_memory.hold(request[CALLER].id, size, parts.settings.queue_timeout_seconds)
    except TimeoutError:
        raise ApiError(
            503,
            "overloaded_error",
            "Other requests hold all the memory that this gateway has for request bodies (REQUEST_MEMORY_MIB). "
            f"Try again in {_MEMORY_RETRY_SECONDS} seconds.",
            code="request_memory_full",
            retry_after=_MEMORY_RETRY_SECONDS,
        ) from None


def _encoding(request: web.Request) -> str:
    return request.headers.get("content-encoding", IDENTITY).lower()
