"""Build the response object, and select the fields of the request that the response repeats. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from claude_gateway.dialects.common.tools.tools import is_serializable
from claude_gateway.dialects.openai_responses.schema import ResponsesRequest
from workers.core.events import TokenUsage

# Parameters that the gateway ignores, and that the response repeats if they have this type.
_ECHOED_FIELDS: Mapping[str, type] = {
    "max_tool_calls": int,
    "prompt_cache_key": str,
    "safety_identifier": str,
    "user": str,
}
_MAX_ECHO_BYTES = 256 * 1024
# Values that replace the values of fields if these are too large for the response. The official client requires a value
# for these fields.
_LARGE_FIELD_DEFAULTS: Mapping[str, Any] = {
    "metadata": {},
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "tools": [],
}


@dataclass(frozen=True, slots=True)
class ResponseIdentity:
    """The fields that identify a response.

    Attributes:
        id: The id of the response.
        created_at: The time of the request, in Unix seconds.
        model: The model name.
    """

    id: str
    created_at: int
    model: str


def echo_request(request: ResponsesRequest) -> dict[str, Any]:
    """Return the fields of the request that the response repeats. The official client requires most of these fields.

    The function replaces a value that the gateway cannot encode as JSON with None, because the gateway could not encode
    the response otherwise. It replaces a value of more than `_MAX_ECHO_BYTES` with a short default value, because the
    gateway would store this value with the response, and would send it four times in a stream.
    """
    echo = _collect_echo_fields(request)
    for name, value in echo.items():
        if not is_serializable(value):
            echo[name] = None
        elif len(orjson.dumps(value)) > _MAX_ECHO_BYTES:
            echo[name] = _LARGE_FIELD_DEFAULTS.get(name)
    return echo


def _collect_echo_fields(request: ResponsesRequest) -> dict[str, Any]:
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
            for name, kind in _ECHOED_FIELDS.items()
            if isinstance(value := request.unknown_fields.get(name), kind) and not isinstance(value, bool)
        },
    }


def response_object(identity: ResponseIdentity, echo: Mapping[str, Any], **state: Any) -> dict[str, Any]:
    """Return the JSON object of a response.

    Args:
        identity: The fields that identify the response.
        echo: The fields of the request that the response repeats.
        **state: The fields that change while the job runs.
    """
    return {
        "id": identity.id,
        "object": "response",
        "created_at": identity.created_at,
        "status": None,
        "error": None,
        "incomplete_details": None,
        "model": identity.model,
        "output": [],
        "usage": None,
        **echo,
        **state,
    }


def usage_object(usage: TokenUsage) -> dict[str, Any]:
    """Convert the token counts of a reply to the `usage` object of a response.

    OpenAI counts cached tokens as a part of the input. The Messages API counts cached tokens separately.
    """
    input_tokens = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    return {
        "input_tokens": input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.thinking_tokens},
        "total_tokens": input_tokens + usage.output_tokens,
    }
