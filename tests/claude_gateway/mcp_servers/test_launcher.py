"""Sandboxes of stdio servers, and servers without one."""

from pathlib import Path

import pytest

from claude_gateway.mcp_servers.connection import ServerUnavailable
from claude_gateway.mcp_servers.launcher import ServerLauncher
from claude_gateway.mcp_servers.models import StdioConfig
from claude_gateway.mcp_servers.sandbox import McpSandbox

CONFIG = StdioConfig(("search", "--all"), {"SEARCH_TOKEN": "secret"})
SANDBOX = McpSandbox(
    None, max_process_bytes=2**30, readable_paths=("/srv/search",), writable_paths=("/srv/search/data",)
)


@pytest.fixture
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


async def test_starts_server_without_sandbox_if_disabled(tmp_path: Path) -> None:
    command, env = await ServerLauncher(tmp_path).build_command(CONFIG, tmp_path)

    assert command == CONFIG.command
    assert env["HOME"] == str(tmp_path)
    assert env["SEARCH_TOKEN"] == "secret"


@pytest.mark.usefixtures("nothing_installed")
async def test_refuses_to_start_server_if_the_sandbox_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(ServerUnavailable, match=r"only in a sandbox.*bwrap"):
        await ServerLauncher(tmp_path, SANDBOX).build_command(CONFIG, tmp_path)


@pytest.mark.usefixtures("nothing_installed")
async def test_starts_server_without_sandbox_if_the_operator_allows_it(tmp_path: Path) -> None:
    command, _ = await ServerLauncher(tmp_path, SANDBOX, require_sandbox=False).build_command(CONFIG, tmp_path)

    assert command == CONFIG.command
