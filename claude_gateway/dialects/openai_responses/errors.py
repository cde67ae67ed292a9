"""Encode the error for a response object whose job has failed. No I/O.

If the gateway rejects a request before the job starts, the module `dialects/openai_chat/errors.py` encodes the error.
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
    """Convert an error to the code and the message for the field `error` of a failed response object."""
    code = "rate_limit_exceeded" if error.status == 429 else _ERROR_CODES.get(error.code or "", "server_error")
    message = format_openai_message(error)
    if error.retry_after is not None:
        message += f" Try again in {error.retry_after}s."  # a client that finds this sentence waits that long
    return {"code": code, "message": message}
