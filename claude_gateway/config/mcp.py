"""Settings for the registration, the sandbox and the limits of MCP servers."""

from typing import Literal

from pydantic import Field, field_validator

from claude_gateway.config.base import SettingsGroup
from claude_gateway.mcp_servers.limits import McpLimits
from claude_gateway.mcp_servers.policy import RegistrationPolicy, parse_allowed_commands
from claude_gateway.mcp_servers.sandbox import McpSandbox


class McpSettings(SettingsGroup):
    """Registration policy, sandbox and limits of MCP servers.

    By default, clients cannot register commands, and registered servers cannot have private addresses.
    """

    mcp_allowed_commands: str = Field(
        "",
        description="Command lines that keys with the scope `mcp` may register as MCP servers, separated by newlines "
        "or `;`. A registered command must be equal to an entry; an entry that ends in ` *` allows any further "
        "arguments.",
    )
    mcp_allowed_env: str = Field(
        "",
        description="Environment variables that registrations may set for MCP server processes, in addition to "
        "`…_KEY`, `…_TOKEN`, `…_SECRET`, `…_PASSWORD`, `…_ID` and `…_USER`: names or patterns with `*`, separated by "
        "commas. Variables that select the code to load (`LD_…`, `PYTHON…`, `NODE_…`, `PATH`, …) are never allowed.",
    )
    mcp_sandbox: Literal["required", "if-possible", "off"] = Field(
        "required",
        description="Whether MCP server processes run in a bubblewrap sandbox: `required` (without a sandbox they do "
        "not run), `if-possible` or `off`.",
    )
    mcp_readable_paths: str = Field(
        "",
        description="Absolute paths of files and directories that MCP server processes can read in their sandbox, in "
        "addition to the system's (`/usr`), separated by `:`.",
    )
    mcp_writable_paths: str = Field(
        "",
        description="Absolute paths that MCP server processes can also write in their sandbox, separated by `:`. Each "
        "server always has its own writable home directory.",
    )
    max_mcp_process_memory_mib: int = Field(
        2_048, ge=64, description="Maximum memory that one process of an MCP server can allocate, in MiB."
    )
    mcp_allow_private_addresses: bool = Field(
        False,
        description="Allow MCP servers at `http:` URLs, at ports other than 443, and at addresses that are not public, "
        "including this machine and its network.",
    )
    max_mcp_servers_per_key: int = Field(16, ge=0, le=1_000, description="Maximum number of MCP servers of a key.")
    max_mcp_tools_per_server: int = Field(
        128,
        ge=1,
        le=1_000,
        description="Maximum number of tools of an MCP server; the gateway omits further ones.",
    )
    mcp_connect_timeout_seconds: float = Field(
        30.0, gt=0, description="Timeout for the start of an MCP server, its handshake and the list of its tools."
    )
    mcp_call_timeout_seconds: float = Field(
        60.0, gt=0, description="Timeout of a call to an MCP server; after it, the model is told that the call failed."
    )
    max_mcp_message_mib: int = Field(
        8, ge=1, le=64, description="Maximum size of a message of an MCP server; a larger one ends the connection."
    )

    @field_validator("mcp_allowed_commands", mode="after")
    @classmethod
    def _check_allowed_commands(cls, value: str) -> str:
        parse_allowed_commands(value)
        return value

    @field_validator("mcp_readable_paths", "mcp_writable_paths", mode="after")
    @classmethod
    def _check_sandbox_paths(cls, value: str) -> str:
        for path in _parse_paths(value):
            if not path.startswith("/") or path == "/" or ".." in path.split("/"):
                raise ValueError(f"{path!r} is not an absolute path below /")
        return value

    def build_mcp_sandbox(self, uid: int | None) -> McpSandbox | None:
        """Return the sandbox settings for the processes of MCP servers; None if the sandbox is off.

        Args:
            uid: User id of the processes if the gateway runs as root; None keeps the user of the gateway.
        """
        if self.mcp_sandbox == "off":
            return None
        return McpSandbox(
            uid=uid,
            max_process_bytes=self.max_mcp_process_memory_mib * 2**20,
            readable_paths=_parse_paths(self.mcp_readable_paths),
            writable_paths=_parse_paths(self.mcp_writable_paths),
        )

    def mcp_policy(self) -> RegistrationPolicy:
        """Return the policy for the registration of MCP servers."""
        return RegistrationPolicy(
            allowed_commands=parse_allowed_commands(self.mcp_allowed_commands),
            allowed_variables=tuple(name.strip() for name in self.mcp_allowed_env.split(",") if name.strip()),
            allow_private_addresses=self.mcp_allow_private_addresses,
        )

    def mcp_limits(self) -> McpLimits:
        """Return the limits on the MCP servers of a key."""
        return McpLimits(
            max_servers=self.max_mcp_servers_per_key,
            max_tools=self.max_mcp_tools_per_server,
            connect_timeout_seconds=self.mcp_connect_timeout_seconds,
            call_timeout_seconds=self.mcp_call_timeout_seconds,
            max_message_bytes=self.max_mcp_message_mib * 2**20,
        )


def _parse_paths(value: str) -> tuple[str, ...]:
    return tuple(path.rstrip("/") or "/" for path in value.split(":") if path)
