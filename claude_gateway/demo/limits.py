"""How much the real API takes: the size of a request, and the context windows of the models. Pure."""

import re
from collections.abc import Mapping
from typing import Any

MAX_BODY_BYTES = 32 * 1024 * 1024
TOO_LARGE = "Request exceeds the maximum size"
_WINDOW = 200_000
_LARGE_WINDOW = 1_000_000
_LARGE_WINDOW_BETA = "context-1m-"
# Before these models a request is refused where its answer might not fit; from them on the answer ends at the window.
_STRICT = re.compile(r"claude-(?:3|(?:opus|sonnet|haiku)-4(?:-[01])?(?:-\d{8})?$)")


def window(headers: Mapping[str, str]) -> int:
    """The context window of a request, in tokens."""
    betas = next((value for name, value in headers.items() if name.lower() == "anthropic-beta"), "")
    return _LARGE_WINDOW if _LARGE_WINDOW_BETA in betas else _WINDOW


def over_long(body: Mapping[str, Any], prompt_tokens: int, most: int) -> str | None:
    """Why a prompt of so many tokens is refused, or None where it is not."""
    if prompt_tokens > most:
        return f"prompt is too long: {prompt_tokens} tokens > {most} maximum"
    wanted = body["max_tokens"]
    if _STRICT.match(str(body["model"])) and prompt_tokens + wanted > most:
        return (
            f"input length and `max_tokens` exceed context limit: {prompt_tokens} + {wanted} > {most}, "
            "decrease input length or `max_tokens` and try again"
        )
    return None
