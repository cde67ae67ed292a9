"""Apply the field `anthropic_options`, in which a chat request contains parameters of the Messages API. No I/O.

The parameters in this field (options) take precedence over the other parameters of the chat request.
"""

from typing import Any

from claude_gateway.dialects.openai_chat.parameters import option_warnings
from claude_gateway.dialects.openai_chat.schema import AnthropicOptions, ChatRequest

OPTIONS_FIELD = "anthropic_options"
# Maps each option that has an equivalent in a chat request to the name of this chat parameter.
_CHAT_NAMES = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "stop_sequences": "stop",
    "tool_choice": "tool_choice",
}


def apply_options(request: ChatRequest, notes: list[str]) -> tuple[ChatRequest, AnthropicOptions]:
    """Copy the values in `anthropic_options` to the parameters of the chat request that have the same meaning.

    The function adds a warning for each option that replaces a different value, and for each option that has no effect.

    Returns:
        The changed chat request, and all options.
    """
    options = request.anthropic_options
    if options is None:
        return request, AnthropicOptions()
    notes += [f"{OPTIONS_FIELD}.{warning}" for warning in option_warnings(options.model_extra or {})]
    if options.prompt_caching is False:
        notes.append(f"{OPTIONS_FIELD}.prompt_caching: ignored (Claude Code sets cache breakpoints itself)")
    changes: dict[str, Any] = {}
    for option, name in _CHAT_NAMES.items():
        value = getattr(options, option)
        if value is None:
            continue
        changes[name] = value
        if getattr(request, name) not in (None, value):
            notes.append(_format_replacement_note(name, option))
    if options.max_tokens is not None:
        changes["max_completion_tokens"] = None
        if request.max_completion_tokens not in (None, options.max_tokens):
            notes.append(_format_replacement_note("max_completion_tokens", "max_tokens"))
    return request.model_copy(update=changes), options


def _format_replacement_note(name: str, option: str) -> str:
    return f"{name}: ignored (`{OPTIONS_FIELD}.{option}` takes precedence)"
