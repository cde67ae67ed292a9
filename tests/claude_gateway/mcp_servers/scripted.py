"""A session that plays a server's part: the seam of the tests above the protocol."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from claude_gateway.mcp_servers.bounds import Bounds
from claude_gateway.mcp_servers.connection import Flooded, Unreachable
from claude_gateway.mcp_servers.offered import Listing, Offered, failed
from claude_gateway.mcp_servers.rules import Rules
from claude_gateway.mcp_servers.server import Server
from claude_gateway.mcp_servers.servers import McpServers
from workers.job import RemoteResult, Text, Tool


def listing(*names: str) -> Listing:
    tools = tuple(Offered(name, Tool(f"mcp__lib__{name}", "", {"type": "object"})) for name in names)
    return Listing(tools, resources=3, prompts=2)


async def anybody(owner: str) -> bool:
    """May have servers."""
    return True


def no_servers() -> McpServers:
    return McpServers(None, Rules(), Bounds(), None, None)  # type: ignore[arg-type]


@dataclass
class ScriptedServer:
    """What is on the other side. `faults` are raised or waited for by the next handshakes, one each."""

    has: Listing = field(default_factory=lambda: listing("look"))
    faults: list[Exception | asyncio.Event] = field(default_factory=list)
    is_there: bool = True
    is_flooding: bool = False
    hangs: bool = False
    handshakes: int = 0
    calls: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    open: int = 0
    sessions: list["ScriptedSession"] = field(default_factory=list)

    @asynccontextmanager
    async def opened(self, owner: str = "", server: Server | None = None) -> AsyncIterator["ScriptedSession"]:
        self.handshakes += 1
        if self.faults:
            fault = self.faults.pop(0)
            if isinstance(fault, Exception):
                raise fault
            await fault.wait()
        self.open += 1
        self.sessions.append(ScriptedSession(self))
        try:
            yield self.sessions[-1]
        finally:
            self.open -= 1

    def leave(self) -> None:
        """It goes, as a program does that crashes, and would be back at once."""
        self.is_there = False
        self.sessions[-1].stirred.set()

    def drown(self) -> None:
        """It sends so much that its session ends."""
        self.is_flooding = True
        self.sessions[-1].stirred.set()


class ScriptedSession:
    def __init__(self, server: ScriptedServer) -> None:
        self._server = server
        self.stirred = asyncio.Event()
        self.changed = False
        server.is_there = True

    async def listing(self) -> Listing:
        return self._server.has

    async def ping(self) -> None:
        if self._server.is_flooding:
            self._server.is_flooding = False
            raise Flooded("it sends too much")
        if not self._server.is_there:
            raise Unreachable("it ended the connection")

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> RemoteResult:
        self._server.calls.append((tool, arguments))
        if self._server.hangs:
            await asyncio.Event().wait()
        if not self._server.is_there:
            raise Unreachable("it ended the connection")
        return RemoteResult((Text("seen"),)) if tool == "look" else failed("no")
