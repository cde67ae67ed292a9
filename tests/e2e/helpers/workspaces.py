"""Find the files of built-in tools in the workspaces of a gateway."""

from pathlib import Path

WORKSPACES_DIR_NAME = ".claude-gateway-workspaces"


def find_in_workspaces(state_dir: Path, pattern: str) -> list[Path]:
    """Return the paths in all workspaces that match a glob pattern."""
    workspaces = state_dir / WORKSPACES_DIR_NAME
    assert workspaces.is_dir(), "the gateway keeps its workspaces elsewhere"
    return list(workspaces.glob(f"*/{pattern}"))
