"""Catalog of Claude Code's built-in tools, and the rules that select the tools of a job. No I/O."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from claude_gateway.core.errors import bad_request
from claude_gateway.dialects.common.parameters.numbers import parse_integer
from workers.core.job import AgentOptions

PermissionMode = Literal["default", "acceptEdits", "bypassPermissions", "plan"]
PERMISSION_MODES: tuple[PermissionMode, ...] = ("default", "acceptEdits", "bypassPermissions", "plan")
DEFAULT_TOOLS = ("Bash", "Edit", "Glob", "Grep", "Read", "Write")
_MCP_TOOL_NAME = re.compile(r"mcp__[a-zA-Z0-9_-]{1,123}\*?")
_MAX_TURNS = 1_000
_MAX_THINKING_TOKENS = 128_000


@dataclass(frozen=True, slots=True)
class BuiltinTool:
    """A built-in tool of Claude Code as `GET /v1/tools` lists it.

    Attributes:
        name: Name of the tool in the API.
        category: Group of the tool (file, system, web, productivity or advanced).
        description: One sentence for people.
        parameters: JSON type of each parameter, by the parameter's name.
        example: Arguments of a typical call.
        cli_name: Name of the tool in the installed CLI; "" if the CLI does not have it.
        is_safe: Whether the tool only reads data and changes nothing.
        requires_network: Whether the tool needs network access.
        unavailable_reason: Reason why no job gets the tool; "" if jobs may have it.
    """

    name: str
    category: str
    description: str
    parameters: Mapping[str, str]
    example: Mapping[str, Any]
    cli_name: str = ""
    is_safe: bool = False
    requires_network: bool = False
    unavailable_reason: str = ""


_NO_BACKGROUND_REASON = "commands cannot run in the background, because all processes of a job end with the job"
_NO_FETCH_REASON = "it could reach private addresses in the network of the gateway"
BUILTIN_TOOLS: tuple[BuiltinTool, ...] = (
    BuiltinTool(
        "Read",
        "file",
        "Reads a file of the session's directory.",
        {"file_path": "string", "offset": "integer", "limit": "integer"},
        {"file_path": "data.csv"},
        "Read",
        is_safe=True,
    ),
    BuiltinTool(
        "Write",
        "file",
        "Writes a file of the session's directory.",
        {"file_path": "string", "content": "string"},
        {"file_path": "notes.md", "content": "# Notes"},
        "Write",
    ),
    BuiltinTool(
        "Edit",
        "file",
        "Replaces a text in a file.",
        {"file_path": "string", "old_string": "string", "new_string": "string", "replace_all": "boolean"},
        {"file_path": "a.py", "old_string": "foo", "new_string": "bar"},
        "Edit",
    ),
    BuiltinTool(
        "Glob",
        "file",
        "Finds files by a name pattern.",
        {"pattern": "string", "path": "string"},
        {"pattern": "**/*.py"},
        "Glob",
        is_safe=True,
    ),
    BuiltinTool(
        "Grep",
        "file",
        "Searches in files with a regular expression.",
        {"pattern": "string", "path": "string", "glob": "string", "output_mode": "string"},
        {"pattern": "TODO"},
        "Grep",
        is_safe=True,
    ),
    BuiltinTool(
        "NotebookEdit",
        "file",
        "Changes a cell of a Jupyter notebook.",
        {"notebook_path": "string", "cell_id": "string", "new_source": "string", "edit_mode": "string"},
        {"notebook_path": "a.ipynb", "new_source": "1 + 1"},
        "NotebookEdit",
    ),
    BuiltinTool(
        "Bash",
        "system",
        "Runs a command in a sandbox that has the session's directory and no network.",
        {"command": "string", "timeout": "integer", "description": "string"},
        {"command": "python3 plot.py"},
        "Bash",
    ),
    BuiltinTool(
        "BashOutput",
        "system",
        "Reads the output of a background command.",
        {"bash_id": "string"},
        {"bash_id": "1"},
        unavailable_reason=_NO_BACKGROUND_REASON,
    ),
    BuiltinTool(
        "KillShell",
        "system",
        "Ends a background command.",
        {"shell_id": "string"},
        {"shell_id": "1"},
        "TaskStop",
        unavailable_reason=_NO_BACKGROUND_REASON,
    ),
    BuiltinTool(
        "WebFetch",
        "web",
        "Reads a web page.",
        {"url": "string", "prompt": "string"},
        {"url": "https://example.com", "prompt": "Summarise"},
        "WebFetch",
        requires_network=True,
        unavailable_reason=_NO_FETCH_REASON,
    ),
    BuiltinTool(
        "WebSearch",
        "web",
        "Searches the web; the search runs at Anthropic.",
        {"query": "string", "allowed_domains": "array", "blocked_domains": "array"},
        {"query": "aiohttp release"},
        "WebSearch",
        is_safe=True,
        requires_network=True,
    ),
    BuiltinTool(
        "TodoWrite",
        "productivity",
        "Keeps a to-do list.",
        {"todos": "array"},
        {"todos": []},
        is_safe=True,
        unavailable_reason="the installed Claude Code does not have this tool",
    ),
    BuiltinTool(
        "Skill",
        "advanced",
        "Follows the instructions of a Claude Code skill.",
        {"skill": "string"},
        {"skill": "name"},
        "Skill",
        unavailable_reason="no skills are installed for jobs",
    ),
    BuiltinTool(
        "Task",
        "advanced",
        "Gives a part of the work to a sub-agent that has the same tools.",
        {"description": "string", "prompt": "string", "subagent_type": "string"},
        {"description": "Look around", "prompt": "List the files", "subagent_type": "general-purpose"},
        "Agent",
    ),
)
BUILTIN_TOOLS_BY_NAME = {tool.name: tool for tool in BUILTIN_TOOLS} | {
    tool.cli_name: tool for tool in BUILTIN_TOOLS if tool.cli_name
}


@dataclass(frozen=True, slots=True)
class ToolChoices:
    """Tools and limits that one source selects. A source is the headers of a request, a session or a key.

    An attribute is None if the source does not select anything for it.
    """

    allowed: tuple[str, ...] | None = None
    disallowed: tuple[str, ...] | None = None
    permission_mode: PermissionMode | None = None
    max_turns: int | None = None
    max_thinking_tokens: int | None = None


NO_CHOICES = ToolChoices()


def parse_tool_names(names: Sequence[str], field_path: str) -> tuple[str, ...]:
    """Return tool names in the spelling of the catalog, without duplicates.

    The function also accepts the names that the CLI uses, and every name that a tool of an MCP server could have,
    because servers may connect later.

    Args:
        names: The names to parse.
        field_path: Name of the field or header, for the text of an error.

    Raises:
        ApiError: 400 if a name is not one of these names.
    """
    parsed = []
    for name in map(str.strip, names):
        tool = BUILTIN_TOOLS_BY_NAME.get(name)
        if tool is not None:
            parsed.append(tool.name)
        elif is_mcp_tool_name(name):
            parsed.append(name)
        else:
            raise bad_request(field_path, f"there is no tool {name[:60]!r}; GET /v1/tools lists the available tools")
    return tuple(dict.fromkeys(parsed))


def parse_tool_headers(headers: Mapping[str, str]) -> ToolChoices:
    """Parse the tool choices in the `X-Claude-…` headers.

    Raises:
        ApiError: 400 for an invalid value.
    """
    mode = headers.get("X-Claude-Permission-Mode")
    if mode is not None and mode not in PERMISSION_MODES:
        raise bad_request("X-Claude-Permission-Mode", f"must be one of {', '.join(PERMISSION_MODES)}")
    return ToolChoices(
        allowed=_parse_names_header(headers, "X-Claude-Allowed-Tools"),
        disallowed=_parse_names_header(headers, "X-Claude-Disallowed-Tools"),
        permission_mode=next((known for known in PERMISSION_MODES if known == mode), None),
        max_turns=_parse_number_header(headers, "X-Claude-Max-Turns", 1, _MAX_TURNS),
        max_thinking_tokens=_parse_number_header(headers, "X-Claude-Max-Thinking-Tokens", 0, _MAX_THINKING_TOKENS),
    )


def is_mcp_tool_name(name: str) -> bool:
    """Return whether the name can be the name of an MCP server's tool, or a pattern with `*` for several such tools."""
    return _MCP_TOOL_NAME.fullmatch(name) is not None


def first_allowed(choices: Sequence[ToolChoices]) -> tuple[str, ...] | None:
    """Return the allowed tools from the first source that chooses allowed tools; None if no source chooses them."""
    return next((source.allowed for source in choices if source.allowed is not None), None)


def first_disallowed(choices: Sequence[ToolChoices]) -> tuple[str, ...]:
    """Return the disallowed tools from the first source that chooses disallowed tools; () if no source chooses them."""
    return next((source.disallowed for source in choices if source.disallowed is not None), ())


def resolve_tools(
    choices: Sequence[ToolChoices], *, no_commands_reason: str = ""
) -> tuple[AgentOptions, int | None, list[str]]:
    """Select the tools and limits of a job. For each setting, the first source that makes a choice decides.

    Args:
        choices: Choices of all sources, the most specific source first.
        no_commands_reason: Reason why jobs cannot run commands; "" if they can.

    Returns:
        The agent options, the thinking budget in tokens (None if no source sets it), and a note for each requested
        tool that is unavailable.
    """
    allowed = first_allowed(choices)
    disallowed = first_disallowed(choices)
    notes, names = [], []
    for name in DEFAULT_TOOLS if allowed is None else allowed:
        if is_mcp_tool_name(name):
            continue
        tool = BUILTIN_TOOLS_BY_NAME[name]
        reason = tool.unavailable_reason or (no_commands_reason if name == "Bash" else "")
        if name in disallowed:
            continue
        if reason:
            notes.append(f"{name}: omitted ({reason})")
        else:
            names.append(tool.cli_name)
    mode = next((source.permission_mode for source in choices if source.permission_mode), "default")
    options = AgentOptions(
        builtin_tools=tuple(sorted(names)),
        max_turns=next((source.max_turns for source in choices if source.max_turns), None),
        plan_mode=mode == "plan",
    )
    budgets = (source.max_thinking_tokens for source in choices if source.max_thinking_tokens is not None)
    return options, next(budgets, None), notes


def _parse_names_header(headers: Mapping[str, str], header_name: str) -> tuple[str, ...] | None:
    if header_name not in headers:
        return None
    return parse_tool_names([name for name in headers[header_name].split(",") if name.strip()], header_name)


def _parse_number_header(headers: Mapping[str, str], header_name: str, minimum: int, maximum: int) -> int | None:
    value = headers.get(header_name)
    return None if value is None else parse_integer(value, header_name, minimum, maximum)
