"""MCP servers: what keys may register, and how much of it."""

from typing import Literal

from pydantic import Field, field_validator

from claude_gateway.config.group import Group
from claude_gateway.mcp_servers.bounds import Bounds
from claude_gateway.mcp_servers.program_box import ProgramBox
from claude_gateway.mcp_servers.rules import Rules, read_commands


class McpServers(Group):
    """Deny by default: no program is run and no private address is reached."""

    mcp_allowed_commands: str = Field(
        "",
        description="Command lines that keys with the scope `mcp` may register as MCP servers, one a line or with `;` "
        "between: each whole, to the letter, or ending in ` *` for any further arguments.",
    )
    mcp_allowed_env: str = Field(
        "",
        description="Variables that such programs may be given beside `…_KEY`, `…_TOKEN`, `…_SECRET`, `…_PASSWORD`, "
        "`…_ID`, `…_USER`: names with commas between, `*` for anything. What decides which code is loaded "
        "(`LD_…`, `PYTHON…`, `NODE_…`, `PATH`, …) never.",
    )
    mcp_box: Literal["required", "if-possible", "off"] = Field(
        "required",
        description="Programs run in a box of bubblewrap: `required`, or not at all; `if-possible`, or without; `off`.",
    )
    mcp_readable_paths: str = Field(
        "",
        description="Files and directories that programs see in their box, read-only, beside the system's (`/usr`): "
        "absolute, with `:` between.",
    )
    mcp_writable_paths: str = Field("", description="The same, which they may change. One home each they have anyway.")
    mcp_memory_mib: int = Field(
        2_048, ge=64, description="What one process of a program may allocate; it is refused more."
    )
    mcp_allow_private_addresses: bool = Field(
        False,
        description="Let MCP servers be at `http:` URLs, other ports, and addresses that are not public, this machine "
        "and its network included.",
    )
    mcp_servers_per_key: int = Field(16, ge=0, le=1_000, description="The most MCP servers of one key.")
    mcp_tools_per_server: int = Field(
        128, ge=1, le=1_000, description="The most tools taken from one MCP server; further ones are left out."
    )
    mcp_connect_seconds: float = Field(
        30.0, gt=0, description="How long an MCP server may take to start, shake hands and list what it has."
    )
    mcp_call_seconds: float = Field(
        60.0, gt=0, description="How long a call to an MCP server may take; then the model is told that it failed."
    )
    mcp_message_mib: int = Field(
        8, ge=1, le=64, description="The largest message of an MCP server; a larger one ends the connection."
    )

    @field_validator("mcp_allowed_commands", mode="after")
    @classmethod
    def _lines(cls, value: str) -> str:
        read_commands(value)
        return value

    @field_validator("mcp_readable_paths", "mcp_writable_paths", mode="after")
    @classmethod
    def _paths(cls, value: str) -> str:
        for path in _read_paths(value):
            if not path.startswith("/") or path == "/" or ".." in path.split("/"):
                raise ValueError(f"{path!r} is no absolute path below /")
        return value

    def mcp_program_box(self, user: int | None) -> ProgramBox | None:
        """`user`: whom a gateway that runs as root becomes in it."""
        if self.mcp_box == "off":
            return None
        return ProgramBox(
            user=user,
            largest_process=self.mcp_memory_mib * 2**20,
            readable=_read_paths(self.mcp_readable_paths),
            writable=_read_paths(self.mcp_writable_paths),
        )

    def mcp_rules(self) -> Rules:
        return Rules(
            commands=read_commands(self.mcp_allowed_commands),
            variables=tuple(name.strip() for name in self.mcp_allowed_env.split(",") if name.strip()),
            private_addresses=self.mcp_allow_private_addresses,
        )

    def mcp_bounds(self) -> Bounds:
        return Bounds(
            servers=self.mcp_servers_per_key,
            tools=self.mcp_tools_per_server,
            connect_seconds=self.mcp_connect_seconds,
            call_seconds=self.mcp_call_seconds,
            message_bytes=self.mcp_message_mib * 2**20,
        )


def _read_paths(value: str) -> tuple[str, ...]:
    return tuple(path.rstrip("/") or "/" for path in value.split(":") if path)
