"""One MCP server of one key, kept connected: noticed when it goes, and tried again until it is let go."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Literal, Protocol

from claude_gateway.mcp_servers.bounds import Bounds
from claude_gateway.mcp_servers.offered import Listing, failed
from claude_gateway.mcp_servers.server import Server
from workers.job import RemoteResult

_log = logging.getLogger(__name__)

_CLOSE_SECONDS = 5.0

Status = Literal["connecting", "connected", "reconnecting", "disconnected"]


class Unreachable(Exception):
    """The server is not there, or is none. The text is for callers: no secret, nothing that the server wrote."""


class Flooded(Unreachable):
    """It sends so much that it is not listened to again before somebody asks for it."""


class Session(Protocol):
    """A server that has shaken hands: claude_gateway.mcp_servers.session, or a scripted one."""

    stirred: asyncio.Event
    changed: bool

    async def listing(self) -> Listing: ...
    async def call(self, tool: str, arguments: Mapping[str, Any]) -> RemoteResult: ...
    async def ping(self) -> None: ...


# Of a server, as the one task of its connection enters and leaves it.
Opened = Callable[[], AbstractAsyncContextManager[Session]]


class Connection:
    """`begin`, then `call` at any time, until `close`. `listing` is what the server has, or had when it was last there;
    `error` is why it is not there, "" while it is. It is `disconnected` where it is not tried again unless asked for.
    """

    def __init__(self, server: Server, opened: Opened, bounds: Bounds) -> None:
        self.server = server
        self.status: Status = "connecting"
        self.error = ""
        self.listing = Listing()
        self.reconnections = 0
        self._opened = opened
        self._bounds = bounds
        self._session: Session | None = None
        self._attempt: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._at_once = asyncio.Event()
        self._life: asyncio.Task[None] | None = None
        self._closing = False

    def begin(self) -> None:
        self._life = asyncio.create_task(self._live(), name=f"MCP server {self.server.name}")

    async def connected(self) -> Listing:
        """What the server has, once it is there; where it was lost, it is tried at once. Raises `Unreachable` when that
        attempt fails."""
        if self._session is None:
            self._at_once.set()
            await asyncio.shield(self._attempt)
        return self.listing

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> RemoteResult:
        """What the tool answered; whatever goes wrong is an answer too, for the model to read."""
        name, session = self.server.name, self._session
        if session is None:
            return failed(f"The MCP server {name} is not connected at the moment: {self.error}.")
        try:
            async with asyncio.timeout(self._bounds.call_seconds):
                return await session.call(tool, arguments)
        except TimeoutError:
            why = f"it did not answer within {self._bounds.call_seconds:g} seconds"
        except Unreachable as error:
            why = str(error)
        session.stirred.set()
        return failed(f"The call to the MCP server {name} failed: {why}.")

    async def close(self) -> None:
        """Let the server go, whatever it does about it."""
        self._closing = True
        self._at_once.set()
        self._fail("it was disconnected")
        if self._life is None:
            return
        for _ in range(2):  # the second time also what is done to say goodbye
            self._life.cancel()
            await asyncio.wait({self._life}, timeout=_CLOSE_SECONDS)
        self._life = None

    async def _live(self) -> None:
        failures = 0
        while True:
            self._at_once.clear()
            flooded = False
            try:
                await self._one_session()
            except Unreachable as error:
                flooded = isinstance(error, Flooded)
                self._fail(str(error))
            except TimeoutError:
                self._fail(f"it was not ready within {self._bounds.connect_seconds:g} seconds")
            failures = 1 if self.status == "connected" else failures + 1
            self.status = "disconnected" if flooded else "reconnecting"
            _log.info("MCP server %s: %s", self.server.name, self.error)
            pause = min(self._bounds.first_pause * 2 ** (min(failures, 30) - 1), self._bounds.longest_pause)
            with suppress(TimeoutError):
                async with asyncio.timeout(None if flooded else pause):
                    await self._at_once.wait()
            if self._closing:  # a session that ended just then took the cancellation for its own
                return

    async def _one_session(self) -> None:
        """From the handshake until the server is lost. Raises `Unreachable`, or `TimeoutError`."""
        async with asyncio.timeout(self._bounds.connect_seconds) as limit, self._opened() as session:
            self.listing = await session.listing()
            limit.reschedule(None)
            self.reconnections += self.status != "connecting"
            self._session, self.status, self.error = session, "connected", ""
            if not self._attempt.done():
                self._attempt.set_result(None)
            try:
                await self._watch(session)
            finally:
                self._session = None

    async def _watch(self, session: Session) -> None:
        """Until the server is lost, which is `Unreachable`."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._bounds.ping_seconds):
                    await session.stirred.wait()
            session.stirred.clear()
            try:
                async with asyncio.timeout(self._bounds.connect_seconds):
                    if not session.changed:
                        await session.ping()
                        continue
                    session.changed = False
                    self.listing = await session.listing()
            except TimeoutError:
                raise Unreachable("it does not answer any more") from None
            await asyncio.sleep(self._bounds.relist_seconds)

    def _fail(self, why: str) -> None:
        self.error = why
        if not self._attempt.done():
            self._attempt.set_exception(Unreachable(why))
            self._attempt.exception()  # it may be that nobody waits for it
        self._attempt = asyncio.get_running_loop().create_future()
