"""Limits of the real API on the size of a request body and on the number of tokens. Does no I/O."""

import re
from collections.abc import Mapping
from typing import Any

MAX_BODY_BYTES = 32 * 1024 * 1024
TOO_LARGE_MESSAGE = "Request exceeds the maximum size"
_DEFAULT_CONTEXT_WINDOW_TOKENS = 200_000
_LARGE_CONTEXT_WINDOW_TOKENS = 1_000_000
_LARGE_CONTEXT_WINDOW_BETA = "context-1m-"
# Pattern for the names of older models. For these models, the API rejects a request if the prompt and `max_tokens`
# together exceed the context window. For newer models, the API accepts the request and ends the reply at the end of the
# context window.
_STRICT_LIMIT_MODELS = re.compile(r"claude-(?:3|(?:opus|sonnet|haiku)-4(?:-[01])?(?:-\d{8})?$)")


def context_window_tokens(headers: Mapping[str, str]) -> int:
    """Return the size of the context window in tokens for a request with the given headers."""
    betas = next((value for name, value in headers.items() if name.lower() == "anthropic-beta"), "")
    return _LARGE_CONTEXT_WINDOW_TOKENS if _LARGE_CONTEXT_WINDOW_BETA in betas else _DEFAULT_CONTEXT_WINDOW_TOKENS


def too_long_reason(body: Mapping[str, Any], prompt_tokens: int, context_window: int) -> str | None:
    """Return the message with which the API rejects a prompt that is too long; None if the API accepts the prompt.

    Args:
        body: The request body.
        prompt_tokens: The number of tokens in the prompt.
        context_window: The size of the context window, in tokens.
    """
    if prompt_tokens > context_window:
        return f"prompt is too long: {prompt_tokens} tokens > {context_window} maximum"
    max_tokens = body["max_tokens"]
    if _STRICT_LIMIT_MODELS.match(str(body["model"])) and prompt_tokens + max_tokens > context_window:
        return (
            f"input length and `max_tokens` exceed context limit: {prompt_tokens} + {max_tokens} > {context_window}, "
            "decrease input length or `max_tokens` and try again"
        )
    return None
