"""Where the `claude` binary is."""

import importlib.util
from pathlib import Path

from claude_gateway.start_failed import StartFailed


def bundled_cli() -> Path:
    """The `claude` binary inside the claude-agent-sdk wheel, found without importing the SDK, which costs
    memory that this process needs for nothing else."""
    spec = importlib.util.find_spec("claude_agent_sdk")
    if spec is None or not spec.submodule_search_locations:
        raise StartFailed("claude-agent-sdk is not installed; run `make setup`.")
    return Path(spec.submodule_search_locations[0]) / "_bundled" / "claude"
