"""What becomes of each parameter of a chat request. One table, from which warnings and documentation come."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from claude_gateway.prompt import parameters
from claude_gateway.prompt.parameters import (
    UNSET_LIMIT,
    UNSET_TEXT,
    UNSET_TOP_K,
    UNUSED_MESSAGES_PARAMETERS,
    Neutral,
    Table,
    Treated,
    Treatment,
)

PARAMETERS: Table = {
    "model": (Treatment.HONOURED, "any `claude-*`"),
    "messages": (Treatment.HONOURED, "texts, images, PDFs, calls and results"),
    "system": (Treatment.HONOURED, "Anthropic's, as some editors send it"),
    "stream": (Treatment.HONOURED, ""),
    "stream_options": (Treatment.HONOURED, "`include_usage`"),
    "max_tokens": (Treatment.HONOURED, ""),
    "max_completion_tokens": (Treatment.HONOURED, "goes before `max_tokens`"),
    "user": (Treatment.IGNORED, "the upstream sees the login of this gateway alone"),
    "temperature": (Treatment.HONOURED, "above 1 it becomes 1; where the model takes none it is left out"),
    "top_p": (Treatment.HONOURED, "where the model takes it, beside the temperature too"),
    "top_k": (Treatment.HONOURED, "where the model takes it"),
    "stop": (Treatment.HONOURED, "blank sequences are left out"),
    "reasoning_effort": (Treatment.HONOURED, "where the model knows no effort it becomes a budget"),
    "thinking": (Treatment.HONOURED, "Anthropic's; goes before `reasoning` and `reasoning_effort`"),
    "reasoning": (
        Treatment.HONOURED,
        "OpenRouter's: `effort` or `max_tokens`, `enabled`, `exclude`; goes before `reasoning_effort`",
    ),
    "anthropic_options": (Treatment.HONOURED, "parameters of `/v1/messages`; they go before those of the chat"),
    "google_options": (Treatment.IGNORED, "it is for Google's models"),
    "tools": (
        Treatment.HONOURED,
        "OpenAI's shape, flat or nested, and Anthropic's; custom tools, whose grammar is shown to Claude",
    ),
    "tool_choice": (Treatment.HONOURED, "either dialect's words"),
    "parallel_tool_calls": (Treatment.HONOURED, ""),
    "web_search_options": (Treatment.EMULATED, "by Claude's own WebSearch, for keys with the scope `tools`"),
    "functions": (Treatment.HONOURED, "the older name of `tools`"),
    "function_call": (Treatment.HONOURED, "the older name of `tool_choice`"),
    "response_format": (
        Treatment.EMULATED,
        "`json_schema` by the model's own structured outputs where it has them and they can say the schema; that, and "
        "`json_object`, else asked for in words. Either way the answer is checked, and once asked for again",
    ),
    "session_id": (Treatment.HONOURED, "not together with `n`"),
    "enable_tools": (Treatment.HONOURED, "Claude's own tools"),
    "stream_tool_progress": (Treatment.HONOURED, "what Claude does with its own tools, told in `reasoning_content`"),
    "n": (Treatment.EMULATED, "so many jobs side by side, up to `MAX_CHOICES`; the usage counts the prompt once"),
    "frequency_penalty": (Treatment.IGNORED, "Claude has no such parameter"),
    "presence_penalty": (Treatment.IGNORED, "Claude has no such parameter"),
    "logit_bias": (Treatment.IGNORED, "Claude has no such parameter"),
    "logprobs": (Treatment.IGNORED, "Claude returns no log probabilities"),
    "top_logprobs": (Treatment.IGNORED, "Claude returns no log probabilities"),
    "seed": (Treatment.IGNORED, "Claude has no such parameter"),
    "prediction": (Treatment.IGNORED, "Claude has no such parameter"),
    "audio": (Treatment.IGNORED, "Claude answers in text"),
    "modalities": (Treatment.IGNORED, "Claude answers in text"),
    "service_tier": (Treatment.IGNORED, "the tier is that of the login"),
    "metadata": (Treatment.IGNORED, "nothing is stored"),
    "store": (Treatment.IGNORED, "nothing is stored"),
}
_IN_THE_CHAT = (Treatment.IGNORED, "it stands in the chat itself")
ANTHROPIC_OPTIONS: Table = {
    "thinking": (Treatment.HONOURED, "goes before `thinking`, `reasoning` and `reasoning_effort`"),
    "output_config": (Treatment.EMULATED, "`effort` and `format`, as in `/v1/messages`; `format` goes before a schema"),
    "output_format": (Treatment.EMULATED, "an older name of `output_config.format`"),
    "effort": (Treatment.HONOURED, "another name of `output_config.effort`"),
    "system": (Treatment.HONOURED, "goes in front of the system messages"),
    "max_tokens": (Treatment.HONOURED, ""),
    "temperature": (Treatment.HONOURED, "where the model takes it"),
    "top_p": (Treatment.HONOURED, "where the model takes it, beside the temperature too"),
    "top_k": (Treatment.HONOURED, "where the model takes it"),
    "stop_sequences": (Treatment.HONOURED, "blank ones are left out"),
    "tool_choice": (Treatment.HONOURED, ""),
    "prompt_caching": (Treatment.EMULATED, "Claude Code marks the prompt for the cache by itself"),
    **UNUSED_MESSAGES_PARAMETERS,
    **dict.fromkeys(("model", "messages", "stream", "tools"), _IN_THE_CHAT),
}
# In these a blank text is what the client says.
_TEXTS = frozenset({"model", "messages", "system", "session_id"})
OPTIONS_NEUTRAL: Neutral = {
    **dict.fromkeys(ANTHROPIC_OPTIONS, UNSET_TEXT),
    "max_tokens": UNSET_LIMIT,
    "top_p": UNSET_LIMIT,
    "top_k": UNSET_TOP_K,
    "service_tier": (*UNSET_TEXT, "auto"),
    "speed": (*UNSET_TEXT, "standard"),
}
# Values that ask for nothing: many clients send every field they know.
NEUTRAL: Neutral = {
    **{name: UNSET_TEXT for name in PARAMETERS if name not in _TEXTS},
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


def warnings(sent: Mapping[str, Any]) -> list[str]:
    """A line for each parameter that was sent, asks for something and is not honoured."""
    return parameters.warnings(sent, PARAMETERS, NEUTRAL)


def option_warnings(sent: Mapping[str, Any]) -> list[str]:
    """The same for members of `anthropic_options`."""
    return parameters.warnings(sent, ANTHROPIC_OPTIONS, OPTIONS_NEUTRAL)


def treated(sent: Mapping[str, Any]) -> list[Treated]:
    """What becomes of each parameter of a whole request, those of `anthropic_options` named by their places."""
    options = sent.get("anthropic_options")
    inside = parameters.treated(options, ANTHROPIC_OPTIONS, OPTIONS_NEUTRAL) if isinstance(options, Mapping) else ()
    return [
        *parameters.treated(sent, PARAMETERS, NEUTRAL),
        *(replace(one, name=f"anthropic_options.{one.name}") for one in inside),
    ]
