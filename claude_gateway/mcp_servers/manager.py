"""Registers and connects the MCP servers of all keys, and calls their tools for the model."""

import asyncio
import gc
import importlib
import logging
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from claude_gateway.core.errors import ApiError
from claude_gateway.core.periodic import run_every
from claude_gateway.mcp_servers.catalog import ServerCatalog, error_result
from claude_gateway.mcp_servers.connection import McpConnection, McpSession, ServerUnavailable
from claude_gateway.mcp_servers.inbound_limit import InboundVolume
from claude_gateway.mcp_servers.launcher import ServerLauncher
from claude_gateway.mcp_servers.limits import McpLimits
from claude_gateway.mcp_servers.models import McpServer
from claude_gateway.mcp_servers.policy import RegistrationPolicy
from claude_gateway.mcp_servers.server_store import McpServerStore
from claude_gateway.net.name_resolver import NameResolver
from workers.core.job import RemoteToolResult, ToolDefinition

_log = logging.getLogger(__name__)

_CLIENT_MODULE = "claude_gateway.mcp_servers.client"
_RETRY_SECONDS = 5
_ACCESS_CHECK_SECONDS = 30.0

# Function that opens a session with an MCP server. The arguments are the id of the server's key and the server.
ServerSessionFactory = Callable[[str, McpServer], AbstractAsyncContextManager[McpSession]]
# Function that returns whether the key with this id may use MCP servers.
CanUseMcp = Callable[[str], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class RegisteredServer:
    """A registered server with its connection.

    The connection is None if no client has connected the server, or if a client has disconnected it.
    """

    server: McpServer
    connection: McpConnection | None


class McpServerManager:
    """Manages the MCP servers of all keys. Methods with a key id act only on the servers of that key.

    Args:
        store: Registrations in the database.
        policy: Decides which servers may be registered and connected.
        limits: Limits for each server.
        launcher: Starts stdio servers and manages their directories.
        open_session: Opens a session with a server.
        now: Returns the current time in epoch seconds.
    """

    def __init__(
        self,
        store: McpServerStore,
        policy: RegistrationPolicy,
        limits: McpLimits,
        launcher: ServerLauncher,
        open_session: ServerSessionFactory,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._launcher = launcher
        self._policy = policy
        self.limits = limits
        self._open_session = open_session
        self._now = now
        self._connections: dict[tuple[str, str], McpConnection] = {}

    @asynccontextmanager
    async def keep_connected(self, can_use_mcp: CanUseMcp) -> AsyncIterator[None]:
        """Keep servers connected for the duration of the context.

        At the start, the manager begins to reconnect the servers that were connected before a restart, but does not
        wait for them. It regularly disconnects the servers of keys that may no longer use MCP servers. At the end, it
        disconnects all servers.
        """
        for key_id, server in await self._store.list_auto_connected():
            if await can_use_mcp(key_id):
                self._start_connection(key_id, server)
        try:
            async with run_every(
                _ACCESS_CHECK_SECONDS,
                partial(self.disconnect_unauthorized, can_use_mcp),
                task_name="the access check of MCP servers",
            ):
                yield
        finally:
            connections = list(self._connections.values())
            self._connections.clear()
            await asyncio.gather(*(connection.close() for connection in connections))

    async def disconnect_unauthorized(self, can_use_mcp: CanUseMcp) -> None:
        """Disconnect the servers of keys that may not use MCP servers any more."""
        try:
            for key_id, name in list(self._connections):
                if not await can_use_mcp(key_id):
                    await self._close_connection(key_id, name)
        except Exception:
            _log.exception("The access check of MCP servers failed")

    async def list_servers(self, key_id: str) -> list[RegisteredServer]:
        """List the servers of a key, with their connections."""
        servers = await self._store.list_servers(key_id)
        return [RegisteredServer(server, self._connections.get((key_id, server.name))) for server in servers]

    async def register(self, key_id: str, server: McpServer) -> bool:
        """Register a server. If the key already has a server of this name, disconnect and replace that server.

        Returns:
            True if the key had no server of this name.

        Raises:
            ApiError: 400 if the registration is invalid, 403 if the operator has not allowed such a server, 429 if the
                key has too many servers.
        """
        self._policy.check(server)
        is_new = await self._store.write_server(key_id, server, self.limits.max_servers, self._now())
        if is_new is None:
            raise ApiError(
                429,
                "rate_limit_exceeded",
                f"This key already has {self.limits.max_servers} MCP servers, the maximum. Delete one first.",
                code="too_many_mcp_servers",
                retry_after=3600,
            )
        await self._close_connection(key_id, server.name)
        return is_new

    async def delete(self, key_id: str, name: str) -> None:
        """Delete a server with its directory. Raises `ApiError` 404 if there is no such server."""
        if not await self._store.delete_server(key_id, name):
            raise _server_not_found(name)
        await self._close_connection(key_id, name)
        await self._launcher.remove(key_id, name)

    async def connect(self, key_id: str, name: str) -> ServerCatalog:
        """Connect to a server, and return the catalog of the server.

        Raises:
            ApiError: 404 if there is no such server, 403 if the operator does not allow the server any more, 409 if
                the server is not enabled, 503 if the connection fails.
        """
        server = await self._require_server(key_id, name)
        self._policy.check(server)
        if not server.enabled:
            raise ApiError(
                409, "validation_error", f"The MCP server {name!r} is registered as not enabled.", code="mcp_disabled"
            )
        connection = self._connections.get((key_id, name))
        is_first = connection is None
        connection = connection or self._start_connection(key_id, server)
        try:
            catalog = await connection.wait_connected()
        except BaseException as error:
            if is_first:
                await self._close_connection(key_id, name, connection)
            if isinstance(error, ServerUnavailable):
                raise ApiError(
                    503,
                    "api_error",
                    f"The gateway could not connect to the MCP server {name!r}: {error}.",
                    code="mcp_unavailable",
                    retry_after=_RETRY_SECONDS,
                ) from None
            raise
        await self._store.set_auto_connect(key_id, name, True)
        return catalog

    async def disconnect(self, key_id: str, name: str) -> None:
        """Disconnect a server. Raises `ApiError` 404 if there is no such server."""
        await self._require_server(key_id, name)
        await self._store.set_auto_connect(key_id, name, False)
        await self._close_connection(key_id, name)

    def list_tools(self, key_id: str) -> tuple[ToolDefinition, ...]:
        """List the tools of the connected servers of a key, sorted by name."""
        tools = [
            mcp_tool.tool for _, connection in self._connected_servers(key_id) for mcp_tool in connection.catalog.tools
        ]
        return tuple(sorted({tool.name: tool for tool in tools}.values(), key=lambda tool: tool.name))

    async def call_tool(self, key_id: str, tool_name: str, arguments: Mapping[str, Any]) -> RemoteToolResult:
        """Call a tool by the name that the model uses for it.

        If the call fails, the method returns an error result for the model and raises no exception.
        """
        for _, connection in sorted(self._connections_of(key_id).items()):
            for mcp_tool in connection.catalog.tools:
                if mcp_tool.tool.name == tool_name:
                    return await connection.call_tool(mcp_tool.server_tool_name, arguments)
        return error_result(
            f"The tool {tool_name[:150]} is no longer available: "
            "its MCP server was disconnected or no longer offers it."
        )

    def _start_connection(self, key_id: str, server: McpServer) -> McpConnection:
        @asynccontextmanager
        async def open_checked_session() -> AsyncIterator[McpSession]:
            try:
                self._policy.check(server)  # the policy may have changed since the registration
            except ApiError as error:
                raise ServerUnavailable(error.message.rstrip(".")) from None
            async with self._open_session(key_id, server) as session:
                yield session

        connection = self._connections[key_id, server.name] = McpConnection(server, open_checked_session, self.limits)
        connection.start()
        return connection

    async def _close_connection(self, key_id: str, name: str, expected: McpConnection | None = None) -> None:
        connection = self._connections.get((key_id, name))
        if connection is not None and expected in (None, connection):
            del self._connections[key_id, name]
            await connection.close()

    async def _require_server(self, key_id: str, name: str) -> McpServer:
        server = await self._store.find_server(key_id, name)
        if server is None:
            raise _server_not_found(name)
        return server

    def _connections_of(self, key_id: str) -> dict[str, McpConnection]:
        return {
            name: connection for (other_key_id, name), connection in self._connections.items() if other_key_id == key_id
        }

    def _connected_servers(self, key_id: str) -> list[tuple[str, McpConnection]]:
        return [
            (name, connection)
            for name, connection in self._connections_of(key_id).items()
            if connection.status == "connected"
        ]


def create_session_factory(
    limits: McpLimits, launcher: ServerLauncher, name_resolver: NameResolver, *, allow_private: bool
) -> ServerSessionFactory:
    """Return a function that opens sessions with MCP servers.

    The returned function imports the `mcp` package when it opens the first session.
    """
    volume_by_key: WeakValueDictionary[str, InboundVolume] = WeakValueDictionary()

    @asynccontextmanager
    async def open_session(key_id: str, server: McpServer) -> AsyncIterator[McpSession]:
        client_module = await asyncio.to_thread(_load_client_module)
        key_volume = volume_by_key.setdefault(key_id, InboundVolume(time.monotonic()))
        async with client_module.open_client(
            key_id, server, limits, launcher, name_resolver, key_volume, allow_private=allow_private
        ) as client:
            yield client

    return open_session


def _load_client_module() -> Any:
    """Import the module with the MCP client, and return the module.

    The objects that the first import creates exist until the process ends. The function excludes these objects from
    garbage collection, because a single collection of them would block the event loop.
    """
    if _CLIENT_MODULE in sys.modules:
        return sys.modules[_CLIENT_MODULE]
    gc.disable()
    try:
        return importlib.import_module(_CLIENT_MODULE)
    finally:
        gc.freeze()
        gc.enable()


def _server_not_found(name: str) -> ApiError:
    return ApiError(404, "not_found_error", f"There is no MCP server {name[:80]!r}.", code="mcp_server_not_found")
