"""Encodes the error of a failed response. No I/O.

An error response, before the job starts, has the body of `dialects/openai_chat/errors.py`.
"""

from typing import Any

from claude_gateway.core.errors import ApiError
from claude_gateway.dialects.common.context_length_errors import format_openai_message

# Error codes that clients handle; every other error becomes `server_error`.
_ERROR_CODES = {
    "context_length_exceeded": "context_length_exceeded",
    "insufficient_quota": "insufficient_quota",
    "invalid_request": "invalid_prompt",
}


def response_error_object(error: ApiError) -> dict[str, Any]:
    """Return the error of a failed response."""
    code = "rate_limit_exceeded" if error.status == 429 else _ERROR_CODES.get(error.code or "", "server_error")
    message = format_openai_message(error)
    if error.retry_after is not None:
        message += f" Try again in {error.retry_after}s."  # a client that finds this sentence waits that long
    return {"code": code, "message": message}
