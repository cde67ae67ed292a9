"""Find the hosted tools in a request that built-in tools of Claude Code can replace. No I/O.

A hosted tool is a tool that the provider of the API would run. The gateway can replace the hosted tools for web search,
web fetch and code execution.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from workers.core.job import ToolDefinition

HostedToolKind = Literal["search", "fetch", "code"]

# The tool types of OpenAI and Anthropic, by kind. Each kind has several types; some types end with a date.
_TYPE_PATTERNS: Mapping[HostedToolKind, re.Pattern[str]] = {
    "search": re.compile(r"web_search(_preview)?(_\d.*)?"),
    "fetch": re.compile(r"web_fetch(_\d.*)?"),
    "code": re.compile(r"code_interpreter|code_execution(_\d.*)?"),
}
# Fields of a tool that are not settings. `container` has no effect, because each job has its own workspace.
_NON_SETTING_FIELDS = frozenset({"type", "name", "container", "cache_control"})


@dataclass(frozen=True, slots=True)
class HostedTool:
    """A hosted tool in a request that a built-in tool of Claude Code can replace.

    Attributes:
        field_path: Field path of the tool.
        name: Type of the tool, such as `web_search_20250305`.
        kind: Whether the tool searches the web, fetches web pages or runs code.
        ignored_settings: Names of the settings of this tool. The built-in tool accepts no settings.
    """

    field_path: str
    name: str
    kind: HostedToolKind
    ignored_settings: tuple[str, ...] = ()


def find_hosted_tool_kind(type_: Any) -> HostedToolKind | None:
    """Return the kind of a hosted tool, or None if Claude Code has no built-in tool for this type."""
    if not isinstance(type_, str):
        return None
    return next((kind for kind, pattern in _TYPE_PATTERNS.items() if pattern.fullmatch(type_)), None)


def parse_hosted_tool(definition: Mapping[str, Any], field_path: str) -> HostedTool | None:
    """Parse a hosted tool of OpenAI or Anthropic. Return None if no built-in tool of Claude Code can replace it."""
    kind = find_hosted_tool_kind(definition.get("type"))
    return None if kind is None else HostedTool(field_path, definition["type"], kind, list_hosted_settings(definition))


def list_hosted_settings(definition: Any) -> tuple[str, ...]:
    """Return the names of the settings in the definition of a hosted tool."""
    fields = definition if isinstance(definition, Mapping) else {}
    return tuple(name[:40] for name, value in fields.items() if value is not None and name not in _NON_SETTING_FIELDS)


def format_omission_note(field_path: str, type_: Any, reason: str) -> str:
    """Return the note for a tool that the gateway omits."""
    return f"{field_path}: omitted a tool of type {str(type_)[:40]!r} ({reason})"


def select_hosted_tools(
    hosted_tools: Sequence[HostedTool], client_tools: Sequence[ToolDefinition], notes: list[str]
) -> tuple[HostedTool, ...]:
    """Return the hosted tools that the gateway replaces with built-in tools, if the request has no client tools.

    A Claude Code process has built-in tools or client tools, but never both. If the request has client tools, the
    result is empty, and the function adds a note for the client about each hosted tool.
    """
    if client_tools:
        notes += [
            format_omission_note(tool.field_path, tool.name, "the request has client tools, too")
            for tool in hosted_tools
        ]
        return ()
    return tuple(hosted_tools)
