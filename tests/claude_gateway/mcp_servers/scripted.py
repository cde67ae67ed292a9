"""Scripted MCP servers and sessions, for tests that do not need the protocol."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from claude_gateway.mcp_servers.catalog import McpTool, ServerCatalog, error_result
from claude_gateway.mcp_servers.connection import ServerExceededLimit, ServerUnavailable
from claude_gateway.mcp_servers.limits import McpLimits
from claude_gateway.mcp_servers.manager import McpServerManager
from claude_gateway.mcp_servers.models import McpServer
from claude_gateway.mcp_servers.policy import RegistrationPolicy
from workers.core.job import RemoteToolResult, Text, ToolDefinition


def make_catalog(*names: str) -> ServerCatalog:
    tools = tuple(McpTool(name, ToolDefinition(f"mcp__lib__{name}", "", {"type": "object"})) for name in names)
    return ServerCatalog(tools, resource_count=3, prompt_count=2)


async def allow_any_key(key_id: str) -> bool:
    """Let every key use MCP servers."""
    return True


def create_empty_manager() -> McpServerManager:
    return McpServerManager(None, RegistrationPolicy(), McpLimits(), None, None)  # type: ignore[arg-type]


@dataclass
class ScriptedServer:
    """An MCP server that behaves as its attributes say.

    Each handshake takes the next item of `handshake_faults`: it raises the exception or waits for the event.
    """

    catalog: ServerCatalog = field(default_factory=lambda: make_catalog("look"))
    handshake_faults: list[Exception | asyncio.Event] = field(default_factory=list)
    is_running: bool = True
    is_flooding: bool = False
    hangs: bool = False
    handshake_count: int = 0
    calls: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    open_count: int = 0
    sessions: list["ScriptedSession"] = field(default_factory=list)

    @asynccontextmanager
    async def open_session(self, key_id: str = "", server: McpServer | None = None) -> AsyncIterator["ScriptedSession"]:
        self.handshake_count += 1
        if self.handshake_faults:
            fault = self.handshake_faults.pop(0)
            if isinstance(fault, Exception):
                raise fault
            await fault.wait()
        self.open_count += 1
        self.sessions.append(ScriptedSession(self))
        try:
            yield self.sessions[-1]
        finally:
            self.open_count -= 1

    def crash(self) -> None:
        """Disconnect like a server that crashes and restarts immediately."""
        self.is_running = False
        self.sessions[-1].wakeup.set()

    def flood(self) -> None:
        """Exceed the inbound limit, so that the session ends."""
        self.is_flooding = True
        self.sessions[-1].wakeup.set()


class ScriptedSession:
    def __init__(self, server: ScriptedServer) -> None:
        self._server = server
        self.wakeup = asyncio.Event()
        self.tools_changed = False
        server.is_running = True

    async def fetch_catalog(self) -> ServerCatalog:
        return self._server.catalog

    async def ping(self) -> None:
        if self._server.is_flooding:
            self._server.is_flooding = False
            raise ServerExceededLimit("it sends too much")
        if not self._server.is_running:
            raise ServerUnavailable("the server closed the connection")

    async def call_tool(self, tool_name: str, arguments: Mapping[str, Any]) -> RemoteToolResult:
        self._server.calls.append((tool_name, arguments))
        if self._server.hangs:
            await asyncio.Event().wait()
        if not self._server.is_running:
            raise ServerUnavailable("the server closed the connection")
        return RemoteToolResult((Text("seen"),)) if tool_name == "look" else error_result("no")
