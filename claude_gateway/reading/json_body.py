"""A request's JSON body as a pydantic model, or an error that says which field is wrong. Pure."""

import re
import zlib
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from claude_gateway.errors import ApiError
from claude_gateway.prompt.numbers import OUT_OF_RANGE

Model = TypeVar("Model", bound=BaseModel)

IDENTITY = "identity"
_MAX_DETAILS = 20
# A large body holds millions of values, and each costs a thousand times its letter: a few such bodies would take all
# memory, and all time from everybody else.
_MAX_VALUES = 100_000
# Those of objects cost most: every field that nobody knows is looked at by itself, and told of.
_MAX_FIELDS = 10_000
# Python's own recursion would bear more, but the writer of JSON takes no more than 254.
_MAX_DEPTH = 240
# JSON up to the next comma that stands in no text; nothing in it backtracks, and it matches whatever it is given.
_UP_TO_COMMA = re.compile(rb'(?:[^",]++|"(?:[^"\\]++|\\.)*+(?:"|\\?\Z))*+(?:,|\Z)', re.DOTALL)
# Content-Encoding: the `wbits` by which zlib knows the format.
_ENCODINGS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
# Packed bytes are unpacked in pieces: no packer makes a text longer than by some bytes in a thousand, but blocks with
# nothing in them take a second for some megabytes.
_PIECE_BYTES = 64 * 1024
_ROLES = "Invalid role values (must be 'system', 'developer', 'user', 'assistant' or 'tool')"
_TYPES = "Invalid field types (e.g. messages should be an array); /openapi.json has the shape of every body"
_RANGES = "Invalid parameter ranges (e.g. temperature must be 0-2)"
_TIP = "POST the body to /v1/debug/request to see how it is read, or set DEBUG_MODE=true for more detailed logging"


@dataclass(frozen=True, slots=True)
class Body:
    """A body as it was sent.

    Attributes:
        raw: Its bytes.
        encoding: How they are packed, as `Content-Encoding` says it; `identity` where they are not.
        limit: How many bytes it may unpack to.
    """

    raw: bytes
    encoding: str
    limit: int


def unpack(body: Body) -> Body:
    """Return the body as it was before it was packed; a megabyte on the wire may hold a gigabyte of zeros.

    Raises:
        ApiError: 400 for bytes that are not what the encoding says, 413 for what is too large or costs too much, 415
            for an encoding that is not read here.
    """
    if body.encoding == IDENTITY:
        return body
    if body.encoding not in _ENCODINGS:
        raise ApiError(415, "validation_error", "Content-Encoding may be gzip or deflate.", code="unsupported_encoding")
    unpacker = zlib.decompressobj(_ENCODINGS[body.encoding])
    unpacked = bytearray()
    try:
        for start in range(0, len(body.raw), _PIECE_BYTES):
            piece = body.raw[start : start + _PIECE_BYTES]
            while piece and not unpacker.eof:
                unpacked += unpacker.decompress(piece, body.limit + 1 - len(unpacked))
                if len(unpacked) > body.limit:
                    raise too_large()
                piece = unpacker.unconsumed_tail
            if unpacker.eof:
                return Body(bytes(unpacked), IDENTITY, body.limit)
            if start > len(unpacked) + len(unpacked) // 64 + _PIECE_BYTES:
                raise _too_many("more bytes packed than unpacked")
    except zlib.error:
        raise _not_as_encoded() from None
    raise _not_as_encoded()


def read_object(body: Body) -> dict[str, Any]:
    """Return the JSON object that the body holds.

    Raises:
        ApiError: As `unpack`; 400 for what is no JSON object, 413 for one with too many values.
    """
    raw = unpack(body).raw
    _check_values(raw)
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ApiError(
            400, "validation_error", f"The body is not valid JSON: {error.msg}.", code="invalid_json"
        ) from None
    if not isinstance(value, dict):
        raise ApiError(400, "validation_error", "The body must be a JSON object.", code="invalid_json")
    if raw.count(b":") > _MAX_FIELDS or raw.count(b"{") + raw.count(b"[") > _MAX_DEPTH:
        _check_shape(value)
    return value


def too_large(limit: str = "MAX_REQUEST_SIZE") -> ApiError:
    return ApiError(
        413,
        "request_too_large",
        f"The request body is larger than this gateway takes ({limit}).",
        code="request_too_large",
    )


def _not_as_encoded() -> ApiError:
    return ApiError(400, "validation_error", "The body is not what its Content-Encoding says.", code="invalid_body")


def _check_values(raw: bytes) -> None:
    """Before it is read: that alone takes a second for millions. A comma stands between any two values."""
    if raw.count(b",") < _MAX_VALUES:
        return
    if sum(1 for _ in islice(_UP_TO_COMMA.finditer(raw), _MAX_VALUES + 1)) > _MAX_VALUES:
        raise _too_many(f"more than {_MAX_VALUES} values")


def _check_shape(value: dict[str, Any]) -> None:
    level: list[Any] = [value]
    for _ in range(_MAX_DEPTH):
        if any(len(one) > _MAX_FIELDS and isinstance(one, dict) for one in level):
            raise _too_many(f"an object of more than {_MAX_FIELDS} fields")
        inner = (one.values() if isinstance(one, dict) else one for one in level)
        level = [each for values in inner for each in values if isinstance(each, dict | list)]
    if level:
        raise ApiError(400, "validation_error", f"The body is nested deeper than {_MAX_DEPTH}.", code="invalid_json")


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
        for one in error.errors(include_url=False, include_context=False, include_input=False)[:_MAX_DETAILS]
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
