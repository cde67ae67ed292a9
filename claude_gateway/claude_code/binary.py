"""Finds the path and the version of the `claude` binary for which this gateway was made."""

import importlib.util
import re
from pathlib import Path

from claude_gateway.core.errors import StartupError


def find_bundled_binary() -> Path:
    """Return the path of the `claude` binary inside the claude-agent-sdk wheel.

    The function does not import the SDK, because the gateway uses nothing else from it and an import takes memory.
    """
    return _find_sdk_directory() / "_bundled" / "claude"


def read_bundled_version() -> str:
    """Return the CLI version that the claude-agent-sdk wheel states for its binary; "" if the wheel states no version.

    This is the pinned version, for which the gateway was made.
    """
    source = (_find_sdk_directory() / "_cli_version.py").read_text()
    match = re.search(r'__cli_version__ = "([^"]+)"', source)
    return match[1] if match else ""


def _find_sdk_directory() -> Path:
    spec = importlib.util.find_spec("claude_agent_sdk")
    if spec is None or not spec.submodule_search_locations:
        raise StartupError("claude-agent-sdk is not installed; run `make setup`.")
    return Path(spec.submodule_search_locations[0])
