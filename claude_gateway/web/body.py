"""A request's JSON body as a pydantic model, or an error that says which field is wrong."""

import asyncio
import re
import zlib
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Any, TypeVar

import orjson
from aiohttp import web
from pydantic import BaseModel, ValidationError

from claude_gateway.errors import ApiError
from claude_gateway.prompt.numbers import OUT_OF_RANGE
from claude_gateway.web.body_memory import Held
from claude_gateway.web.expectation import tell_to_go_on
from claude_gateway.web.parts import CALLER, PARTS
from claude_gateway.web.readmission import admit_again

Model = TypeVar("Model", bound=BaseModel)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_HELD = web.RequestKey("held", Held)
# aiohttp keeps a request, and what its own `read()` returned, until the next one comes on the same connection.
_RAW = web.RequestKey("raw", bytes)
_MEMORY_RETRY_SECONDS = 5
# Unpacking more than this takes longer than other requests should wait.
_UNPACKED_IN_THE_LOOP = 64 * 1024

_MOST_DETAILS = 20
# A large body holds millions of values, and each costs a thousand times its letter: a few such bodies would take all
# memory, and all time from everybody else.
_MOST_VALUES = 300_000
# Those of objects cost most: every field that nobody knows is looked at by itself, and told of.
_MOST_FIELDS = 10_000
# Python's own recursion would bear more, but the writer of JSON takes no more than 254.
_DEEPEST = 240
# JSON up to the next comma that stands in no text; nothing in it backtracks, and it matches whatever it is given.
_UP_TO_COMMA = re.compile(rb'(?:[^",]++|"(?:[^"\\]++|\\.)*+(?:"|\\?\Z))*+(?:,|\Z)', re.DOTALL)
# Content-Encoding: the `wbits` by which zlib knows the format.
_ENCODINGS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_ROLES = "Invalid role values (must be 'system', 'developer', 'user', 'assistant' or 'tool')"
_TYPES = "Invalid field types (e.g. messages should be an array); /openapi.json has the shape of every body"
_RANGES = "Invalid parameter ranges (e.g. temperature must be 0-2)"
_TIP = "POST the body to /v1/debug/request to see how it is read, or set DEBUG_MODE=true for more detailed logging"


async def read(request: web.Request, model: type[Model]) -> Model:
    """Raises `ApiError` as `read_object` and `validated` do."""
    return validated(model, await read_object(request))


async def read_object(request: web.Request) -> dict[str, Any]:
    """Raises `ApiError` as `read_bytes` does, 400 for a body that is no JSON object, 415 for an encoding that is not
    read here."""
    limit = request.app[PARTS].settings.max_request_size
    encoding = _encoding(request)
    raw = await read_bytes(request)
    if encoding == "identity":
        return _object(raw)
    if len(raw) > _UNPACKED_IN_THE_LOOP:
        body = await asyncio.to_thread(_unpacked, raw, encoding, limit)
    else:
        body = _unpacked(raw, encoding, limit)
    request[_HELD].shrink(len(raw) + len(body))
    return _object(body)


async def read_bytes(request: web.Request) -> bytes:
    """The body as it was sent. Raises `ApiError`: 413 for a body that is too large, 503 where no memory for it becomes
    free, 408 for a body that takes too long to come, and as `admit_again` does where the key lost its rights while the
    body came."""
    settings = request.app[PARTS].settings
    if (request.content_length or 0) > settings.max_request_size:
        raise _too_large()  # without waiting for what is not going to be read
    if _RAW in request:
        return request[_RAW]
    request[_HELD] = await _memory_for(request)
    try:
        async with asyncio.timeout(settings.max_timeout / 1000):
            raw = request[_RAW] = await _received(request, settings.max_request_size)
    except TimeoutError:
        raise ApiError(
            408, "timeout_error", "The request body took too long to come (MAX_TIMEOUT).", code="request_timeout"
        ) from None
    if _encoding(request) == "identity":
        request[_HELD].shrink(len(raw))
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


async def _received(request: web.Request, limit: int) -> bytes:
    await tell_to_go_on(request)
    body = bytearray()
    async for piece in request.content.iter_any():
        body += piece
        if len(body) > limit:
            raise _too_large()
    return bytes(body)


async def _memory_for(request: web.Request) -> Held:
    """Room for the largest body that this request can bring. Raises `ApiError` 503."""
    parts = request.app[PARTS]
    most = parts.settings.max_request_size
    size = most if request.content_length is None and request.can_read_body else request.content_length or 0
    if _encoding(request) != "identity":
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
    return request.headers.get("content-encoding", "identity").lower()


def _unpacked(raw: bytes, encoding: str, limit: int) -> bytes:
    """Unpacked here, behind the key and bounded: a megabyte on the wire may hold a gigabyte of zeros."""
    if encoding not in _ENCODINGS:
        raise ApiError(415, "validation_error", "Content-Encoding may be gzip or deflate.", code="unsupported_encoding")
    unpacker = zlib.decompressobj(_ENCODINGS[encoding])
    try:
        body = unpacker.decompress(raw, limit + 1)
    except zlib.error:
        raise _not_as_encoded() from None
    if len(body) > limit:
        raise _too_large()
    if not unpacker.eof:
        raise _not_as_encoded()
    return body


def _too_large() -> ApiError:
    return ApiError(
        413,
        "request_too_large",
        "The request body is larger than this gateway takes (MAX_REQUEST_SIZE).",
        code="request_too_large",
    )


def _not_as_encoded() -> ApiError:
    return ApiError(400, "validation_error", "The body is not what its Content-Encoding says.", code="invalid_body")


def _object(raw: bytes) -> dict[str, Any]:
    _check_values(raw)
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ApiError(
            400, "validation_error", f"The body is not valid JSON: {error.msg}.", code="invalid_json"
        ) from None
    if not isinstance(value, dict):
        raise ApiError(400, "validation_error", "The body must be a JSON object.", code="invalid_json")
    if raw.count(b":") > _MOST_FIELDS or raw.count(b"{") + raw.count(b"[") > _DEEPEST:
        _check_shape(value)
    return value


def _check_values(raw: bytes) -> None:
    """Before it is read: that alone takes a second for millions. A comma stands between any two values."""
    if raw.count(b",") < _MOST_VALUES:
        return
    if sum(1 for _ in islice(_UP_TO_COMMA.finditer(raw), _MOST_VALUES + 1)) > _MOST_VALUES:
        raise _too_many(f"more than {_MOST_VALUES} values")


def _check_shape(value: dict[str, Any]) -> None:
    level: list[Any] = [value]
    for _ in range(_DEEPEST):
        if any(len(one) > _MOST_FIELDS and isinstance(one, dict) for one in level):
            raise _too_many(f"an object of more than {_MOST_FIELDS} fields")
        inner = (one.values() if isinstance(one, dict) else one for one in level)
        level = [each for values in inner for each in values if isinstance(each, dict | list)]
    if level:
        raise ApiError(400, "validation_error", f"The body is nested deeper than {_DEEPEST}.", code="invalid_json")


def _too_many(what: str) -> ApiError:
    return ApiError(413, "request_too_large", f"The request body holds {what}.", code="request_too_large")


def validated(model: type[Model], value: dict[str, Any]) -> Model:
    """Raises `ApiError`: 400 for a number out of its range, 422 for any other wrong shape."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise wrong_shape(error) from None


def wrong_shape(error: ValidationError) -> ApiError:
    """A 422 that names the fields at fault and repeats nothing of what they held; a 400 where each of them holds a
    number that is out of its range. Every dialect has that one status for it, and the number is repeated."""
    details = [
        {"field": " -> ".join(["body", *map(_shown, one["loc"])]), "message": one["msg"], "type": one["type"]}
        for one in error.errors(include_url=False, include_context=False, include_input=False)[:_MOST_DETAILS]
    ]
    extra = {"details": details, "help": {"common_issues": _issues(details), "debug_tip": _TIP}}
    if all(one["type"] == OUT_OF_RANGE for one in details):
        places = [one["field"].removeprefix("body -> ").replace(" -> ", ".") for one in details]
        told = "; ".join(f"{place}: {one['message']}" for place, one in zip(places, details, strict=True))
        return ApiError(400, "validation_error", told, code="invalid_request_error", param=places[0], extra=extra)
    return ApiError(
        422,
        "validation_error",
        "Request validation failed - the request body doesn't match the expected format",
        code="invalid_request_error",
        extra=extra,
    )


def _issues(details: list[dict[str, Any]]) -> list[str]:
    """What people most often got wrong who got such an answer, of whatever endpoint."""
    missing = [one["field"].rpartition(" -> ")[2] for one in details if one["type"] == "missing"]
    roles = any(one["field"].endswith(" -> role") for one in details)
    ranges = any(one["type"].startswith((OUT_OF_RANGE, "greater_than", "less_than")) for one in details)
    known = [
        f"Missing required fields ({', '.join(dict.fromkeys(missing))})" if missing else "",
        _ROLES if roles else "",
        _RANGES if ranges else "",
    ]
    return [issue for issue in known if issue] or [_TYPES]


def _shown(place: int | str) -> str:
    return str(place)[:100]
