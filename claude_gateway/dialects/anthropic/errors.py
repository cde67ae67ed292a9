"""Encodes errors in the format of Anthropic's Messages API. No I/O."""

from collections.abc import Mapping
from typing import Any

from claude_gateway.core.errors import ApiError

_ERROR_TYPES: Mapping[str, str] = {
    "validation_error": "invalid_request_error",
    "rate_limit_exceeded": "rate_limit_error",
    "streaming_error": "api_error",
}
_OVERLOADED_STATUS = 529


def get_http_status(error: ApiError) -> int:
    """Return the HTTP status that the Messages API uses for an error.

    The status is 529 if the upstream is overloaded, and 400 if the gateway uses 422. Any other status stays unchanged.
    """
    if error.type == "overloaded_error":
        return _OVERLOADED_STATUS
    return 400 if error.status == 422 else error.status


def error_object(error: ApiError, request_id: str | None = None) -> dict[str, Any]:
    """Return the body of an error response. An `error` event in a stream contains the same object as its data."""
    type_ = "not_found_error" if error.status == 404 else _ERROR_TYPES.get(error.type, error.type)
    inner = {"type": type_, "message": _format_error_message(error), **error.extra}
    body: dict[str, Any] = {"type": "error", "error": inner}
    return body | ({"request_id": request_id} if request_id else {})


def _format_error_message(error: ApiError) -> str:
    """Return the error message. The message of a validation error contains the path of each invalid field."""
    problems = [
        f"{detail['field'].removeprefix('body -> ').replace(' -> ', '.')}: {detail['message']}"
        for detail in error.extra.get("details", ())
    ]
    return "; ".join(problems) or error.message
