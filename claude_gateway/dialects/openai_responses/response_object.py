"""The response object: what it repeats of its request, and how it stands before the first word. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from claude_gateway.dialects.openai_responses.wire import ResponsesRequest
from claude_gateway.errors import ApiError
from claude_gateway.prompt.too_long import in_openai_words
from claude_gateway.prompt.tools import is_writable
from workers.events import Usage

# What is ignored and yet repeated, where it is what it should be.
_REPEATED: Mapping[str, type] = {
    "max_tool_calls": int,
    "prompt_cache_key": str,
    "safety_identifier": str,
    "user": str,
}
_MAX_REPEATED_BYTES = 256 * 1024
# Clients' own types want a value of these.
_IN_PLACE_OF_LARGE: Mapping[str, Any] = {
    "metadata": {},
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "tools": [],
}
# The codes that clients act upon; whatever else went wrong is the server's error to them.
_CODES = {
    "context_length_exceeded": "context_length_exceeded",
    "insufficient_quota": "insufficient_quota",
    "invalid_request": "invalid_prompt",
}


@dataclass(frozen=True, slots=True)
class Identity:
    """What names one response. `created` is in Unix seconds."""

    id: str
    created: int
    model: str


def echo(request: ResponsesRequest) -> dict[str, Any]:
    """The fields that a response repeats; clients' own types want most of them. A value that cannot be written as JSON
    is left out: no answer may fail because of it. So is one of more than `_MAX_REPEATED_BYTES`: it would stand in the
    answer, in the store, and four times in the stream."""
    repeated = _repeated(request)
    for name, value in repeated.items():
        if not is_writable(value):
            repeated[name] = None
        elif len(orjson.dumps(value)) > _MAX_REPEATED_BYTES:
            repeated[name] = _IN_PLACE_OF_LARGE.get(name)
    return repeated


def _repeated(request: ResponsesRequest) -> dict[str, Any]:
    reasoning, text = request.reasoning, request.text
    return {
        "background": bool(request.background),
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "max_tool_calls": None,
        "metadata": request.metadata or {},
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": request.previous_response_id,
        "prompt_cache_key": None,
        "reasoning": {
            "effort": (reasoning.effort if reasoning else None) or request.reasoning_effort,
            "summary": reasoning.summary if reasoning else None,
        },
        "safety_identifier": None,
        "service_tier": "default",
        "store": request.store is not False,
        "temperature": 1.0 if request.temperature is None else request.temperature,
        "text": {
            "format": (text.format if text else None) or {"type": "text"},
            "verbosity": (text.verbosity if text else None) or "medium",
        },
        "tool_choice": "auto" if request.tool_choice is None else request.tool_choice,
        "tools": [tool for tool in request.tools or () if isinstance(tool, Mapping)],
        "top_logprobs": 0,
        "top_p": 1.0 if request.top_p is None else request.top_p,
        "truncation": "disabled",
        "user": None,
        **{
            name: value
            for name, kind in _REPEATED.items()
            if isinstance(value := request.unknown.get(name), kind) and not isinstance(value, bool)
        },
    }


def response_object(identity: Identity, repeated: Mapping[str, Any], **state: Any) -> dict[str, Any]:
    """`state` is what changes while it comes into being."""
    return {
        "id": identity.id,
        "object": "response",
        "created_at": identity.created,
        "status": None,
        "error": None,
        "incomplete_details": None,
        "model": identity.model,
        "output": [],
        "usage": None,
        **repeated,
        **state,
    }


def usage_object(usage: Usage) -> dict[str, Any]:
    """OpenAI counts cached tokens into the input; the Messages API counts them apart."""
    input_tokens = usage.input + usage.cache_read + usage.cache_write
    return {
        "input_tokens": input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.thinking},
        "total_tokens": input_tokens + usage.output,
    }


def failure(error: ApiError) -> dict[str, Any]:
    """Why a response failed."""
    code = "rate_limit_exceeded" if error.status == 429 else _CODES.get(error.code or "", "server_error")
    message = in_openai_words(error)
    if error.retry_after is not None:
        message += f" Try again in {error.retry_after}s."  # in these words, a client waits that long
    return {"code": code, "message": message}
