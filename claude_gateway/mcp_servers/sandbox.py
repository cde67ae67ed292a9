"""Builds the mounts, the environment and the resource limits of the sandbox for stdio MCP servers. No I/O.

In the sandbox, a server sees the programs of the system, its own directory, and the paths that the operator lists for
all servers. It sees neither the files of the gateway nor other processes. It uses the network of the gateway, because
most stdio servers need a network.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from claude_gateway.mcp_servers.models import StdioConfig
from workers.sandbox.bubblewrap import (
    SYSTEM_MOUNTS,
    Mount,
    build_bwrap_command,
    build_process_limits,
    build_sandbox_limits,
)

SANDBOX_HOME = "/home/server"
_SANDBOX_TMP = "/tmp"  # noqa: S108 - a private tmpfs inside the sandbox
_MAX_FILE_BYTES = 2**30
# Exit statuses of `prlimit` if the program is not executable or does not exist.
START_FAILURE_STATUSES = (126, 127)


@dataclass(frozen=True, slots=True)
class McpSandbox:
    """Settings of the sandbox in which each stdio server runs.

    Attributes:
        uid: Id of the user as which the server runs if the gateway runs as root; None if the gateway does not run as
            root.
        max_process_bytes: Memory that one process may allocate.
        readable_paths: Host paths that servers may read.
        writable_paths: Host paths that servers may read and write.
        hidden_paths: Directories within the readable and writable paths that servers must not see.
    """

    uid: int | None
    max_process_bytes: int
    readable_paths: tuple[str, ...] = ()
    writable_paths: tuple[str, ...] = ()
    hidden_paths: tuple[str, ...] = ()


def server_sandbox_command(sandbox: McpSandbox, command: Sequence[str], server_dir: Path) -> tuple[str, ...]:
    """Return the command line that runs a server in the sandbox. The server's home directory is `server_dir`."""
    limits = (*build_sandbox_limits(_MAX_FILE_BYTES), *build_process_limits(sandbox.max_process_bytes))
    limited_command = ("prlimit", *limits, "--", *command)
    tmp, home = Mount(None, _SANDBOX_TMP, writable=True), Mount(str(server_dir), SANDBOX_HOME, writable=True)
    mounts = (*SYSTEM_MOUNTS, tmp, *_sandbox_mounts(sandbox), home)
    return build_bwrap_command(sandbox.uid, mounts, (), ("--chdir", SANDBOX_HOME), limited_command)


def build_server_env(config: StdioConfig, home_dir: str, search_path: str) -> dict[str, str]:
    """Return the complete environment of a server process."""
    return {**config.env, "PATH": search_path, "HOME": home_dir, "USER": "server", "LANG": "C.UTF-8"}


def _sandbox_mounts(sandbox: McpSandbox) -> Iterator[Mount]:
    """Yield the mounts, with each directory before the directories in it.

    Otherwise the mount of an outer directory would cover the mounts of the directories in it.
    """
    mounts = [Mount(path, path) for path in sandbox.readable_paths] + [
        Mount(path, path, writable=True) for path in sandbox.writable_paths
    ]
    yield from sorted(mounts, key=lambda mount: mount.target)
    yield from (Mount(None, path) for path in sandbox.hidden_paths)
