"""Reports how the gateway supports each parameter of a request, and suggests changes to the client. No I/O."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from claude_gateway.dialects.common.parameters.support import UNKNOWN_PARAMETER, ParameterSupport, Support

_ALTERNATIVES: Mapping[str, str] = {
    "audio": "request text; Claude generates no audio",
    "cachedContent": "send the content itself; the upstream caches repeated content by itself",
    "candidateCount": "use `n` of /v1/chat/completions to get several choices",
    "container": "send `enable_tools`; Claude then runs commands in a sandbox",
    "context_management": "remove it, or send only the turns that matter",
    "conversation": "send `previous_response_id`",
    "frequency_penalty": "ask for varied wording in the system prompt",
    "frequencyPenalty": "ask for varied wording in the system prompt",
    "logit_bias": "say in the system prompt which words to use and which to avoid",
    "max_tool_calls": "use the header X-Claude-Max-Turns, which limits jobs with Claude's built-in tools",
    "mcp_servers": "register the server under /v1/mcp/servers and send `enable_tools`",
    "presence_penalty": "ask for varied wording in the system prompt",
    "presencePenalty": "ask for varied wording in the system prompt",
    "prompt": "send `instructions` and `input`",
    "safety_identifier": "create a key for each user: claude-gateway keys create",
    "seed": "use `temperature` 0, which gives the most similar replies",
    "store": "use /v1/responses, which stores its responses",
    "user": "create a key for each user: claude-gateway keys create",
}
# Maximum number of parameters in a report. It is also the maximum number of characters of a parameter's name.
MAX_NAMES = 100


def group_parameters(parameters: Sequence[ParameterSupport]) -> dict[str, list[dict[str, str]]]:
    """Return a JSON object with the name and reason for each parameter, in groups by the kind of support."""
    return {
        support.value: [
            {"name": parameter.name[:MAX_NAMES], "reason": parameter.reason}
            for parameter in parameters[:MAX_NAMES]
            if parameter.support is support
        ]
        for support in Support
    }


def suggest_changes(
    parameters: Iterable[ParameterSupport], known_names: Iterable[str], error: Mapping[str, Any] | None
) -> list[str]:
    """Return one sentence for each change that the client could make.

    Args:
        parameters: Parameters in the request, each with the kind of support that the gateway has for it.
        known_names: Names of all parameters that the dialect defines.
        error: Error object with which the gateway would reject the request; None if the gateway would accept it.
    """
    return list(_suggest_changes(list(parameters)[:MAX_NAMES], list(known_names), error))


def _suggest_changes(
    parameters: list[ParameterSupport], known_names: list[str], error: Mapping[str, Any] | None
) -> Iterator[str]:
    if error is not None:
        yield f"The request would be rejected: {error['message']}"
    for parameter in parameters:
        name = parameter.name.rpartition(".")[2]
        if parameter.support not in (Support.IGNORED, Support.REJECTED):
            continue
        if name in _ALTERNATIVES:
            yield f"{parameter.name}: {_ALTERNATIVES[name]}."
        elif parameter.reason == UNKNOWN_PARAMETER:
            for similar in get_close_matches(name[:MAX_NAMES], known_names, 1, 0.8):
                yield f"{parameter.name[:MAX_NAMES]}: did you mean {similar}?"
    ignored = [parameter.name[:MAX_NAMES] for parameter in parameters if parameter.support is Support.IGNORED]
    if ignored:
        yield f"Remove the parameters that have no effect: {', '.join(ignored)}."
