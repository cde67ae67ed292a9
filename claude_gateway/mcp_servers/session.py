"""The protocol itself, by the `mcp` package: a server reached, asked what it has, and called.

The one module that imports the package, which weighs 28 MB: it is imported with the first connection and not before
(claude_gateway/mcp_servers/connection.py).
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

from claude_gateway.mcp_servers.bounds import Bounds
from claude_gateway.mcp_servers.connection import Flooded, Unreachable
from claude_gateway.mcp_servers.flood import Gauge, Volume
from claude_gateway.mcp_servers.housing import Housing
from claude_gateway.mcp_servers.incoming import Incoming
from claude_gateway.mcp_servers.network import NotReached, http_client, is_of_the_network
from claude_gateway.mcp_servers.offered import Listing, failed, read_result, read_tools
from claude_gateway.mcp_servers.pipes import piped
from claude_gateway.mcp_servers.server import Address, Program, Server
from claude_gateway.name_resolver import NameResolver
from workers.job import RemoteResult

# They log what servers say, and URLs with their queries.
for _name in ("mcp", "client", "httpx2", "httpcore2"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)

_CLIENT = mcp_types.Implementation(name="claude-gateway", version="1")
_LONGEST_WORDS = 2_000
_LEFT = (mcp_types.CONNECTION_CLOSED,)
_METHODS: dict[str, tuple[Any, Any]] = {
    "tools": (mcp_types.ListToolsRequest, mcp_types.ListToolsResult),
    "resources": (mcp_types.ListResourcesRequest, mcp_types.ListResourcesResult),
    "prompts": (mcp_types.ListPromptsRequest, mcp_types.ListPromptsResult),
}


class Session:
    """A server that has shaken hands. `stirred` is set whenever there may be something to see to: its tools `changed`,
    or a call found it gone."""

    def __init__(self, server: Server, bounds: Bounds) -> None:
        self._server = server
        self._bounds = bounds
        self._session: ClientSession
        self._gone = "it ended the connection"
        self._refused = ""
        self.life = asyncio.timeout(None)
        self.stirred = asyncio.Event()
        self.changed = False

    async def listing(self) -> Listing:
        """Raises `Unreachable`."""
        with self.explained():
            capabilities = self._session.server_capabilities
            has = {name: getattr(capabilities, name, None) is not None for name in _METHODS}
            tools = [one.model_dump(mode="json", by_alias=True) for one in await self._list("tools")]
            # A schema is walked through, which takes a while.
            read, left_out = await asyncio.to_thread(read_tools, self._server.name, tools, self._bounds)
            counts = {name: len(await self._list(name)) for name in ("resources", "prompts") if has[name]}
        return Listing(read, counts.get("resources", 0), counts.get("prompts", 0), left_out)

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> RemoteResult:
        """What the tool answers, or the server says in its place. Raises `Unreachable`."""
        params = mcp_types.CallToolRequestParams(name=tool, arguments=dict(arguments))
        with self.explained():
            try:
                # Not `call_tool`, which holds the answer against a schema of the server's own making.
                answer = await self._session.send_request(
                    mcp_types.CallToolRequest(params=params), mcp_types.CallToolResult
                )
            except MCPError as error:
                if error.code in _LEFT:
                    raise
                return failed(f"The MCP server refused: {error.message[:_LONGEST_WORDS]}")
        # Images are unpacked.
        return await asyncio.to_thread(read_result, answer.model_dump(mode="json", by_alias=True), self._bounds)

    async def ping(self) -> None:
        """Raises `Unreachable`."""
        with self.explained():
            try:
                await self._session.send_ping()
            except MCPError as error:
                if error.code != mcp_types.METHOD_NOT_FOUND:  # it is there
                    raise

    async def shake_hands(self, session: ClientSession) -> None:
        self._session = session
        await session.initialize()

    async def hear(self, message: Any) -> None:
        """A notification, or what the transport could not make sense of."""
        if isinstance(message, mcp_types.ToolListChangedNotification):
            self.changed = True
            self.stirred.set()

    def end(self, why: str) -> None:
        """The other side is gone: whoever watches finds that out by asking."""
        self._gone = why or self._gone
        self.stirred.set()

    def refuse(self, why: str) -> None:
        """It sends too much: whatever is being done with it, it is over."""
        self._refused = why
        self.life.reschedule(0)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Whatever goes wrong inside is `Unreachable`, in words without anything of the server's or the caller's
        own."""
        try:
            yield
        except Exception as error:
            if self._refused:
                raise Flooded(self._refused) from None
            if isinstance(error, Unreachable | TimeoutError):
                raise
            raise Unreachable(self._why(error)) from None

    def _why(self, error: BaseException) -> str:
        """Of the first cause that is known; what a stranger wrote is not repeated."""
        match error:
            case BaseExceptionGroup(exceptions=(first, *_)):
                return self._why(first)
            case NotReached() | Unreachable():
                return str(error)
            case MCPError() if error.code in _LEFT:
                return self._gone
            case MCPError():
                return f"it answered with the error {error.code}"
        return "it could not be reached" if is_of_the_network(error) else "what it answered is not of the protocol"

    async def _list(self, what: str) -> list[Any]:
        """Page after page, as far as the bounds go."""
        request, result = _METHODS[what]
        found: list[Any] = []
        cursor: str | None = None
        for _ in range(self._bounds.pages):
            params = mcp_types.PaginatedRequestParams(cursor=cursor) if cursor else None
            page: Any = await self._session.send_request(request(params=params), result)
            found += getattr(page, what)
            if not page.next_cursor or page.next_cursor == cursor or len(found) > 2 * self._bounds.tools:
                break
            cursor = page.next_cursor
        return found


@asynccontextmanager
async def opened(
    owner: str, server: Server, bounds: Bounds, housing: Housing, names: NameResolver, sent: Volume, *, private: bool
) -> AsyncIterator[Session]:
    """A session with a key's server for the length of a `with`; all of it happens in the task that entered. `sent` is
    what the servers of the key send together. Raises `Unreachable`, also for what is found out only while it is closed.
    """
    ours = Session(server, bounds)
    look_up = partial(names.addresses, owner)
    gauge = Gauge(bounds, time.monotonic, ours.refuse, sent)
    with ours.explained():
        async with ours.life, AsyncExitStack() as stack:
            match server.reach:
                case Program():
                    home = await housing.home(owner, server.name)
                    read, write = await stack.enter_async_context(piped(server.reach, housing, home, gauge, ours.end))
                case Address(url, headers, "sse"):
                    client = await http_client(gauge, look_up, private=private)
                    read, write = await stack.enter_async_context(
                        sse_client(url, dict(headers), httpx_client_factory=client)
                    )
                case Address(url, headers):
                    client = (await http_client(gauge, look_up, private=private))(dict(headers))
                    await stack.enter_async_context(client)
                    read, write = await stack.enter_async_context(
                        streamable_http_client(url, http_client=client, max_sse_event_size=bounds.message_bytes)
                    )
            session = await stack.enter_async_context(
                ClientSession(Incoming(read, gauge), write, message_handler=ours.hear, client_info=_CLIENT)
            )
            await ours.shake_hands(session)
            yield ours
