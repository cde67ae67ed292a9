"""What becomes of each parameter of a Responses request. One table, from which warnings and documentation come."""

from collections.abc import Mapping
from typing import Any

from claude_gateway.prompt import parameters
from claude_gateway.prompt.parameters import UNSET_LIMIT, UNSET_TEXT, Neutral, Table, Treated, Treatment

_NO_SUCH = "Claude has no such parameter"
_ONE_LOGIN = "the upstream sees the login of this gateway alone"
_CACHE = "conversations and caches are found by their words"
_TOO_LONG = "a conversation that is too long is refused, nothing of it is dropped"

PARAMETERS: Table = {
    "model": (Treatment.HONOURED, ""),
    "input": (Treatment.HONOURED, ""),
    "instructions": (Treatment.HONOURED, ""),
    "max_output_tokens": (Treatment.HONOURED, ""),
    "temperature": (Treatment.HONOURED, ""),
    "top_p": (Treatment.HONOURED, ""),
    "tools": (
        Treatment.EMULATED,
        "custom tools and namespaces as functions; without those, hosted ones are done by Claude's own where there are",
    ),
    "tool_choice": (Treatment.EMULATED, "of allowed tools only those are offered"),
    "parallel_tool_calls": (Treatment.HONOURED, ""),
    "reasoning": (Treatment.HONOURED, ""),
    "reasoning_effort": (Treatment.HONOURED, ""),
    "text": (
        Treatment.EMULATED,
        "`format` by the model's own structured outputs where it has them and they can say the schema, else asked for "
        "in words; the answer is checked, and once asked for again. There is no `verbosity`",
    ),
    "stream": (Treatment.HONOURED, ""),
    "stream_options": (Treatment.HONOURED, ""),
    "include": (Treatment.HONOURED, ""),
    "store": (Treatment.HONOURED, ""),
    "enable_tools": (Treatment.HONOURED, ""),
    "stream_tool_progress": (Treatment.HONOURED, ""),
    "background": (Treatment.HONOURED, ""),
    "metadata": (Treatment.HONOURED, ""),
    "previous_response_id": (Treatment.HONOURED, ""),
    "conversation": (Treatment.REFUSED, "conversations are not kept here; send previous_response_id"),
    "prompt": (Treatment.REFUSED, "prompt templates are not kept here; send instructions and input"),
    "truncation": (Treatment.IGNORED, _TOO_LONG),
    "truncation_strategy": (Treatment.IGNORED, _TOO_LONG),
    "context_management": (Treatment.IGNORED, _TOO_LONG),
    "max_tool_calls": (Treatment.IGNORED, "it bounds built-in tools, and none are on"),
    "top_logprobs": (Treatment.IGNORED, "Claude returns no log probabilities"),
    "user": (Treatment.IGNORED, _ONE_LOGIN),
    "safety_identifier": (Treatment.IGNORED, _ONE_LOGIN),
    "client_metadata": (Treatment.IGNORED, _ONE_LOGIN),
    "service_tier": (Treatment.IGNORED, "the tier is that of the login"),
    "prompt_cache_key": (Treatment.IGNORED, _CACHE),
    "prompt_cache_retention": (Treatment.IGNORED, _CACHE),
    "prompt_cache_options": (Treatment.IGNORED, _CACHE),
    "background_options": (Treatment.IGNORED, _NO_SUCH),
    "moderation": (Treatment.IGNORED, _NO_SUCH),
    "access_programs": (Treatment.IGNORED, _NO_SUCH),
    "image": (Treatment.IGNORED, _NO_SUCH),
}
# In these a blank text is what the client says.
_TEXTS = frozenset({"model", "input", "instructions"})
NEUTRAL: Neutral = {
    **{name: UNSET_TEXT for name in PARAMETERS if name not in _TEXTS},
    "max_output_tokens": UNSET_LIMIT,
    "top_p": UNSET_LIMIT,
    "truncation": (*UNSET_TEXT, "disabled"),
    "truncation_strategy": (*UNSET_TEXT, "disabled"),
    "top_logprobs": (*UNSET_TEXT, 0),
    "service_tier": (*UNSET_TEXT, "auto", "default"),
}


def warnings(sent: Mapping[str, Any]) -> list[str]:
    """A line for each parameter that was sent, asks for something and is ignored."""
    return parameters.warnings(sent, PARAMETERS, NEUTRAL)


def treated(sent: Mapping[str, Any]) -> list[Treated]:
    """What becomes of each parameter of a whole request."""
    return list(parameters.treated(sent, PARAMETERS, NEUTRAL))
