"""Connection to one MCP server of one key.

The connection detects failures, and reconnects until the gateway closes it.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Literal, Protocol

from claude_gateway.mcp_servers.catalog import ServerCatalog, error_result
from claude_gateway.mcp_servers.limits import McpLimits
from claude_gateway.mcp_servers.models import McpServer
from workers.core.job import RemoteToolResult

_log = logging.getLogger(__name__)

_CLOSE_TIMEOUT_SECONDS = 5.0

ConnectionStatus = Literal["connecting", "connected", "reconnecting", "disconnected"]


class ServerUnavailable(Exception):
    """Raised if the gateway cannot reach a server, or if the server does not speak MCP.

    Clients see the text of the error. Therefore the text contains no secret and nothing that the server wrote.
    """


class ServerExceededLimit(ServerUnavailable):
    """Raised if a server sends more data than the gateway accepts within a time window.

    After this error, the gateway reconnects to the server only when a client requests a connection.
    """


class McpSession(Protocol):
    """Interface of a session with one MCP server after the handshake (`claude_gateway.mcp_servers.client.McpClient`).

    Attributes:
        wakeup: Event that wakes the task that monitors the connection, so that the task checks the server. The session
            sets the event when the server's tools have changed or the connection has ended. The connection sets the
            event when a call has failed.
        tools_changed: True if the server announced a new list of tools.
    """

    wakeup: asyncio.Event
    tools_changed: bool

    async def fetch_catalog(self) -> ServerCatalog:
        """List the server's tools, and count the server's resources and prompts. Raises `ServerUnavailable`."""
        ...

    async def call_tool(self, tool_name: str, arguments: Mapping[str, Any]) -> RemoteToolResult:
        """Call a tool by the name that the tool has on the server. Raises `ServerUnavailable`."""
        ...

    async def ping(self) -> None:
        """Check that the server responds. Raises `ServerUnavailable`."""
        ...


# Function that opens a session with a server. The connection enters and leaves the returned context in the same task.
SessionFactory = Callable[[], AbstractAsyncContextManager[McpSession]]


class McpConnection:
    """Connection to one MCP server. Call `start` once, then `call_tool` at any time until `close`.

    Attributes:
        server: Registration of the server.
        status: State of the connection. In the state `disconnected`, the gateway reconnects only when a client requests
            a connection.
        error: Reason why the server is unavailable; "" while the server is connected.
        catalog: Tools that the server offered when it was last connected.
        reconnect_count: Number of times that the gateway has reconnected to the server.
    """

    def __init__(self, server: McpServer, open_session: SessionFactory, limits: McpLimits) -> None:
        self.server = server
        self.status: ConnectionStatus = "connecting"
        self.error = ""
        self.catalog = ServerCatalog()
        self.reconnect_count = 0
        self._open_session = open_session
        self._limits = limits
        self._session: McpSession | None = None
        self._connect_attempt: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._retry_now = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_closing = False

    def start(self) -> None:
        """Start the task that connects to the server and reconnects after failures."""
        self._task = asyncio.create_task(self._run(), name=f"MCP server {self.server.name}")

    async def wait_connected(self) -> ServerCatalog:
        """Wait until the server is connected, and return the catalog of the server.

        If the connection was lost, the method makes the gateway reconnect immediately.

        Raises:
            ServerUnavailable: The attempt to connect failed.
        """
        if self._session is None:
            self._retry_now.set()
            await asyncio.shield(self._connect_attempt)
        return self.catalog

    async def call_tool(self, tool_name: str, arguments: Mapping[str, Any]) -> RemoteToolResult:
        """Call a tool by the name that the tool has on the server.

        If the call fails, the method returns an error result for the model and raises no exception.
        """
        name, session = self.server.name, self._session
        if session is None:
            return error_result(f"The MCP server {name} is not connected at the moment: {self.error}.")
        try:
            async with asyncio.timeout(self._limits.call_timeout_seconds):
                return await session.call_tool(tool_name, arguments)
        except TimeoutError:
            reason = f"the server did not respond within {self._limits.call_timeout_seconds:g} seconds"
        except ServerUnavailable as error:
            reason = str(error)
        session.wakeup.set()
        return error_result(f"The call to the MCP server {name} failed: {reason}.")

    async def close(self) -> None:
        """Close the connection, even if the server does not respond."""
        self._is_closing = True
        self._retry_now.set()
        self._fail("the connection was closed on request")
        if self._task is None:
            return
        for _ in range(2):  # the second cancellation ends a closing handshake that hangs
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=_CLOSE_TIMEOUT_SECONDS)
        self._task = None

    async def _run(self) -> None:
        failures = 0
        while True:
            self._retry_now.clear()
            limit_exceeded = False
            try:
                await self._run_session()
            except ServerUnavailable as error:
                limit_exceeded = isinstance(error, ServerExceededLimit)
                self._fail(str(error))
            except TimeoutError:
                self._fail(f"the server was not ready within {self._limits.connect_timeout_seconds:g} seconds")
            failures = 1 if self.status == "connected" else failures + 1
            self.status = "disconnected" if limit_exceeded else "reconnecting"
            _log.info("MCP server %s: %s", self.server.name, self.error)
            pause = min(self._limits.min_retry_seconds * 2 ** (min(failures, 30) - 1), self._limits.max_retry_seconds)
            with suppress(TimeoutError):
                async with asyncio.timeout(None if limit_exceeded else pause):
                    await self._retry_now.wait()
            if self._is_closing:  # the cancellation is lost if the session ends at the same moment
                return

    async def _run_session(self) -> None:
        """Open a session and keep it until the connection is lost. Raises `ServerUnavailable` or `TimeoutError`."""
        async with asyncio.timeout(self._limits.connect_timeout_seconds) as limit, self._open_session() as session:
            self.catalog = await session.fetch_catalog()
            limit.reschedule(None)
            self.reconnect_count += self.status != "connecting"
            self._session, self.status, self.error = session, "connected", ""
            if not self._connect_attempt.done():
                self._connect_attempt.set_result(None)
            try:
                await self._monitor(session)
            finally:
                self._session = None

    async def _monitor(self, session: McpSession) -> None:
        """Ping the server and refresh its catalog until the connection is lost. Raises `ServerUnavailable`."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._limits.ping_interval_seconds):
                    await session.wakeup.wait()
            session.wakeup.clear()
            try:
                async with asyncio.timeout(self._limits.connect_timeout_seconds):
                    if not session.tools_changed:
                        await session.ping()
                        continue
                    session.tools_changed = False
                    self.catalog = await session.fetch_catalog()
            except TimeoutError:
                raise ServerUnavailable("the server no longer responds") from None
            await asyncio.sleep(self._limits.min_relist_seconds)

    def _fail(self, reason: str) -> None:
        self.error = reason
        if not self._connect_attempt.done():
            self._connect_attempt.set_exception(ServerUnavailable(reason))
            self._connect_attempt.exception()  # mark the exception as retrieved, because there may be no waiter
        self._connect_attempt = asyncio.get_running_loop().create_future()
