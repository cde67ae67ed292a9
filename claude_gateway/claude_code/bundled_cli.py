"""Where the `claude` binary is, and which version of it this gateway was made for."""

import importlib.util
import re
from pathlib import Path

from claude_gateway.start_failed import StartFailed


def bundled_cli() -> Path:
    """The `claude` binary inside the claude-agent-sdk wheel, found without importing the SDK, which costs
    memory that this process needs for nothing else."""
    return _wheel() / "_bundled" / "claude"


def bundled_version() -> str:
    """The version of that binary, as its wheel says: the pin. "" where it does not say."""
    source = (_wheel() / "_cli_version.py").read_text()
    found = re.search(r'__cli_version__ = "([^"]+)"', source)
    return found[1] if found else ""


def _wheel() -> Path:
    spec = importlib.util.find_spec("claude_agent_sdk")
    if spec is None or not spec.submodule_search_locations:
        raise StartFailed("claude-agent-sdk is not installed; run `make setup`.")
    return Path(spec.submodule_search_locations[0])
