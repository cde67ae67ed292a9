"""Prepares the commands and directories of stdio MCP servers.

Each server runs in a sandbox with its own directory. The directory still exists after the server's process has ended.
If the gateway process is killed, the next gateway process uses a PID file to end the server.
"""

import asyncio
import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from claude_gateway.mcp_servers.connection import ServerUnavailable
from claude_gateway.mcp_servers.models import StdioConfig
from claude_gateway.mcp_servers.sandbox import SANDBOX_HOME, McpSandbox, build_server_env, server_sandbox_command
from workers.host.directory_names import hash_directory_name
from workers.host.directory_remover import DirectoryRemover
from workers.host.process_dirs import ProcessDirectories
from workers.sandbox import bubblewrap, probe

_log = logging.getLogger(__name__)

_SERVER_DIRS = "homes"
_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"

# The command line and the complete environment of a server process.
ServerCommand = tuple[tuple[str, ...], dict[str, str]]


class ServerLauncher:
    """Builds the commands of stdio MCP servers and manages their directories. Blocking calls run in threads.

    Args:
        base_dir: Directory that holds the server directories and the PID files.
        sandbox: Sandbox in which the servers run; None if they run without a sandbox.
        require_sandbox: Whether to refuse a server if the gateway cannot create the sandbox.
        secret_dirs: Directories that no server may see in its sandbox.
    """

    def __init__(
        self,
        base_dir: Path,
        sandbox: McpSandbox | None = None,
        *,
        require_sandbox: bool = True,
        secret_dirs: Sequence[Path] = (),
    ) -> None:
        self._base_dir = base_dir
        self._secret_dirs = secret_dirs
        self._sandbox = sandbox
        self._require_sandbox = require_sandbox
        self._is_sandbox_available = False
        self.process_dirs = ProcessDirectories(base_dir)
        self._remover = DirectoryRemover(base_dir)

    async def open(self) -> None:
        """Lock the base directory, and end the servers that a killed gateway process left running.

        Raises:
            OSError: The gateway cannot use the directory.
            StateDirectoryInUse: Another gateway uses the directory.
            UnsafeDirectory: Another user could write to the directory.
        """
        await self.process_dirs.open()
        await asyncio.to_thread(self._remover.open)
        if self._sandbox is not None:
            self._sandbox = await asyncio.to_thread(_hide_secret_dirs, self._sandbox, self._secret_dirs)

    def close(self) -> None:
        """Release the lock on the base directory, and stop the removal of directories."""
        self._remover.close()
        self.process_dirs.close()

    async def make_server_dir(self, key_id: str, server_name: str) -> Path:
        """Return the directory of a server, and create it if necessary."""
        uid = self._sandbox.uid if self._sandbox else None
        return await asyncio.to_thread(_create_server_dir, self._server_dir_path(key_id, server_name), uid)

    async def build_command(self, config: StdioConfig, server_dir: Path) -> ServerCommand:
        """Return the command and the environment of a server process.

        Raises:
            ServerUnavailable: The sandbox is required, but the gateway cannot create it.
        """
        path = os.environ.get("PATH", _DEFAULT_PATH)
        if self._sandbox is not None:
            problem = await self.sandbox_unavailable_reason(server_dir)
            if problem is None:
                return server_sandbox_command(self._sandbox, config.command, server_dir), build_server_env(
                    config, SANDBOX_HOME, path
                )
            if self._require_sandbox:
                raise ServerUnavailable(f"servers run only in a sandbox, and it cannot be created: {problem}")
            _log.warning("an MCP server runs without a sandbox: %s", problem)
        return config.command, build_server_env(config, str(server_dir), path)

    async def sandbox_unavailable_reason(self, server_dir: Path) -> str | None:
        """Return the reason why the gateway cannot create the sandbox; None if the gateway can create it."""
        if self._sandbox is None:
            return "MCP_SANDBOX is off"
        if not self._is_sandbox_available:
            problem = await probe.find_program_problem(bubblewrap.list_bubblewrap_programs(self._sandbox.uid))
            problem = problem or await probe.run_probe(server_sandbox_command(self._sandbox, ("true",), server_dir))
            if problem is not None:
                return problem
            self._is_sandbox_available = True
        return None

    async def remove(self, key_id: str, server_name: str) -> None:
        """Remove the directory of a server with all its contents."""
        await asyncio.to_thread(self._remover.remove, self._server_dir_path(key_id, server_name))

    def _server_dir_path(self, key_id: str, server_name: str) -> Path:
        return self._base_dir / _SERVER_DIRS / hash_directory_name(key_id, server_name)


def _hide_secret_dirs(sandbox: McpSandbox, secret_dirs: Sequence[Path]) -> McpSandbox:
    """Return a sandbox that hides the secret directories within its mounted paths.

    The function resolves symlinks before it compares the paths.
    """
    hidden_paths = []
    for mounted in map(Path, (*sandbox.readable_paths, *sandbox.writable_paths)):
        resolved = mounted.resolve()
        secrets = (path.resolve() for path in secret_dirs if path.is_dir())
        hidden_paths += [str(mounted / path.relative_to(resolved)) for path in secrets if path.is_relative_to(resolved)]
    return replace(sandbox, hidden_paths=tuple(hidden_paths))


def _create_server_dir(server_dir: Path, uid: int | None) -> Path:
    server_dir.parent.mkdir(mode=0o700, exist_ok=True)
    server_dir.mkdir(mode=0o700, exist_ok=True)
    if uid is not None and server_dir.stat().st_uid != uid:
        _chown_tree(server_dir, uid)
    return server_dir


def _chown_tree(directory_path: Path, uid: int) -> None:
    """Set the user of a directory, and of all files in it that a server created as another user."""
    for directory, _, files in os.walk(directory_path, topdown=False):
        for path in (*(Path(directory, name) for name in files), Path(directory)):
            os.chown(path, uid, uid, follow_symlinks=False)
