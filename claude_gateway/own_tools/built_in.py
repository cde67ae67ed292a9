"""Claude's own tools: which there are, which a job gets, by what its caller and the configuration say. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from claude_gateway.prompt.conversation import bad
from claude_gateway.prompt.numbers import read_number
from workers.job import ToolWork

Mode = Literal["default", "acceptEdits", "bypassPermissions", "plan"]
MODES: tuple[Mode, ...] = ("default", "acceptEdits", "bypassPermissions", "plan")
USUAL = ("Bash", "Edit", "Glob", "Grep", "Read", "Write")
_REMOTE = re.compile(r"mcp__[a-zA-Z0-9_-]{1,123}\*?")
_MOST_TURNS = 1_000
_MOST_THINKING = 128_000


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """`cli` is what the installed CLI calls it, "" for what it has not; `missing` why it is not to be had."""

    name: str
    category: str
    description: str
    parameters: Mapping[str, str]
    example: Mapping[str, Any]
    cli: str = ""
    is_safe: bool = False
    requires_network: bool = False
    missing: str = ""


_NO_BACKGROUND = "commands do not run in the background here: nothing outlives its job"
_NO_FETCH = "it would reach private addresses from the gateway's own network"
CATALOGUE: tuple[BuiltIn, ...] = (
    BuiltIn(
        "Read",
        "file",
        "Reads a file of the session's directory.",
        {"file_path": "string", "offset": "integer", "limit": "integer"},
        {"file_path": "data.csv"},
        "Read",
        is_safe=True,
    ),
    BuiltIn(
        "Write",
        "file",
        "Writes a file of the session's directory.",
        {"file_path": "string", "content": "string"},
        {"file_path": "notes.md", "content": "# Notes"},
        "Write",
    ),
    BuiltIn(
        "Edit",
        "file",
        "Replaces a text in a file.",
        {"file_path": "string", "old_string": "string", "new_string": "string", "replace_all": "boolean"},
        {"file_path": "a.py", "old_string": "foo", "new_string": "bar"},
        "Edit",
    ),
    BuiltIn(
        "Glob",
        "file",
        "Finds files by a pattern of their names.",
        {"pattern": "string", "path": "string"},
        {"pattern": "**/*.py"},
        "Glob",
        is_safe=True,
    ),
    BuiltIn(
        "Grep",
        "file",
        "Searches in files with a regular expression.",
        {"pattern": "string", "path": "string", "glob": "string", "output_mode": "string"},
        {"pattern": "TODO"},
        "Grep",
        is_safe=True,
    ),
    BuiltIn(
        "NotebookEdit",
        "file",
        "Changes a cell of a Jupyter notebook.",
        {"notebook_path": "string", "cell_id": "string", "new_source": "string", "edit_mode": "string"},
        {"notebook_path": "a.ipynb", "new_source": "1 + 1"},
        "NotebookEdit",
    ),
    BuiltIn(
        "Bash",
        "system",
        "Runs a command in a sandbox: the session's directory, no network.",
        {"command": "string", "timeout": "integer", "description": "string"},
        {"command": "python3 plot.py"},
        "Bash",
    ),
    BuiltIn(
        "BashOutput",
        "system",
        "Reads what a command in the background has written.",
        {"bash_id": "string"},
        {"bash_id": "1"},
        missing=_NO_BACKGROUND,
    ),
    BuiltIn(
        "KillShell",
        "system",
        "Ends a command in the background.",
        {"shell_id": "string"},
        {"shell_id": "1"},
        "TaskStop",
        missing=_NO_BACKGROUND,
    ),
    BuiltIn(
        "WebFetch",
        "web",
        "Reads a page of the web.",
        {"url": "string", "prompt": "string"},
        {"url": "https://example.com", "prompt": "Summarise"},
        "WebFetch",
        requires_network=True,
        missing=_NO_FETCH,
    ),
    BuiltIn(
        "WebSearch",
        "web",
        "Searches the web, on Anthropic's side.",
        {"query": "string", "allowed_domains": "array", "blocked_domains": "array"},
        {"query": "aiohttp release"},
        "WebSearch",
        is_safe=True,
        requires_network=True,
    ),
    BuiltIn(
        "TodoWrite",
        "productivity",
        "Keeps a list of what is to be done.",
        {"todos": "array"},
        {"todos": []},
        is_safe=True,
        missing="the installed Claude Code has no such tool",
    ),
    BuiltIn(
        "Skill",
        "advanced",
        "Follows one of Claude Code's own instructions.",
        {"skill": "string"},
        {"skill": "name"},
        "Skill",
        missing="no skills are installed for jobs",
    ),
    BuiltIn(
        "Task",
        "advanced",
        "Has a second Claude do a part of the work, with the same tools.",
        {"description": "string", "prompt": "string", "subagent_type": "string"},
        {"description": "Look around", "prompt": "List the files", "subagent_type": "general-purpose"},
        "Agent",
    ),
)
BY_NAME = {tool.name: tool for tool in CATALOGUE} | {tool.cli: tool for tool in CATALOGUE if tool.cli}


@dataclass(frozen=True, slots=True)
class ToolChoices:
    """What one source says; None where it says nothing."""

    allowed: tuple[str, ...] | None = None
    disallowed: tuple[str, ...] | None = None
    mode: Mode | None = None
    max_turns: int | None = None
    max_thinking: int | None = None


NOTHING = ToolChoices()


def read_names(names: Sequence[str], where: str) -> tuple[str, ...]:
    """Names of the catalogue, or of the CLI, or what may be one of an MCP server: those come and go. Raises `ApiError`
    400 for any other."""
    found = []
    for name in names:
        tool = BY_NAME.get(name.strip())
        if tool is None and is_remote(name.strip()):
            found.append(name.strip())
            continue
        if tool is None:
            raise bad(where, f"there is no tool {name.strip()[:60]!r}; GET /v1/tools lists those that there are")
        found.append(tool.name)
    return tuple(dict.fromkeys(found))


def read_headers(headers: Mapping[str, str]) -> ToolChoices:
    """The `X-Claude-…` headers. Raises `ApiError` 400 for what they cannot mean."""
    mode = headers.get("X-Claude-Permission-Mode")
    if mode is not None and mode not in MODES:
        raise bad("X-Claude-Permission-Mode", f"must be one of {', '.join(MODES)}")
    return ToolChoices(
        allowed=_names(headers, "X-Claude-Allowed-Tools"),
        disallowed=_names(headers, "X-Claude-Disallowed-Tools"),
        mode=next((known for known in MODES if known == mode), None),
        max_turns=_number(headers, "X-Claude-Max-Turns", 1, _MOST_TURNS),
        max_thinking=_number(headers, "X-Claude-Max-Thinking-Tokens", 0, _MOST_THINKING),
    )


def is_remote(name: str) -> bool:
    """Whether it means a tool of an MCP server, or all of one."""
    return _REMOTE.fullmatch(name) is not None


def allowed_by(choices: Sequence[ToolChoices]) -> tuple[str, ...] | None:
    """None where none of them says anything."""
    return next((one.allowed for one in choices if one.allowed is not None), None)


def barred_by(choices: Sequence[ToolChoices]) -> tuple[str, ...]:
    return next((one.disallowed for one in choices if one.disallowed is not None), ())


def choose(choices: Sequence[ToolChoices], *, commands: str = "") -> tuple[ToolWork, int | None, list[str]]:
    """The work with the tools that remain, its thinking budget, and what was left out; the first of the `choices` that
    says something decides, each thing by itself. `commands` is why none can be run, "" where they can."""
    allowed = allowed_by(choices)
    barred = barred_by(choices)
    notes, names = [], []
    for name in USUAL if allowed is None else allowed:
        if is_remote(name):
            continue
        tool = BY_NAME[name]
        missing = tool.missing or (commands if name == "Bash" else "")
        if name in barred:
            continue
        if missing:
            notes.append(f"{name}: left out, {missing}")
        else:
            names.append(tool.cli)
    mode = next((one.mode for one in choices if one.mode), "default")
    work = ToolWork(
        tools=tuple(sorted(names)),
        max_turns=next((one.max_turns for one in choices if one.max_turns), None),
        plan=mode == "plan",
    )
    return work, next((one.max_thinking for one in choices if one.max_thinking is not None), None), notes


def _names(headers: Mapping[str, str], name: str) -> tuple[str, ...] | None:
    if name not in headers:
        return None
    return read_names([each for each in headers[name].split(",") if each.strip()], name)


def _number(headers: Mapping[str, str], name: str, least: int, most: int) -> int | None:
    sent = headers.get(name)
    return None if sent is None else read_number(sent, name, least, most)
