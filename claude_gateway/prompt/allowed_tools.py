"""`tool_choice` of the type `allowed_tools`: Claude is offered only some of the tools of a request. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from claude_gateway.prompt.conversation import bad
from claude_gateway.prompt.hosted_tools import Hosted
from workers.job import Tool

# Types of tools that the client runs. The provider runs tools of any other type.
_CLIENT_TOOL_TYPES = ("function", "custom", "tool")
_MODES = ("auto", "required", "any", "none")


@dataclass(frozen=True, slots=True)
class RestrictedTools:
    """The tools of a request that a choice allows; `choice` is the choice among them, without `allowed_tools`."""

    tools: tuple[Tool, ...]
    hosted: tuple[Hosted, ...]
    choice: Any


def tool_name(named: Mapping[str, Any]) -> str:
    """The name in a tool of a choice, in the nested shape of chats or flat."""
    inner = next((named[kind] for kind in ("function", "custom") if isinstance(named.get(kind), Mapping)), named)
    return str(inner.get("name"))


def restrict_tools(
    choice: Any,
    tools: Sequence[Tool],
    hosted: Sequence[Hosted],
    name_of: Callable[[Mapping[str, Any]], str] = tool_name,
) -> RestrictedTools:
    """Keep the tools that a choice allows, in the shape of chats or of Responses; any other choice keeps all.

    `name_of` gives the name under which Claude knows a tool of the choice. Raises `ApiError` 400 for an unknown tool.
    """
    if not (isinstance(choice, Mapping) and choice.get("type") == "allowed_tools"):
        return RestrictedTools(tuple(tools), tuple(hosted), choice)
    nested = choice.get("allowed_tools")
    allowed = nested if isinstance(nested, Mapping) else choice
    mode, entries = allowed.get("mode") or "auto", allowed.get("tools")
    if mode not in _MODES:
        raise bad("tool_choice.mode", "must be auto or required")
    if not isinstance(entries, list) or not all(isinstance(one, Mapping) for one in entries):
        raise bad("tool_choice.tools", "must be a list of tools, each with its type and its name")
    names = {name_of(one) for one in entries if one.get("type", "function") in _CLIENT_TOOL_TYPES}
    if missing := sorted(names - {tool.name for tool in tools}):
        raise bad("tool_choice", f"there is no tool {missing[0][:60]!r}")
    types = {one.get("type") for one in entries}
    return RestrictedTools(
        tuple(tool for tool in tools if tool.name in names), tuple(one for one in hosted if one.name in types), mode
    )
