"""What becomes of each parameter of a request, and what would serve its caller better. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from claude_gateway.prompt.parameters import UNKNOWN, Treated, Treatment

_INSTEAD: Mapping[str, str] = {
    "audio": "ask for text; Claude makes no sound",
    "cachedContent": "send the content itself; what was sent before is found in the upstream's cache by its words",
    "candidateCount": "`n` of /v1/chat/completions gives several answers",
    "container": "`enable_tools` lets Claude run commands in a box of its own",
    "context_management": "leave it out, or send only the turns that matter",
    "conversation": "send `previous_response_id`",
    "frequency_penalty": "ask for varied wording in the system prompt",
    "frequencyPenalty": "ask for varied wording in the system prompt",
    "logit_bias": "say in the system prompt which words to use and which to avoid",
    "max_tool_calls": "the header X-Claude-Max-Turns bounds work with Claude's own tools",
    "mcp_servers": "register the server under /v1/mcp/servers and send `enable_tools`",
    "presence_penalty": "ask for varied wording in the system prompt",
    "presencePenalty": "ask for varied wording in the system prompt",
    "prompt": "send `instructions` and `input`",
    "safety_identifier": "give each user a key of his own: claude-gateway keys create",
    "seed": "`temperature` 0 comes nearest to the same answer each time",
    "store": "/v1/responses stores its answers",
    "user": "give each user a key of his own: claude-gateway keys create",
}
MAX_NAMES = 100


def by_treatment(treated: Sequence[Treated]) -> dict[str, list[dict[str, str]]]:
    return {
        treatment.value: [
            {"name": one.name[:MAX_NAMES], "reason": one.reason}
            for one in treated[:MAX_NAMES]
            if one.treatment is treatment
        ]
        for treatment in Treatment
    }


def suggestions(treated: Iterable[Treated], known: Iterable[str], error: Mapping[str, Any] | None) -> list[str]:
    """A line for each thing that the caller could do. `known` are the names of all parameters, `error` what the request
    would be refused with."""
    return list(_suggestions(list(treated)[:MAX_NAMES], list(known), error))


def _suggestions(treated: list[Treated], known: list[str], error: Mapping[str, Any] | None) -> Iterator[str]:
    if error is not None:
        yield f"It would be refused: {error['message']}"
    for one in treated:
        name = one.name.rpartition(".")[2]
        if one.treatment in (Treatment.IGNORED, Treatment.REFUSED):
            if name in _INSTEAD:
                yield f"{one.name}: {_INSTEAD[name]}."
            elif one.reason == UNKNOWN and (near := get_close_matches(name[:MAX_NAMES], known, 1, 0.8)):
                yield f"{one.name[:MAX_NAMES]}: is {near[0]} meant?"
    ignored = [one.name[:MAX_NAMES] for one in treated if one.treatment is Treatment.IGNORED]
    if ignored:
        yield f"Leave out what changes nothing here: {', '.join(ignored)}."
