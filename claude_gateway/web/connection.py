"""One caller's connection: how malformed requests are answered, and how many connections there may be."""

import asyncio
import logging
import uuid
from collections.abc import Callable
from typing import Any, cast

from aiohttp import web

from claude_gateway.dialects.openai_chat.encode import error_object
from claude_gateway.errors import ApiError
from claude_gateway.web.middlewares import error_response

_log = logging.getLogger(__name__)

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


class Connection(web.RequestHandler):
    """aiohttp's own, but what cannot be parsed is answered in our envelope and never logged: it may hold a key.

    And who does not read is not waited for: a few thousand such, with a key or without, would be all connections that
    there may be.
    """

    __slots__ = ("_look", "_taken", "_waiting", "_wire")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._wire = cast(asyncio.Transport, transport)  # uvloop's own is no subclass of it
        self._waiting, self._taken = 0, False
        self._look = self._loop.call_later(_LOOK_SECONDS, self.look)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._taken = True

    def connection_lost(self, exc: BaseException | None) -> None:
        self._look.cancel()
        super().connection_lost(exc)

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

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 - the parent calls with it
        status: int = 500,
        exc: BaseException | None = None,  # noqa: ARG002
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        _log.info("a request was no valid HTTP: status %d", status)
        error = ApiError(status, "validation_error", "The request is not valid HTTP.", code="bad_request")
        response = error_response(error, error_object(error))
        response.headers["x-request-id"] = uuid.uuid4().hex
        response.force_close()
        return response


def factory(server: web.Server, limit: int) -> Callable[[], asyncio.Protocol]:
    """Makes the protocol of each new connection; past `limit` open ones it is closed at once."""
    loop = asyncio.get_running_loop()

    def connect() -> asyncio.Protocol:
        if len(server.connections) >= limit:
            _log.warning("%d connections are open, the next one is closed (MAX_CONNECTIONS)", limit)
            return _Closed()
        return Connection(server, loop=loop, **CONNECTION_OPTIONS)

    return connect


class _Closed(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
