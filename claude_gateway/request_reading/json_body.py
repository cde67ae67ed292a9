"""Functions that decompress and parse JSON bodies, and validate them with pydantic models. No I/O."""

import re
import zlib
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from claude_gateway.core.errors import ApiError
from claude_gateway.dialects.common.parameters.numbers import OUT_OF_RANGE

Model = TypeVar("Model", bound=BaseModel)

IDENTITY_ENCODING = "identity"
_MAX_DETAILS = 20
# A large body can contain millions of values. To parse a value, the gateway needs a thousand times as much memory and
# time as for a character, so a few such bodies would use all memory and delay all other requests.
_MAX_VALUES = 100_000
# Maximum number of fields in one object. Fields take more time than other values, because the gateway adds a warning
# for each unknown field.
_MAX_FIELDS = 10_000
# Maximum nesting of arrays and objects. Python's recursion limit allows more levels, but orjson encodes only 254.
_MAX_DEPTH = 240
# This pattern matches JSON up to the next comma that is not in a string, without backtracking. It matches any input.
_UP_TO_COMMA = re.compile(rb'(?:[^",]++|"(?:[^"\\]++|\\.)*+(?:"|\\?\Z))*+(?:,|\Z)', re.DOTALL)
# The `wbits` argument of zlib for each Content-Encoding.
_ZLIB_WBITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
# The gateway decompresses a body in chunks, and stops if the compressed body is much longer than the decompressed body.
# Compression makes a text longer by a few bytes per thousand at most. However, a client could send megabytes of empty
# compressed blocks, which take a second to decompress.
_CHUNK_BYTES = 64 * 1024
# Pydantic writes the names of the gateway's own classes into its messages, and into the path of a field that is in a
# union. These names mean nothing to a client, and change with the code.
_CLASS_NAME = re.compile(r" or instance of \w+\Z")
_LIST_OF_CLASS = re.compile(r"\Alist\[\w+\]\Z")
_ROLES_HINT = "Invalid role values (must be 'system', 'developer', 'user', 'assistant' or 'tool')"
_TYPES_HINT = "Invalid field types (e.g. messages should be an array); /openapi.json has the shape of every body"
_RANGES_HINT = "Invalid parameter ranges (e.g. temperature must be 0-2)"
_DEBUG_TIP = (
    "POST the body to /v1/debug/request to see how it is read, or set DEBUG_MODE=true for more detailed logging"
)


@dataclass(frozen=True, slots=True)
class RequestBody:
    """The body of a request as the client sent it.

    Attributes:
        raw: The bytes of the body.
        encoding: The `Content-Encoding` of the body; `identity` if the body is not compressed.
        max_bytes: The maximum number of bytes after decompression.
    """

    raw: bytes
    encoding: str
    max_bytes: int


def decompress(body: RequestBody) -> RequestBody:
    """Decompress a request body. If the body is not compressed, return it unchanged.

    A compressed body of one megabyte may become a gigabyte, so the function stops after `max_bytes` bytes.

    Raises:
        ApiError: 400 if the bytes do not match the encoding, 413 if the body is too large or takes too long to
            decompress, 415 if the gateway does not support the encoding.
    """
    if body.encoding == IDENTITY_ENCODING:
        return body
    if body.encoding not in _ZLIB_WBITS:
        raise ApiError(
            415, "validation_error", "Content-Encoding must be gzip or deflate.", code="unsupported_encoding"
        )
    decompressor = zlib.decompressobj(_ZLIB_WBITS[body.encoding])
    decompressed = bytearray()
    try:
        for start in range(0, len(body.raw), _CHUNK_BYTES):
            chunk = body.raw[start : start + _CHUNK_BYTES]
            while chunk and not decompressor.eof:
                decompressed += decompressor.decompress(chunk, body.max_bytes + 1 - len(decompressed))
                if len(decompressed) > body.max_bytes:
                    raise body_too_large()
                chunk = decompressor.unconsumed_tail
            if decompressor.eof:
                return RequestBody(bytes(decompressed), IDENTITY_ENCODING, body.max_bytes)
            if start > len(decompressed) + len(decompressed) // 64 + _CHUNK_BYTES:
                raise _too_complex("more bytes compressed than decompressed")
    except zlib.error:
        raise _encoding_mismatch() from None
    raise _encoding_mismatch()


def parse_object(body: RequestBody) -> dict[str, Any]:
    """Return the JSON object that the body contains.

    Raises:
        ApiError: 400 if the body is not a JSON object or has too many levels, 413 if the body has too many values or
            fields. The function also raises the errors of `decompress`.
    """
    raw = decompress(body).raw
    _check_value_count(raw)
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


def body_too_large(setting_name: str = "MAX_REQUEST_SIZE") -> ApiError:
    """Return the 413 error for a body that is too large. The error text names the setting that limits the size."""
    return ApiError(
        413,
        "request_too_large",
        f"The request body is larger than this gateway accepts ({setting_name}).",
        code="request_too_large",
    )


def _encoding_mismatch() -> ApiError:
    return ApiError(400, "validation_error", "The body does not match its Content-Encoding.", code="invalid_body")


def _check_value_count(raw: bytes) -> None:
    """Check the number of values in a JSON text by counting its commas.

    The gateway checks the number before it parses the text, because it would need a second to parse millions of values.

    Raises:
        ApiError: 413 if the text has too many values.
    """
    if raw.count(b",") < _MAX_VALUES:
        return
    if sum(1 for _ in islice(_UP_TO_COMMA.finditer(raw), _MAX_VALUES + 1)) > _MAX_VALUES:
        raise _too_complex(f"more than {_MAX_VALUES} values")


def _check_shape(value: dict[str, Any]) -> None:
    level: list[Any] = [value]
    for _ in range(_MAX_DEPTH):
        if any(len(container) > _MAX_FIELDS and isinstance(container, dict) for container in level):
            raise _too_complex(f"an object of more than {_MAX_FIELDS} fields")
        children = (container.values() if isinstance(container, dict) else container for container in level)
        level = [child for values in children for child in values if isinstance(child, dict | list)]
    if level:
        raise ApiError(
            400, "validation_error", f"The body is nested deeper than {_MAX_DEPTH} levels.", code="invalid_json"
        )


def _too_complex(excess: str) -> ApiError:
    return ApiError(413, "request_too_large", f"The request body contains {excess}.", code="request_too_large")


def validate_schema(schema: type[Model], value: dict[str, Any]) -> Model:
    """Validate a body with a pydantic model, and return the result.

    Raises:
        ApiError: 400 if the only invalid fields are numbers out of their range, 422 if any other field is invalid.
    """
    try:
        return schema.model_validate(value)
    except ValidationError as error:
        raise request_validation_error(error) from None


def request_validation_error(error: ValidationError) -> ApiError:
    """Return the error for a body that does not match its schema.

    Returns:
        An error with status 422. It contains the paths of the invalid fields, but not their values. If all invalid
        fields are numbers out of their range, the status is 400, as in all four APIs, and the error text names each
        number.
    """
    details = [
        {
            "field": " -> ".join(["body", *map(_format_path_part, problem["loc"])]),
            "message": _CLASS_NAME.sub("", problem["msg"]),
            "type": problem["type"],
        }
        for problem in error.errors(include_url=False, include_context=False, include_input=False)[:_MAX_DETAILS]
    ]
    extra = {"details": details, "help": {"common_issues": _common_issues(details), "debug_tip": _DEBUG_TIP}}
    if all(detail["type"] == OUT_OF_RANGE for detail in details):
        paths = [detail["field"].removeprefix("body -> ").replace(" -> ", ".") for detail in details]
        message = "; ".join(f"{path}: {detail['message']}" for path, detail in zip(paths, details, strict=True))
        return ApiError(400, "validation_error", message, code="invalid_request_error", param=paths[0], extra=extra)
    return ApiError(
        422,
        "validation_error",
        "Request validation failed - the request body doesn't match the expected format",
        code="invalid_request_error",
        extra=extra,
    )


def _common_issues(details: list[dict[str, Any]]) -> list[str]:
    """Return hints about the mistakes that most often cause validation errors of these types.

    The hints are the same for all endpoints.
    """
    missing = [detail["field"].rpartition(" -> ")[2] for detail in details if detail["type"] == "missing"]
    has_role_error = any(detail["field"].endswith(" -> role") for detail in details)
    has_range_error = any(detail["type"].startswith((OUT_OF_RANGE, "greater_than", "less_than")) for detail in details)
    issues = [
        f"Missing required fields ({', '.join(dict.fromkeys(missing))})" if missing else "",
        _ROLES_HINT if has_role_error else "",
        _RANGES_HINT if has_range_error else "",
    ]
    return [issue for issue in issues if issue] or [_TYPES_HINT]


def _format_path_part(part: int | str) -> str:
    return _LIST_OF_CLASS.sub("list", str(part)[:100])
