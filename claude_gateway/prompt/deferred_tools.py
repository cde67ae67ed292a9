"""Tools with `defer_loading`: the model sees one of them once a search has found it. Pure.

The API hides them until a `tool_reference` names them. The client sends them all with each request, and runs the
search itself. Where the provider would run it, nobody can here, and all of them are shown.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from claude_gateway.prompt.allowed_tools import tool_name
from workers.job import Text, ToolResult, ToolUse, Turn

# A reference in words: one line each.
_FOUND = "Found tool: "


def reference(name: str) -> str:
    """A `tool_reference` in words."""
    return f"{_FOUND}{name}"


def is_deferred(definition: Mapping[str, Any]) -> bool:
    inner = definition.get("function")
    return definition.get("defer_loading") is True or (
        isinstance(inner, Mapping) and inner.get("defer_loading") is True
    )


def is_hosted_search(definition: Any) -> bool:
    """True for a search for tools that the provider would run."""
    match definition:
        case {"type": str(kind)}:
            return kind.startswith("tool_search") and definition.get("execution") != "client"
    return False


def referred_to(
    turns: Sequence[Turn], choice: Any, name_of: Callable[[Mapping[str, Any]], str] = tool_name
) -> frozenset[str]:
    """The tools that were found, that were called, or that the choice names; `name_of` gives the name under which
    Claude knows a tool of the choice."""
    return frozenset((*map(name_of, _chosen(choice)), *(name for turn in turns for name in _in_turn(turn))))


def _in_turn(turn: Turn) -> Iterator[str]:
    for block in turn.blocks:
        match block:
            case ToolUse(_, name):
                yield name
            case ToolResult(_, content):
                for part in content:
                    if isinstance(part, Text):
                        yield from _found(part.text)
            case Text(text) if turn.role == "assistant":
                yield from _found(text)


def _found(text: str) -> Iterator[str]:
    if _FOUND in text:
        yield from (line.removeprefix(_FOUND) for line in text.splitlines() if line.startswith(_FOUND))


def _chosen(choice: Any) -> Iterator[Mapping[str, Any]]:
    match choice:
        case {"function": {"name": str()}} | {"custom": {"name": str()}} | {"name": str()}:
            yield choice
        case {"tools": list(allowed)} | {"allowed_tools": {"tools": list(allowed)}}:
            for one in allowed:
                yield from _chosen(one)
