"""Apply a `tool_choice` of the type `allowed_tools`, which lists the tools that the model may see. No I/O."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from claude_gateway.core.errors import bad_request
from claude_gateway.dialects.common.tools.hosted_tools import HostedTool
from workers.core.job import ToolDefinition

# Types of tools that the client runs. The provider runs tools of all other types.
_CLIENT_TOOL_TYPES = ("function", "custom", "tool")
_MODES = ("auto", "required", "any", "none")


@dataclass(frozen=True, slots=True)
class RestrictedTools:
    """The tools that the model may see, and the tool choice among these tools.

    Attributes:
        tools: The allowed tools that the client runs.
        hosted_tools: The allowed tools that the provider of the API would run.
        choice: The tool choice for the allowed tools. It is never of the type `allowed_tools`.
    """

    tools: tuple[ToolDefinition, ...]
    hosted_tools: tuple[HostedTool, ...]
    choice: Any


def get_tool_name(choice: Mapping[str, Any]) -> str:
    """Return the tool name from a tool choice. In OpenAI's chat API, the name is in a nested object."""
    inner = next((choice[kind] for kind in ("function", "custom") if isinstance(choice.get(kind), Mapping)), choice)
    return str(inner.get("name"))


def restrict_tools(
    choice: Any,
    tools: Sequence[ToolDefinition],
    hosted_tools: Sequence[HostedTool],
    get_name: Callable[[Mapping[str, Any]], str] = get_tool_name,
) -> RestrictedTools:
    """Return the tools that a choice of the type `allowed_tools` allows. Any other choice allows all tools.

    Args:
        choice: `tool_choice` of the request, in the form of OpenAI's chats or of OpenAI's Responses.
        tools: Client tools of the request.
        hosted_tools: Hosted tools of the request.
        get_name: Function that returns the name under which Claude knows a tool in the choice.

    Raises:
        ApiError: 400 if the choice is malformed or names an unknown tool.
    """
    if not (isinstance(choice, Mapping) and choice.get("type") == "allowed_tools"):
        return RestrictedTools(tuple(tools), tuple(hosted_tools), choice)
    nested = choice.get("allowed_tools")
    allowed = nested if isinstance(nested, Mapping) else choice
    mode, entries = allowed.get("mode") or "auto", allowed.get("tools")
    if mode not in _MODES:
        raise bad_request("tool_choice.mode", "must be auto or required")
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise bad_request("tool_choice.tools", "must be a list of tools, each with its type and its name")
    names = {get_name(entry) for entry in entries if entry.get("type", "function") in _CLIENT_TOOL_TYPES}
    if missing := sorted(names - {tool.name for tool in tools}):
        raise bad_request("tool_choice", f"there is no tool {missing[0][:60]!r}")
    types = {entry.get("type") for entry in entries}
    return RestrictedTools(
        tuple(tool for tool in tools if tool.name in names),
        tuple(tool for tool in hosted_tools if tool.name in types),
        mode,
    )
