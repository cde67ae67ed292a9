"""The MCP servers of every key: registered, connected, and called for Claude."""

import asyncio
import gc
import importlib
import logging
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from claude_gateway.errors import ApiError
from claude_gateway.mcp_servers.bounds import Bounds
from claude_gateway.mcp_servers.connection import Connection, Session, Unreachable
from claude_gateway.mcp_servers.flood import Volume
from claude_gateway.mcp_servers.housing import Housing
from claude_gateway.mcp_servers.offered import Listing, failed
from claude_gateway.mcp_servers.rules import Rules
from claude_gateway.mcp_servers.server import Server
from claude_gateway.name_resolver import NameResolver
from claude_gateway.stores.mcp_servers import McpServerStore
from workers.job import RemoteResult, Tool

_log = logging.getLogger(__name__)

_PROTOCOL = "claude_gateway.mcp_servers.session"
_RETRY_SECONDS = 5
_SWEEP_SECONDS = 30.0

# Of a key and its server.
Opened = Callable[[str, Server], AbstractAsyncContextManager[Session]]
# Whether a key, by its id, may have MCP servers.
May = Callable[[str], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Standing:
    """A registered server, and how it stands with it; `connection` is None where it is not to be connected."""

    server: Server
    connection: Connection | None


class McpServers:
    """`now` is in seconds of the epoch. What belongs to another key is not there."""

    def __init__(
        self,
        store: McpServerStore,
        rules: Rules,
        bounds: Bounds,
        housing: Housing,
        opened: Opened,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._housing = housing
        self._rules = rules
        self.bounds = bounds
        self._opened = opened
        self._now = now
        self._connections: dict[tuple[str, str], Connection] = {}

    @asynccontextmanager
    async def running(self, may: May) -> AsyncIterator[None]:
        """Connects again those that were connected, behind the caller's back; lets all go at the end, and in between
        those of keys that may have none any more."""
        for owner, server in await self._store.wanted():
            if await may(owner):
                self._begin(owner, server)
        sweeping = asyncio.create_task(self._swept(may))
        try:
            yield
        finally:
            sweeping.cancel()
            await asyncio.wait({sweeping})
            connections = list(self._connections.values())
            self._connections.clear()
            await asyncio.gather(*(connection.close() for connection in connections))

    async def sweep(self, may: May) -> None:
        """Let the servers go of keys that may have none any more."""
        try:
            for owner, name in list(self._connections):
                if not await may(owner):
                    await self._let_go(owner, name)
        except Exception:
            _log.exception("MCP servers were not swept")

    async def _swept(self, may: May) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            await self.sweep(may)

    async def all_of(self, owner: str) -> list[Standing]:
        servers = await self._store.all_of(owner)
        return [Standing(server, self._connections.get((owner, server.name))) for server in servers]

    async def register(self, owner: str, server: Server) -> bool:
        """Whether it is new; one of the same name is let go and replaced. Raises `ApiError` 403 for what the operator
        has not allowed, 429 for one too many."""
        self._rules.check(server)
        is_new = await self._store.write(owner, server, self.bounds.servers, self._now())
        if is_new is None:
            raise ApiError(
                429,
                "rate_limit_exceeded",
                f"This key has its {self.bounds.servers} MCP servers; delete one first.",
                code="too_many_mcp_servers",
                retry_after=3600,
            )
        await self._let_go(owner, server.name)
        return is_new

    async def delete(self, owner: str, name: str) -> None:
        """Raises `ApiError` 404."""
        if not await self._store.delete(owner, name):
            raise _unknown(name)
        await self._let_go(owner, name)
        await self._housing.remove(owner, name)

    async def connect(self, owner: str, name: str) -> Listing:
        """What the server has, from a handshake that took place. Raises `ApiError`: 404, 403 for what is not allowed
        any more, 409 for one that is switched off, 503 where there is nobody to shake hands with."""
        server = await self._find(owner, name)
        self._rules.check(server)
        if not server.enabled:
            raise ApiError(
                409, "validation_error", f"The MCP server {name!r} is registered as not enabled.", code="mcp_disabled"
            )
        connection = self._connections.get((owner, name))
        is_first = connection is None
        connection = connection or self._begin(owner, server)
        try:
            listing = await connection.connected()
        except BaseException as error:
            if is_first:
                await self._let_go(owner, name, connection)
            if isinstance(error, Unreachable):
                raise ApiError(
                    503,
                    "api_error",
                    f"No connection to the MCP server {name!r}: {error}.",
                    code="mcp_unavailable",
                    retry_after=_RETRY_SECONDS,
                ) from None
            raise
        await self._store.want(owner, name, True)
        return listing

    async def disconnect(self, owner: str, name: str) -> None:
        """Raises `ApiError` 404."""
        await self._find(owner, name)
        await self._store.want(owner, name, False)
        await self._let_go(owner, name)

    def tools(self, owner: str) -> tuple[Tool, ...]:
        """Those of the key's servers that are connected, by name."""
        found = [one.tool for _, connection in self._connected(owner) for one in connection.listing.tools]
        return tuple(sorted({tool.name: tool for tool in found}.values(), key=lambda tool: tool.name))

    async def call(self, owner: str, name: str, arguments: Mapping[str, Any]) -> RemoteResult:
        """What the tool that Claude knows by `name` answered."""
        for _, connection in sorted(self._of(owner).items()):
            for one in connection.listing.tools:
                if one.tool.name == name:
                    return await connection.call(one.own_name, arguments)
        return failed(f"There is no tool {name[:150]} any more: its MCP server is gone, or has it no longer.")

    def _begin(self, owner: str, server: Server) -> Connection:
        @asynccontextmanager
        async def opened() -> AsyncIterator[Session]:
            try:
                self._rules.check(server)  # it may have been registered under other rules
            except ApiError as error:
                raise Unreachable(error.message.rstrip(".")) from None
            async with self._opened(owner, server) as session:
                yield session

        connection = self._connections[owner, server.name] = Connection(server, opened, self.bounds)
        connection.begin()
        return connection

    async def _let_go(self, owner: str, name: str, only: Connection | None = None) -> None:
        connection = self._connections.get((owner, name))
        if connection is not None and only in (None, connection):
            del self._connections[owner, name]
            await connection.close()

    async def _find(self, owner: str, name: str) -> Server:
        server = await self._store.find(owner, name)
        if server is None:
            raise _unknown(name)
        return server

    def _of(self, owner: str) -> dict[str, Connection]:
        return {name: one for (whose, name), one in self._connections.items() if whose == owner}

    def _connected(self, owner: str) -> list[tuple[str, Connection]]:
        return [(name, one) for name, one in self._of(owner).items() if one.status == "connected"]


def opener(bounds: Bounds, housing: Housing, names: NameResolver, *, private: bool) -> Opened:
    """Real sessions. What speaks the protocol is loaded with the first of them: most gateways have none."""
    sent: WeakValueDictionary[str, Volume] = WeakValueDictionary()

    @asynccontextmanager
    async def opened(owner: str, server: Server) -> AsyncIterator[Session]:
        session = await asyncio.to_thread(_protocol)
        by_key = sent.setdefault(owner, Volume(time.monotonic()))
        async with session.opened(owner, server, bounds, housing, names, by_key, private=private) as one:
            yield one

    return opened


def _protocol() -> Any:
    """The module that speaks it. What its first import makes stays for ever, so no collection need walk it: one alone
    would hold up the event loop."""
    if _PROTOCOL in sys.modules:
        return sys.modules[_PROTOCOL]
    gc.disable()
    try:
        return importlib.import_module(_PROTOCOL)
    finally:
        gc.freeze()
        gc.enable()


def _unknown(name: str) -> ApiError:
    return ApiError(404, "not_found_error", f"There is no MCP server {name[:80]!r}.", code="mcp_server_not_found")
