"""Error responses in the dialect of the request."""

from typing import Any

from aiohttp import web

from claude_gateway.core.errors import ApiError
from claude_gateway.core.json_text import encode_json
from claude_gateway.web.dialects.dialect import Dialect

# The value of the `Server` header. The default value of aiohttp would publish the versions of aiohttp and Python.
SERVER_NAME = "claude-gateway"
# Codes of errors that a client cannot fix by a retry. Without the header `x-should-retry`, the official client
# libraries would retry because of the HTTP status of these errors.
_NON_RETRYABLE_CODES = frozenset({"claude_login_failed", "login_limit_reached", "tools_unavailable", "budget_exceeded"})


def dialect_error_response(error: ApiError, dialect: Dialect, request_id: str) -> web.Response:
    """Return the response for an error in the format of a dialect."""
    return error_response(error, dialect.error_object(error, request_id), status=dialect.error_status(error))


def error_response(error: ApiError, body: dict[str, Any], *, status: int | None = None) -> web.Response:
    """Return the response for an error.

    Args:
        error: The error.
        body: The body of the response, in the format of a dialect.
        status: The HTTP status of the response; None for the status of the error.
    """
    response = web.json_response(body, status=status or error.status, dumps=encode_json)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    if error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if error.code in _NON_RETRYABLE_CODES:
        response.headers["x-should-retry"] = "false"
    return response
