"""Encode errors in the format of OpenAI's APIs. No I/O."""

from typing import Any

from claude_gateway.core.errors import ApiError
from claude_gateway.dialects.common.context_length_errors import format_openai_message


def error_object(error: ApiError) -> dict[str, Any]:
    """Return the body of an error response. If a stream fails, its last event contains the same object as its data."""
    inner: dict[str, Any] = {"message": format_openai_message(error), "type": error.type, "code": error.code}
    if error.param is not None:
        inner["param"] = error.param
    if error.retry_after is not None:
        inner["retry_after"] = error.retry_after
    return {"error": {**inner, **error.extra}}
