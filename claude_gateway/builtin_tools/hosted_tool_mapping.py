"""Maps hosted tools to Claude's built-in tools. Another provider would run a hosted tool on its servers. No I/O."""

from collections.abc import Iterator, Mapping, Sequence

from claude_gateway.builtin_tools.catalog import (
    BUILTIN_TOOLS_BY_NAME,
    DEFAULT_TOOLS,
    ToolChoices,
    first_allowed,
    first_disallowed,
)
from claude_gateway.dialects.common.tools.hosted_tools import HostedTool, HostedToolKind, format_omission_note

# Built-in tools for each kind of hosted tool. The first tool is required. Jobs with a code tool also get the file
# tools, because commands can reach the same files anyway, and because spare workers with the default tools are already
# running.
_BUILTIN_TOOLS_BY_KIND: Mapping[HostedToolKind, tuple[str, ...]] = {
    "search": ("WebSearch",),
    "fetch": ("WebFetch",),
    "code": ("Bash", *(name for name in DEFAULT_TOOLS if name != "Bash")),
}


def map_hosted_tools(
    hosted: Sequence[HostedTool], choices: Sequence[ToolChoices], *, no_commands_reason: str
) -> tuple[tuple[str, ...], list[str]]:
    """Return the built-in tools that replace the hosted tools, and a note for each hosted tool.

    If the tool choices exclude the built-in tool, or if jobs cannot use it, the function omits the hosted tool.

    Args:
        hosted: Hosted tools of the request.
        choices: Tool choices of all sources, the most specific source first.
        no_commands_reason: Reason why jobs cannot run commands; "" if they can.
    """
    names: list[str] = []
    notes: list[str] = []
    for hosted_tool in hosted:
        first, *others = _BUILTIN_TOOLS_BY_KIND[hosted_tool.kind]
        reason = _unavailable_reason(first, choices, no_commands_reason)
        if reason:
            notes.append(format_omission_note(hosted_tool.field_path, hosted_tool.name, f"{first}: {reason}"))
            continue
        names += [first, *(name for name in others if not _unavailable_reason(name, choices, no_commands_reason))]
        notes += _mapping_note(hosted_tool, first)
    return tuple(dict.fromkeys(names)), notes


def _unavailable_reason(name: str, choices: Sequence[ToolChoices], no_commands_reason: str) -> str:
    allowed = first_allowed(choices)
    if name in first_disallowed(choices) or (allowed is not None and name not in allowed):
        return "the tool configuration or a header excludes it"
    return BUILTIN_TOOLS_BY_NAME[name].unavailable_reason or (no_commands_reason if name == "Bash" else "")


def _mapping_note(hosted: HostedTool, builtin_name: str) -> Iterator[str]:
    ignored = f" (without {', '.join(hosted.ignored_settings)})" if hosted.ignored_settings else ""
    yield f"{hosted.field_path}: changed {hosted.name[:40]!r} to Claude's built-in tool {builtin_name}{ignored}"
