"""Connections of clients. The module limits their number, and closes idle and stalled connections."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from aiohttp import web

from claude_gateway.auth.client_address import Network, client_address, connection_address
from claude_gateway.core.errors import ApiError
from claude_gateway.web.server.connection_shares import ConnectionShares, TrackedConnection
from claude_gateway.web.server.refusing_handler import RefusingHandler, wrap_request_factory
from workers.core.event_loop import loop_time

_log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# The gateway closes a connection on which the client sends no complete head of a request for this time.
_IDLE_TIMEOUT_SECONDS = 75.0
# The gateway checks in this interval whether a client reads the data that waits to be sent. If the client read nothing
# between two checks, the gateway aborts the connection.
_STALL_CHECK_SECONDS = 60.0
CONNECTION_OPTIONS: dict[str, Any] = {
    "access_log": None,
    "keepalive_timeout": _IDLE_TIMEOUT_SECONDS,
    # A body can be a thousand times larger after decompression. Therefore the gateway decompresses it only after it has
    # checked the key, and aiohttp must not decompress it earlier.
    "auto_decompress": False,
}
# While few connections are free, the gateway looks for idle connections in this interval.
_IDLE_CHECK_SECONDS = 0.25
_LOG_INTERVAL_SECONDS = 10.0
_RETRY_SECONDS = 5


class ClientConnection(RefusingHandler):
    """Connection of one client.

    The gateway aborts the connection if the client stops reading. Otherwise a few thousand such clients, with or
    without a key, could occupy all connections that MAX_CONNECTIONS allows.

    Args:
        server: The aiohttp server.
        factory: The factory that created the connection. It decides whether the gateway keeps the connection.
        options: The options for aiohttp's request handler.
    """

    __slots__ = ("_factory", "_has_progressed", "_stall_check", "_tracked", "_unsent_bytes", "_write_transport")

    def __init__(self, server: web.Server, factory: "ConnectionFactory", **options: Any) -> None:
        super().__init__(server, **options)
        self._factory = factory
        self._tracked: TrackedConnection | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Handle the start of the connection. Close it if the gateway must not keep one more connection open."""
        super().connection_made(transport)
        self._write_transport = cast(asyncio.Transport, transport)  # uvloop's transport is not a subclass
        self._unsent_bytes, self._has_progressed = 0, False
        self._stall_check = asyncio.get_running_loop().call_later(_STALL_CHECK_SECONDS, self.abort_if_stalled)
        peer = transport.get_extra_info("peername")
        self._tracked = self._factory.admit_connection(self._close_early, peer[0] if isinstance(peer, tuple) else "")
        if self._tracked is None:
            self._close_early()

    def resume_writing(self) -> None:
        """Record that the client has read data."""
        super().resume_writing()
        self._has_progressed = True

    def connection_lost(self, exc: BaseException | None) -> None:
        """Handle the end of the connection. After this, the connection does not count as open."""
        self._stall_check.cancel()
        if self._tracked is not None:
            self._factory.shares.remove(self._tracked)
        super().connection_lost(exc)

    def start_request(self, request: web.BaseRequest) -> None:
        """Record that the gateway has begun to handle a request on this connection."""
        if self._tracked is not None:
            self._factory.start_request(self._tracked, request)

    def assign_key(self, key_id: str) -> None:
        """Record the API key of the current request.

        Raises:
            ApiError: 429 if requests of the key already use too many connections.
        """
        if self._tracked is not None and not self._factory.shares.assign_key(self._tracked, key_id):
            raise ApiError(
                429,
                "rate_limit_exceeded",
                "Requests of this key already use three quarters of all connections (MAX_CONNECTIONS).",
                code="too_many_connections",
                retry_after=_RETRY_SECONDS,
            )

    def finish_request(self) -> None:
        """Record that the gateway has finished the current request.

        Either the gateway sent the whole response, or the client stopped reading it.
        """
        if self._tracked is not None:
            self._factory.shares.finish_request(self._tracked, loop_time())

    def _close_early(self) -> None:
        """Close the connection to make room for another one. Do not wait until the client has read the unsent data."""
        if self._write_transport.get_write_buffer_size():
            self._write_transport.abort()
        else:
            self.force_close()

    def abort_if_stalled(self) -> None:
        """Abort the connection if the client has read no data since the last check.

        While aiohttp pauses writing, or after the gateway has begun to close the connection, the amount of unsent data
        can only decrease. If it is not less than at the last check, the client has read nothing. Running streams have a
        separate timeout.
        """
        self._stall_check.cancel()
        last_unsent_bytes, self._unsent_bytes = self._unsent_bytes, self._write_transport.get_write_buffer_size()
        has_progressed, self._has_progressed = self._has_progressed, False
        if (
            (self.writing_paused or self._write_transport.is_closing())
            and not has_progressed
            and 0 < last_unsent_bytes <= self._unsent_bytes
        ):
            self._write_transport.abort()
        else:
            self._stall_check = asyncio.get_running_loop().call_later(_STALL_CHECK_SECONDS, self.abort_if_stalled)


class ConnectionFactory:
    """Factory that creates an object for each new connection, and keeps at most `limit` connections open.

    Args:
        server: The aiohttp server.
        limit: The maximum number of open connections.
        proxies: Function that returns the networks of trusted proxies. The headers that these proxies send name the
            address of the client.

    Attributes:
        shares: The register of open connections. It decides which connection the gateway closes for a new one.
    """

    def __init__(self, server: web.Server, limit: int, proxies: Callable[[], Sequence[Network]]) -> None:
        wrap_request_factory(server)
        self._server = server
        self.shares = ConnectionShares(limit)
        self._limit = limit
        self._proxies = proxies
        self._loop = asyncio.get_running_loop()
        self._idle_check: asyncio.TimerHandle | None = None
        self._next_log_at = 0.0

    def __call__(self) -> ClientConnection:
        """Return the asyncio protocol for a new connection."""
        return ClientConnection(self._server, self, loop=self._loop, **CONNECTION_OPTIONS)

    def admit_connection(self, close: Callable[[], None], peer: str) -> TrackedConnection | None:
        """Register a new connection. If all connections are in use, close another connection for it.

        Args:
            close: Closes the new connection.
            peer: The address of the program at the other end of the connection.

        Returns:
            The entry of the new connection; None if the gateway must close the new connection.
        """
        address = connection_address(peer, self._proxies())
        tracked, victim = self.shares.add(close, address, self._loop.time())
        if victim is not None:
            victim.close()
        if victim is not None or tracked is None:
            self._log_full()
        if self.shares.is_scarce and self._idle_check is None:
            self._idle_check = self._loop.call_later(_IDLE_CHECK_SECONDS, self.close_idle_connections)
        return tracked

    def start_request(self, tracked: TrackedConnection, request: web.BaseRequest) -> None:
        """Record that a request has begun on a connection. Record the address of the client that sent the request."""
        self.shares.start_request(tracked, client_address(request.remote, request.headers, self._proxies()))

    def close_idle_connections(self) -> None:
        """Close the connections that have been idle for too long. Repeat this while few connections are free."""
        self._idle_check = None
        for tracked in self.shares.remove_overdue(self._loop.time()):
            tracked.close()
        if self.shares.is_scarce:
            self._idle_check = self._loop.call_later(_IDLE_CHECK_SECONDS, self.close_idle_connections)

    def _log_full(self) -> None:
        now = self._loop.time()
        if now >= self._next_log_at:
            self._next_log_at = now + _LOG_INTERVAL_SECONDS
            _log.warning(
                "%d connections are open; the gateway closes one for each new one (MAX_CONNECTIONS)", self._limit
            )


def create_connection_factory(
    server: web.Server, limit: int, proxies: Callable[[], Sequence[Network]] = tuple
) -> ConnectionFactory:
    """Return a factory that keeps at most `limit` connections open."""
    return ConnectionFactory(server, limit, proxies)


@web.middleware
async def track_connection(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Mark the connection of a request as busy while the gateway handles the request."""
    connection = request.protocol
    if not isinstance(connection, ClientConnection):
        return await handler(request)
    connection.start_request(request)
    try:
        return await handler(request)
    finally:
        connection.finish_request()


def assign_key_to_connection(request: web.Request, key_id: str) -> None:
    """Record on the connection of a request which API key the client has sent.

    While the gateway handles a request with a key, it never closes the connection to make room for other clients.

    Raises:
        ApiError: 429 if requests of the key already use too many connections.
    """
    if isinstance(request.protocol, ClientConnection):
        request.protocol.assign_key(key_id)
