"""Table that says which parameters of a Responses request this gateway supports. No I/O.

The warnings to clients and the documentation come from this table.
"""

from collections.abc import Mapping
from typing import Any

from claude_gateway.dialects.common.parameters import support
from claude_gateway.dialects.common.parameters.support import (
    UNSET_LIMIT,
    UNSET_TEXT,
    NeutralValues,
    ParameterSupport,
    Support,
    SupportTable,
)

_NO_SUCH_PARAMETER = "Claude has no such parameter"
_SINGLE_LOGIN = "the upstream sees only the login of this gateway"
_CACHED_BY_CONTENT = "the gateway finds conversations and caches by their content"
_NO_TRUNCATION = "the gateway rejects a conversation that is too long, and never truncates it"

PARAMETERS: SupportTable = {
    "model": (Support.SUPPORTED, ""),
    "input": (Support.SUPPORTED, ""),
    "instructions": (Support.SUPPORTED, ""),
    "max_output_tokens": (Support.SUPPORTED, ""),
    "temperature": (Support.SUPPORTED, ""),
    "top_p": (Support.SUPPORTED, ""),
    "tools": (
        Support.EMULATED,
        "custom tools and namespaces become functions; in a request without client tools, built-in tools replace "
        "hosted tools of the same kind",
    ),
    "tool_choice": (Support.EMULATED, "if it lists allowed tools, the gateway offers only those"),
    "parallel_tool_calls": (Support.SUPPORTED, ""),
    "reasoning": (Support.SUPPORTED, ""),
    "reasoning_effort": (Support.SUPPORTED, ""),
    "text": (
        Support.EMULATED,
        "`format` through the structured outputs of the model if they support the schema, otherwise through an "
        "instruction. The gateway validates the reply, and asks the model once to correct it. `verbosity` is ignored",
    ),
    "stream": (Support.SUPPORTED, ""),
    "stream_options": (Support.SUPPORTED, ""),
    "include": (Support.SUPPORTED, ""),
    "store": (Support.SUPPORTED, ""),
    "enable_tools": (Support.SUPPORTED, ""),
    "stream_tool_progress": (Support.SUPPORTED, ""),
    "background": (Support.SUPPORTED, ""),
    "metadata": (Support.SUPPORTED, ""),
    "previous_response_id": (Support.SUPPORTED, ""),
    "conversation": (Support.REJECTED, "the gateway does not store conversations; send previous_response_id"),
    "prompt": (Support.REJECTED, "the gateway does not store prompt templates; send instructions and input"),
    "truncation": (Support.IGNORED, _NO_TRUNCATION),
    "truncation_strategy": (Support.IGNORED, _NO_TRUNCATION),
    "context_management": (Support.IGNORED, _NO_TRUNCATION),
    "max_tool_calls": (Support.IGNORED, "it only limits OpenAI's built-in tools"),
    "top_logprobs": (Support.IGNORED, "Claude returns no log probabilities"),
    "user": (Support.IGNORED, _SINGLE_LOGIN),
    "safety_identifier": (Support.IGNORED, _SINGLE_LOGIN),
    "client_metadata": (Support.IGNORED, _SINGLE_LOGIN),
    "service_tier": (Support.IGNORED, "the login of this gateway determines the tier"),
    "prompt_cache_key": (Support.IGNORED, _CACHED_BY_CONTENT),
    "prompt_cache_retention": (Support.IGNORED, _CACHED_BY_CONTENT),
    "prompt_cache_options": (Support.IGNORED, _CACHED_BY_CONTENT),
    "background_options": (Support.IGNORED, _NO_SUCH_PARAMETER),
    "moderation": (Support.IGNORED, _NO_SUCH_PARAMETER),
    "access_programs": (Support.IGNORED, _NO_SUCH_PARAMETER),
    "image": (Support.IGNORED, _NO_SUCH_PARAMETER),
}
# In these fields, a blank text is a value. In all other fields, a blank text means "not set".
_BLANK_ALLOWED_FIELDS = frozenset({"model", "input", "instructions"})
NEUTRAL_VALUES: NeutralValues = {
    **{name: UNSET_TEXT for name in PARAMETERS if name not in _BLANK_ALLOWED_FIELDS},
    "max_output_tokens": UNSET_LIMIT,
    "top_p": UNSET_LIMIT,
    "truncation": (*UNSET_TEXT, "disabled"),
    "truncation_strategy": (*UNSET_TEXT, "disabled"),
    "top_logprobs": (*UNSET_TEXT, 0),
    "service_tier": (*UNSET_TEXT, "auto", "default"),
}


def warnings(fields: Mapping[str, Any]) -> list[str]:
    """Return a warning for each parameter in a request that the gateway ignores.

    If the value of a parameter is the default value or means "not set", there is no warning.
    """
    return support.find_parameter_warnings(fields, PARAMETERS, NEUTRAL_VALUES)


def classify(fields: Mapping[str, Any]) -> list[ParameterSupport]:
    """Return one entry for each parameter in a request. The entry says whether the gateway supports the parameter."""
    return list(support.classify_parameters(fields, PARAMETERS, NEUTRAL_VALUES))
