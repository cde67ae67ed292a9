"""Find the deferred tools that the model may see. A deferred tool is a tool with `defer_loading`. No I/O.

The model sees a deferred tool only after a tool search has found the tool, so that a `tool_reference` in the
conversation names the tool. The client sends all tools with each request, and may run the tool search itself. Some
requests contain a hosted tool search instead, which is a search that the provider would run. This gateway cannot run
such a search, so the model then sees all tools.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from claude_gateway.dialects.common.tools.allowed_tools import get_tool_name
from workers.core.job import Text, ToolResult, ToolUse, Turn

# Prefix of the line of text that represents a `tool_reference`.
_FOUND_TOOL_PREFIX = "Found tool: "


def format_tool_reference(name: str) -> str:
    """Return the line of text that represents a `tool_reference` to the tool."""
    return f"{_FOUND_TOOL_PREFIX}{name}"


def is_deferred_tool(definition: Mapping[str, Any]) -> bool:
    """Return whether a tool definition sets `defer_loading`. Some APIs nest this field in `function`."""
    inner = definition.get("function")
    return definition.get("defer_loading") is True or (
        isinstance(inner, Mapping) and inner.get("defer_loading") is True
    )


def is_hosted_tool_search(definition: Any) -> bool:
    """Return whether a tool is a search for deferred tools that the provider would run."""
    match definition:
        case {"type": str(kind)}:
            return kind.startswith("tool_search") and definition.get("execution") != "client"
    return False


def find_referenced_tools(
    turns: Sequence[Turn], choice: Any, get_name: Callable[[Mapping[str, Any]], str] = get_tool_name
) -> frozenset[str]:
    """Return the names of the tools that a search found, that the model called, or that `tool_choice` names.

    Args:
        turns: The conversation.
        choice: `tool_choice` of the request.
        get_name: Function that returns the name under which Claude knows a tool in the choice.
    """
    return frozenset(
        (*map(get_name, _iterate_choices(choice)), *(name for turn in turns for name in _find_in_turn(turn)))
    )


def _find_in_turn(turn: Turn) -> Iterator[str]:
    for block in turn.blocks:
        match block:
            case ToolUse(_, name):
                yield name
            case ToolResult(_, content):
                for part in content:
                    if isinstance(part, Text):
                        yield from _find_in_text(part.text)
            case Text(text) if turn.role == "assistant":
                yield from _find_in_text(text)


def _find_in_text(text: str) -> Iterator[str]:
    if _FOUND_TOOL_PREFIX in text:
        yield from (
            line.removeprefix(_FOUND_TOOL_PREFIX) for line in text.splitlines() if line.startswith(_FOUND_TOOL_PREFIX)
        )


def _iterate_choices(choice: Any) -> Iterator[Mapping[str, Any]]:
    match choice:
        case {"function": {"name": str()}} | {"custom": {"name": str()}} | {"name": str()}:
            yield choice
        case {"tools": list(allowed)} | {"allowed_tools": {"tools": list(allowed)}}:
            for entry in allowed:
                yield from _iterate_choices(entry)
