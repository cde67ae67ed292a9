"""`anthropic_options` of a chat: parameters of the Messages API that replace the chat's own. Pure."""

from typing import Any

from claude_gateway.dialects.openai_chat.parameters import option_warnings
from claude_gateway.dialects.openai_chat.wire import AnthropicOptions, ChatRequest

OPTIONS = "anthropic_options"
# Option: the name of the same parameter in a chat.
_NAMES = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "stop_sequences": "stop",
    "tool_choice": "tool_choice",
}


def apply_options(request: ChatRequest, notes: list[str]) -> tuple[ChatRequest, AnthropicOptions]:
    """The request with its parameters replaced by the options, and the options. An option that replaces another value
    gets a warning, and so does an option without an effect."""
    options = request.anthropic_options
    if options is None:
        return request, AnthropicOptions()
    notes += [f"{OPTIONS}.{line}" for line in option_warnings(options.model_extra or {})]
    if options.prompt_caching is False:
        notes.append(f"{OPTIONS}.prompt_caching: Claude Code marks the prompt for the cache by itself")
    changes: dict[str, Any] = {}
    for option, name in _NAMES.items():
        value = getattr(options, option)
        if value is None:
            continue
        changes[name] = value
        if getattr(request, name) not in (None, value):
            notes.append(_left_out(name, option))
    if options.max_tokens is not None:
        changes["max_completion_tokens"] = None
        if request.max_completion_tokens not in (None, options.max_tokens):
            notes.append(_left_out("max_completion_tokens", "max_tokens"))
    return request.model_copy(update=changes), options


def _left_out(name: str, option: str) -> str:
    return f"{name}: left out, `{OPTIONS}.{option}` counts"
