"""Rules that allow or deny the tool calls of agents. If no rule allows a call, the gateway denies the call. No I/O.

The sandbox and the CLI option `--restricted` already limit the files and hosts that a tool can reach. These rules are
an additional check.
"""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from workers.core.job import AgentOptions

_WRITE_TOOLS = {"Write": "file_path", "Edit": "file_path", "NotebookEdit": "notebook_path"}
# Tools that change no files. TodoWrite changes only the list of tasks that the model keeps.
_READ_ONLY_TOOLS = frozenset({"Read", "Glob", "Grep", "TodoWrite", "Agent", "Skill", "WebSearch", "WebFetch"})
# Names of files and directories whose content other programs execute or trust.
_PROTECTED_NAMES = frozenset({".git", ".claude", ".mcp.json", ".vscode", ".idea", ".gitmodules", ".gitconfig"})


def find_denial_reason(request: Mapping[str, Any], agent_options: AgentOptions) -> str | None:
    """Return the reason why the gateway denies a `can_use_tool` request of the CLI, or None if it allows the request.

    The model reads the reason.
    """
    tool, arguments = str(request.get("tool_name")), request.get("input") or {}
    is_remote = tool in {remote_tool.name for remote_tool in agent_options.remote_tools}
    if tool not in agent_options.builtin_tools and not is_remote:
        return f"{tool} is not among the tools of this job."
    if tool in _READ_ONLY_TOOLS:
        return None
    if agent_options.plan_mode:
        return "This job only plans; nothing is carried out."
    if is_remote:
        return None
    if tool == "Bash":
        return "Commands run in the sandbox only." if arguments.get("dangerouslyDisableSandbox") else None
    if tool in _WRITE_TOOLS:
        path = PurePosixPath(str(arguments.get(_WRITE_TOOLS[tool])))
        if _PROTECTED_NAMES & set(path.parts):
            return f"{path.name}: settings of other programs are not changed by this job."
        return None
    return f"No rule of this gateway allows {tool}."
