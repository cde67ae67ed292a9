"""What Claude may do with its own tools when the CLI asks: decided by rule, and refused where no rule allows. Pure.

What a tool reaches is bounded by the sandbox and by `--restricted`; this is the fence before them.
"""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from workers.job import ToolWork

_CHANGES = {"Write": "file_path", "Edit": "file_path", "NotebookEdit": "notebook_path"}
# They only look, or only at Claude's own notes.
_LOOKS = frozenset({"Read", "Glob", "Grep", "TodoWrite", "Agent", "Skill", "WebSearch", "WebFetch"})
# What other programs run or trust.
_TRUSTED_NAMES = frozenset({".git", ".claude", ".mcp.json", ".vscode", ".idea", ".gitmodules", ".gitconfig"})


def refusal(request: Mapping[str, Any], work: ToolWork) -> str | None:
    """Why a `can_use_tool` request is refused, in words for the model; None where it is allowed."""
    tool, arguments = str(request.get("tool_name")), request.get("input") or {}
    remote = tool in {one.name for one in work.remote}
    if tool not in work.tools and not remote:
        return f"{tool} is not among the tools of this job."
    if tool in _LOOKS:
        return None
    if work.plan:
        return "This job only plans; nothing is carried out."
    if remote:
        return None
    if tool == "Bash":
        return "Commands run in the sandbox only." if arguments.get("dangerouslyDisableSandbox") else None
    if tool in _CHANGES:
        path = PurePosixPath(str(arguments.get(_CHANGES[tool])))
        if _TRUSTED_NAMES & set(path.parts):
            return f"{path.name}: settings of other programs are not changed by this job."
        return None
    return f"No rule of this gateway allows {tool}."
