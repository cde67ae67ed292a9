"""Tables that say which parameters of a chat request this gateway supports. No I/O.

The warnings to clients and the documentation come from these tables.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from claude_gateway.dialects.common.parameters import support
from claude_gateway.dialects.common.parameters.support import (
    UNSET_LIMIT,
    UNSET_TEXT,
    UNSET_TOP_K,
    UNUSED_MESSAGES_PARAMETERS,
    NeutralValues,
    ParameterSupport,
    Support,
    SupportTable,
)

PARAMETERS: SupportTable = {
    "model": (Support.SUPPORTED, "any `claude-*`"),
    "messages": (Support.SUPPORTED, "texts, images, PDFs, tool calls and results"),
    "system": (Support.SUPPORTED, "parameter of the Messages API that some editors send"),
    "stream": (Support.SUPPORTED, ""),
    "stream_options": (Support.SUPPORTED, "`include_usage`"),
    "max_tokens": (Support.SUPPORTED, ""),
    "max_completion_tokens": (Support.SUPPORTED, "takes precedence over `max_tokens`"),
    "user": (Support.IGNORED, "the upstream sees only the login of this gateway"),
    "temperature": (Support.SUPPORTED, "if the model accepts it; values above 1 become 1"),
    "top_p": (Support.SUPPORTED, "if the model accepts it, also together with a temperature"),
    "top_k": (Support.SUPPORTED, "if the model accepts it"),
    "stop": (Support.SUPPORTED, "blank sequences are omitted"),
    "reasoning_effort": (Support.SUPPORTED, "becomes a thinking budget if the model has no effort parameter"),
    "thinking": (
        Support.SUPPORTED,
        "parameter of the Messages API; takes precedence over `reasoning` and `reasoning_effort`",
    ),
    "reasoning": (
        Support.SUPPORTED,
        "OpenRouter's parameter: `effort` or `max_tokens`, `enabled`, `exclude`; takes precedence over "
        "`reasoning_effort`",
    ),
    "anthropic_options": (
        Support.SUPPORTED,
        "parameters of `/v1/messages`; they take precedence over those of the chat",
    ),
    "google_options": (Support.IGNORED, "it only concerns Google's models"),
    "tools": (
        Support.SUPPORTED,
        "OpenAI's format, flat or nested, and Anthropic's format; custom tools, whose grammar becomes a description",
    ),
    "tool_choice": (Support.SUPPORTED, "OpenAI's and Anthropic's values"),
    "parallel_tool_calls": (Support.SUPPORTED, ""),
    "web_search_options": (Support.EMULATED, "through the built-in tool WebSearch, for keys with the scope `tools`"),
    "functions": (Support.SUPPORTED, "older name of `tools`"),
    "function_call": (Support.SUPPORTED, "older name of `tool_choice`"),
    "response_format": (
        Support.EMULATED,
        "`json_schema` through the structured outputs of the model if they support the schema, otherwise through an "
        "instruction, like `json_object`. The gateway validates the reply, and asks the model once to correct it",
    ),
    "session_id": (Support.SUPPORTED, "cannot be combined with `n`"),
    "enable_tools": (Support.SUPPORTED, "enables the built-in tools of Claude Code"),
    "stream_tool_progress": (Support.SUPPORTED, "calls of built-in tools appear in `reasoning_content`"),
    "n": (Support.EMULATED, "that number of parallel jobs, up to `MAX_CHOICES`; the usage counts the prompt once"),
    "frequency_penalty": (Support.IGNORED, "Claude has no such parameter"),
    "presence_penalty": (Support.IGNORED, "Claude has no such parameter"),
    "logit_bias": (Support.IGNORED, "Claude has no such parameter"),
    "logprobs": (Support.IGNORED, "Claude returns no log probabilities"),
    "top_logprobs": (Support.IGNORED, "Claude returns no log probabilities"),
    "seed": (Support.IGNORED, "Claude has no such parameter"),
    "prediction": (Support.IGNORED, "Claude has no such parameter"),
    "audio": (Support.IGNORED, "Claude answers in text"),
    "modalities": (Support.IGNORED, "Claude answers in text"),
    "service_tier": (Support.IGNORED, "the login of this gateway determines the tier"),
    "metadata": (Support.IGNORED, "the gateway does not store it"),
    "store": (Support.IGNORED, "the gateway does not store chat completions"),
}
_SET_IN_CHAT = (Support.IGNORED, "the chat request itself contains it")
ANTHROPIC_OPTIONS: SupportTable = {
    "thinking": (Support.SUPPORTED, "takes precedence over `thinking`, `reasoning` and `reasoning_effort`"),
    "output_config": (
        Support.EMULATED,
        "`effort` and `format`, as in `/v1/messages`; `format` takes precedence over a schema",
    ),
    "output_format": (Support.EMULATED, "older name of `output_config.format`"),
    "effort": (Support.SUPPORTED, "another name of `output_config.effort`"),
    "system": (Support.SUPPORTED, "precedes the system messages"),
    "max_tokens": (Support.SUPPORTED, ""),
    "temperature": (Support.SUPPORTED, "if the model accepts it"),
    "top_p": (Support.SUPPORTED, "if the model accepts it, also together with a temperature"),
    "top_k": (Support.SUPPORTED, "if the model accepts it"),
    "stop_sequences": (Support.SUPPORTED, "blank sequences are omitted"),
    "tool_choice": (Support.SUPPORTED, ""),
    "prompt_caching": (Support.EMULATED, "Claude Code sets cache breakpoints itself"),
    **UNUSED_MESSAGES_PARAMETERS,
    **dict.fromkeys(("model", "messages", "stream", "tools"), _SET_IN_CHAT),
}
# In these fields, a blank text is a value. In all other fields, a blank text means "not set".
_BLANK_ALLOWED_FIELDS = frozenset({"model", "messages", "system", "session_id"})
OPTIONS_NEUTRAL_VALUES: NeutralValues = {
    **dict.fromkeys(ANTHROPIC_OPTIONS, UNSET_TEXT),
    "max_tokens": UNSET_LIMIT,
    "top_p": UNSET_LIMIT,
    "top_k": UNSET_TOP_K,
    "service_tier": (*UNSET_TEXT, "auto"),
    "speed": (*UNSET_TEXT, "standard"),
}
# For each parameter, the values that are the default or mean "not set". Many clients send every parameter that they
# know, with such values.
NEUTRAL_VALUES: NeutralValues = {
    **{name: UNSET_TEXT for name in PARAMETERS if name not in _BLANK_ALLOWED_FIELDS},
    "max_tokens": UNSET_LIMIT,
    "max_completion_tokens": UNSET_LIMIT,
    "top_p": UNSET_LIMIT,
    "top_k": UNSET_TOP_K,
    "seed": UNSET_LIMIT,
    "frequency_penalty": (*UNSET_TEXT, 0),
    "presence_penalty": (*UNSET_TEXT, 0),
    "top_logprobs": (*UNSET_TEXT, 0),
    "service_tier": (*UNSET_TEXT, "auto", "default"),
    "modalities": (*UNSET_TEXT, ["text"]),
}


def warnings(fields: Mapping[str, Any]) -> list[str]:
    """Return a warning for each parameter in a request that the gateway ignores.

    If the value of a parameter is the default value or means "not set", there is no warning.
    """
    return support.find_parameter_warnings(fields, PARAMETERS, NEUTRAL_VALUES)


def option_warnings(fields: Mapping[str, Any]) -> list[str]:
    """Return a warning for each parameter in `anthropic_options` that the gateway ignores."""
    return support.find_parameter_warnings(fields, ANTHROPIC_OPTIONS, OPTIONS_NEUTRAL_VALUES)


def classify(fields: Mapping[str, Any]) -> list[ParameterSupport]:
    """Return one entry for each parameter in a request. The entry says whether the gateway supports the parameter.

    The name of a parameter in `anthropic_options` starts with `anthropic_options.`.
    """
    options = fields.get("anthropic_options")
    option_support = (
        support.classify_parameters(options, ANTHROPIC_OPTIONS, OPTIONS_NEUTRAL_VALUES)
        if isinstance(options, Mapping)
        else ()
    )
    return [
        *support.classify_parameters(fields, PARAMETERS, NEUTRAL_VALUES),
        *(replace(option, name=f"anthropic_options.{option.name}") for option in option_support),
    ]
