"""One client's connection: how long it is waited for, and how many connections there may be."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from aiohttp import web

from claude_gateway.access.address import Network, counted_address, peer_address
from claude_gateway.errors import ApiError
from claude_gateway.web.connection_shares import ConnectionShares, Place
from claude_gateway.web.refusing_handler import RefusingHandler, keep_expectations

_log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# A connection that sends nothing, or half a header, is closed after this.
_SILENCE_SECONDS = 75.0
# One whose caller took not a byte of what waits for him between two looks is cut.
_LOOK_SECONDS = 60.0
CONNECTION_OPTIONS: dict[str, Any] = {
    "access_log": None,
    "keepalive_timeout": _SILENCE_SECONDS,
    # Unpacking what a stranger sends costs a thousand times its size; bodies are taken as they are.
    "auto_decompress": False,
}
# How often silent connections are looked for, while there are few places.
_SWEEP_SECONDS = 0.25
_LOG_SECONDS = 10.0
_RETRY_SECONDS = 5


class Connection(RefusingHandler):
    """A client that does not read is not waited for: a few thousand such, with a key or without, would be all
    connections that there may be. `doors` has a place for it, or has it closed.
    """

    __slots__ = ("_doors", "_look", "_place", "_taken", "_waiting", "_wire")

    def __init__(self, server: web.Server, doors: "Doors", **options: Any) -> None:
        super().__init__(server, **options)
        self._doors = doors
        self._place: Place | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._wire = cast(asyncio.Transport, transport)  # uvloop's own is no subclass of it
        self._waiting, self._taken = 0, False
        self._look = self._loop.call_later(_LOOK_SECONDS, self.look)
        peer = transport.get_extra_info("peername")
        self._place = self._doors.enter(self._close_early, peer[0] if isinstance(peer, tuple) else "")
        if self._place is None:
            self._close_early()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._taken = True

    def connection_lost(self, exc: BaseException | None) -> None:
        self._look.cancel()
        if self._place is not None:
            self._doors.shares.leave(self._place)
        super().connection_lost(exc)

    def begin(self, request: web.BaseRequest) -> None:
        """The head of a request is there."""
        if self._place is not None:
            self._doors.begin(self._place, request)

    def bring(self, key: str) -> None:
        """The request has this key. Raises `ApiError` 429 where the key holds too many connections."""
        if self._place is not None and not self._doors.shares.bring(self._place, key):
            raise ApiError(
                429,
                "rate_limit_exceeded",
                "Requests of this key hold three quarters of all connections already (MAX_CONNECTIONS).",
                code="too_many_connections",
                retry_after=_RETRY_SECONDS,
            )

    def end(self) -> None:
        """The request has its answer, or as much of it as it takes."""
        if self._place is not None:
            self._doors.shares.end(self._place, self._loop.time())

    def _close_early(self) -> None:
        """Its place is another's. Nobody waits until its client has taken what was sent."""
        if self._wire.get_write_buffer_size():
            self._wire.abort()
        else:
            self.force_close()

    def look(self) -> None:
        """Whether the caller takes what waits for him. Nothing is added to it while writing is paused, or behind the
        end; a stream that goes on has its own clock."""
        self._look.cancel()
        before, self._waiting = self._waiting, self._wire.get_write_buffer_size()
        taken, self._taken = self._taken, False
        if (self.writing_paused or self._wire.is_closing()) and not taken and 0 < before <= self._waiting:
            self._wire.abort()
        else:
            self._look = self._loop.call_later(_LOOK_SECONDS, self.look)


class Doors:
    """Lets connections in, as far as `ConnectionShares` has places. `proxies` are believed when they say whom a request
    is from."""

    def __init__(self, server: web.Server, limit: int, proxies: Callable[[], Sequence[Network]]) -> None:
        keep_expectations(server)
        self._server = server
        self.shares = ConnectionShares(limit)
        self._limit = limit
        self._proxies = proxies
        self._loop = asyncio.get_running_loop()
        self._sweep: asyncio.TimerHandle | None = None
        self._silent_until = 0.0

    def __call__(self) -> Connection:
        """The protocol of a new connection."""
        return Connection(self._server, self, loop=self._loop, **CONNECTION_OPTIONS)

    def enter(self, close: Callable[[], None], peer: str) -> Place | None:
        """The place of a new connection, None where it is to be closed at once. Closes another where it has to."""
        address = peer_address(peer, self._proxies())
        place, victim = self.shares.enter(close, address, self._loop.time())
        if victim is not None:
            victim.close()
        if victim is not None or place is None:
            self._tell()
        if self.shares.is_scarce and self._sweep is None:
            self._sweep = self._loop.call_later(_SWEEP_SECONDS, self.sweep)
        return place

    def begin(self, place: Place, request: web.BaseRequest) -> None:
        self.shares.begin(place, counted_address(request.remote, request.headers, self._proxies()))

    def sweep(self) -> None:
        """Close what was silent for too long while there are few places."""
        self._sweep = None
        for place in self.shares.overdue(self._loop.time()):
            place.close()
        if self.shares.is_scarce:
            self._sweep = self._loop.call_later(_SWEEP_SECONDS, self.sweep)

    def _tell(self) -> None:
        now = self._loop.time()
        if now >= self._silent_until:
            self._silent_until = now + _LOG_SECONDS
            _log.warning("%d connections are open; for each new one another is closed (MAX_CONNECTIONS)", self._limit)


def factory(server: web.Server, limit: int, proxies: Callable[[], Sequence[Network]] = tuple) -> Doors:
    """Makes the protocol of each new connection. At most `limit` are open."""
    return Doors(server, limit, proxies)


@web.middleware
async def count_connection(request: web.Request, handler: Handler) -> web.StreamResponse:
    """While a request is answered its connection is not silent."""
    connection = request.protocol
    if not isinstance(connection, Connection):
        return await handler(request)
    connection.begin(request)
    try:
        return await handler(request)
    finally:
        connection.end()


def bring_key(request: web.Request, key: str) -> None:
    """The request has a key, so strangers cannot take its connection. Raises `ApiError` 429."""
    if isinstance(request.protocol, Connection):
        request.protocol.bring(key)
