"""MCP client that uses the `mcp` package to open sessions with servers, read their catalogs and call their tools.

Importing the `mcp` package takes 28 MB of memory. Only this module and the modules that it imports use the package. The
manager (claude_gateway/mcp_servers/manager.py) imports this module only when it opens the first connection.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import mcp_types
from mcp.client.session import ClientSession
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from claude_gateway.mcp_servers.catalog import ServerCatalog, error_result, parse_mcp_tools, parse_tool_result
from claude_gateway.mcp_servers.connection import ServerExceededLimit, ServerUnavailable
from claude_gateway.mcp_servers.http_transport import TransportFailed, create_http_client_factory, is_network_error
from claude_gateway.mcp_servers.inbound_limit import InboundLimiter, InboundVolume
from claude_gateway.mcp_servers.inbound_messages import InboundMessages
from claude_gateway.mcp_servers.launcher import ServerLauncher
from claude_gateway.mcp_servers.limits import McpLimits
from claude_gateway.mcp_servers.models import HttpConfig, McpServer, StdioConfig
from claude_gateway.mcp_servers.stdio_transport import open_stdio_transport
from claude_gateway.net.name_resolver import NameResolver
from workers.core.job import RemoteToolResult

# These packages log messages that servers send, and complete URLs. Both may contain secrets.
for _name in ("mcp", "client", "httpx2", "httpcore2"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)

_CLIENT_INFO = mcp_types.Implementation(name="claude-gateway", version="1")
_MAX_ERROR_CHARS = 2_000
_CLOSED_CODES = (mcp_types.CONNECTION_CLOSED,)
_LIST_METHODS: dict[str, tuple[Any, Any]] = {
    "tools": (mcp_types.ListToolsRequest, mcp_types.ListToolsResult),
    "resources": (mcp_types.ListResourcesRequest, mcp_types.ListResourcesResult),
    "prompts": (mcp_types.ListPromptsRequest, mcp_types.ListPromptsResult),
}


class McpClient:
    """A session with one MCP server, after the handshake.

    Attributes:
        wakeup: Event that wakes the task that monitors the connection, so that the task checks the server. The client
            sets the event when the server's tools have changed or the connection has ended.
        tools_changed: True if the server announced a new list of tools.
        cancel_scope: Timeout context in which the session runs. The client ends the session by setting the deadline of
            this context to the past.
    """

    def __init__(self, server: McpServer, limits: McpLimits) -> None:
        self._server = server
        self._limits = limits
        self._session: ClientSession
        self._end_reason = "the server closed the connection"
        self._limit_reason = ""
        self.cancel_scope = asyncio.timeout(None)
        self.wakeup = asyncio.Event()
        self.tools_changed = False

    async def fetch_catalog(self) -> ServerCatalog:
        """List the server's tools, and count the server's resources and prompts.

        Raises:
            ServerUnavailable: The server did not respond with valid lists.
        """
        with self.translate_errors():
            capabilities = self._session.server_capabilities
            is_supported = {name: getattr(capabilities, name, None) is not None for name in _LIST_METHODS}
            tool_objects = [tool.model_dump(mode="json", by_alias=True) for tool in await self._list_all("tools")]
            # Convert the tools in a thread, because checking their schemas would block the event loop.
            tools, skipped_count = await asyncio.to_thread(
                parse_mcp_tools, self._server.name, tool_objects, self._limits
            )
            counts = {name: len(await self._list_all(name)) for name in ("resources", "prompts") if is_supported[name]}
        return ServerCatalog(tools, counts.get("resources", 0), counts.get("prompts", 0), skipped_count)

    async def call_tool(self, tool_name: str, arguments: Mapping[str, Any]) -> RemoteToolResult:
        """Call a tool. If the server responds with a JSON-RPC error, return an error result for the model.

        Raises:
            ServerUnavailable: The connection failed, or the response is invalid.
        """
        params = mcp_types.CallToolRequestParams(name=tool_name, arguments=dict(arguments))
        with self.translate_errors():
            try:
                # Do not use `ClientSession.call_tool`, because it would validate the result against an output schema
                # that the untrusted server chooses.
                result = await self._session.send_request(
                    mcp_types.CallToolRequest(params=params), mcp_types.CallToolResult
                )
            except MCPError as error:
                if error.code in _CLOSED_CODES:
                    raise
                return error_result(f"The MCP server returned an error: {error.message[:_MAX_ERROR_CHARS]}")
        # Convert the result in a thread, because decoding images would block the event loop.
        return await asyncio.to_thread(parse_tool_result, result.model_dump(mode="json", by_alias=True), self._limits)

    async def ping(self) -> None:
        """Check that the server responds.

        Raises:
            ServerUnavailable: The server does not respond.
        """
        with self.translate_errors():
            try:
                await self._session.send_ping()
            except MCPError as error:
                if error.code != mcp_types.METHOD_NOT_FOUND:  # even a server that does not know `ping` has responded
                    raise

    async def initialize(self, session: ClientSession) -> None:
        """Perform the handshake of the MCP protocol."""
        self._session = session
        await session.initialize()

    async def on_message(self, message: Any) -> None:
        """Handle a notification from the server, or the exception with which the transport reports an invalid message.

        The method only handles the notification that the list of tools has changed, and ignores everything else.
        """
        if isinstance(message, mcp_types.ToolListChangedNotification):
            self.tools_changed = True
            self.wakeup.set()

    def on_end(self, reason: str) -> None:
        """Record that the server closed the connection. The next ping then fails with this reason."""
        self._end_reason = reason or self._end_reason
        self.wakeup.set()

    def on_limit_exceeded(self, reason: str) -> None:
        """Cancel the session, because the server sent more data than the limits allow."""
        self._limit_reason = reason
        self.cancel_scope.reschedule(0)

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Convert every error raised in the `with` block to `ServerUnavailable`.

        The text of the new error contains no data from the server or the client.
        """
        try:
            yield
        except Exception as error:
            if self._limit_reason:
                raise ServerExceededLimit(self._limit_reason) from None
            if isinstance(error, ServerUnavailable | TimeoutError):
                raise
            raise ServerUnavailable(self._error_reason(error)) from None

    def _error_reason(self, error: BaseException) -> str:
        """Return a description of the first known cause of an error, without any text that the server wrote."""
        match error:
            case BaseExceptionGroup(exceptions=(first, *_)):
                return self._error_reason(first)
            case TransportFailed() | ServerUnavailable():
                return str(error)
            case MCPError() if error.code in _CLOSED_CODES:
                return self._end_reason
            case MCPError():
                return f"the server returned the error code {error.code}"
        if is_network_error(error):
            return "the server could not be reached"
        return "the server sent a response that is not valid MCP"

    async def _list_all(self, kind: str) -> list[Any]:
        """Fetch one of the server's lists page by page, until the list ends or exceeds the limits on pages or entries.

        `kind` is the name of the list, such as `tools`.
        """
        request, result = _LIST_METHODS[kind]
        entries: list[Any] = []
        cursor: str | None = None
        for _ in range(self._limits.max_pages):
            params = mcp_types.PaginatedRequestParams(cursor=cursor) if cursor else None
            page: Any = await self._session.send_request(request(params=params), result)
            entries += getattr(page, kind)
            if not page.next_cursor or page.next_cursor == cursor or len(entries) > 2 * self._limits.max_tools:
                break
            cursor = page.next_cursor
        return entries


@asynccontextmanager
async def open_client(
    key_id: str,
    server: McpServer,
    limits: McpLimits,
    launcher: ServerLauncher,
    name_resolver: NameResolver,
    key_volume: InboundVolume,
    *,
    allow_private: bool,
) -> AsyncIterator[McpClient]:
    """Open a session with an MCP server for the duration of the context.

    The asyncio task that enters the context must also leave it.

    Args:
        key_id: Id of the API key with which the client registered the server.
        server: Server to connect to.
        limits: Limits for the server's messages and lists.
        launcher: Starts stdio servers.
        name_resolver: Resolves host names of HTTP servers.
        key_volume: Counts of the data that all servers of the key have sent.
        allow_private: Whether HTTP servers may have private addresses.

    Raises:
        ServerUnavailable: The session failed. This includes errors that appear only while the gateway closes the
            session.
    """
    mcp_client = McpClient(server, limits)
    resolve_host = partial(name_resolver.resolve, key_id)
    limiter = InboundLimiter(limits, time.monotonic, mcp_client.on_limit_exceeded, key_volume)
    with mcp_client.translate_errors():
        async with mcp_client.cancel_scope, AsyncExitStack() as stack:
            match server.transport:
                case StdioConfig():
                    server_dir = await launcher.make_server_dir(key_id, server.name)
                    read, write = await stack.enter_async_context(
                        open_stdio_transport(server.transport, launcher, server_dir, limiter, mcp_client.on_end)
                    )
                case HttpConfig(url, headers, "sse"):
                    factory = await create_http_client_factory(limiter, resolve_host, allow_private=allow_private)
                    read, write = await stack.enter_async_context(
                        sse_client(url, dict(headers), httpx_client_factory=factory)
                    )
                case HttpConfig(url, headers):
                    factory = await create_http_client_factory(limiter, resolve_host, allow_private=allow_private)
                    http_client = await stack.enter_async_context(factory(dict(headers)))
                    read, write = await stack.enter_async_context(
                        streamable_http_client(
                            url, http_client=http_client, max_sse_event_size=limits.max_message_bytes
                        )
                    )
            session = await stack.enter_async_context(
                ClientSession(
                    InboundMessages(read, limiter),
                    write,
                    message_handler=mcp_client.on_message,
                    client_info=_CLIENT_INFO,
                )
            )
            await mcp_client.initialize(session)
            yield mcp_client
