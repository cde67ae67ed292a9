"""A connection whose refusals are in our envelope: of what aiohttp cannot parse, and of what fails around the handlers.

Nothing of what was sent is repeated or logged: it may hold a key.
"""

import asyncio
import logging
import re
import uuid
from typing import Any

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from claude_gateway.errors import ApiError, internal
from claude_gateway.log.lines import REQUEST
from claude_gateway.web.expectation import EXPECTED, take_out
from claude_gateway.web.middlewares import SERVER_NAME, dialect_response
from claude_gateway.web.parts import REQUEST_ID
from claude_gateway.web.spoken import Dialect, spoken, spoken_at

_log = logging.getLogger(__name__)

# A client that began a header and does not end it is told so.
_HEAD_SECONDS = 60.0
# So much of a request's beginning is kept as long as its head is not there, for the path in it.
_MAX_BEGINNING_BYTES = 512
_PATH = re.compile(rb"\s*[!-~]+ (?:https?://[^/\s]*)?(/[^\s?#]*)")


class RefusingHandler(web.RequestHandler):
    """aiohttp's own, but it refuses in the words of the dialect, with a request id and a line of the log."""

    __slots__ = ("_beginning", "_head_timer", "_payload")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # The body of the request that is being answered; in between, what came of the next one's head.
        self._payload: StreamReader | None = None
        self._beginning = b""
        self._head_timer: asyncio.TimerHandle | None = None
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_head_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._payload is None and len(self._beginning) < _MAX_BEGINNING_BYTES:
            self._beginning += data[:_MAX_BEGINNING_BYTES]
            self._head_timer = self._head_timer or self._loop.call_later(_HEAD_SECONDS, self.refuse_slow_head)
        super().data_received(data)
        if self._payload is not None and self._messages and not isinstance(self._messages[-1][0], RawRequestMessage):
            self._break_off(self._payload)

    def _break_off(self, payload: StreamReader) -> None:
        """The rest of a body is no valid HTTP. aiohttp answers that behind the request, whose handler would wait for
        the rest as long as a request may last: it is the handler that is told."""
        self._messages.pop()
        self.close()
        if not payload.is_eof():
            payload.set_exception(_not_http(400, None))
            payload.feed_eof()  # nothing of it is waited for behind the answer

    def begin_body(self, payload: StreamReader) -> None:
        """The head of a request is there, or nothing that could be one."""
        self._stop_head_timer()
        self._payload = payload

    def refuse_slow_head(self) -> None:
        """Answer a client that does not end the header it has begun, and close."""
        self._stop_head_timer()
        if self._payload is None and self.transport is not None:
            message = "The header of the request took too long to come."
            error = ApiError(408, "timeout_error", message, code="request_timeout")
            request_id = uuid.uuid4().hex
            _log.info("a header took too long to come: status 408 %s", request_id, extra=_told(error))
            self.transport.write(_as_bytes(self._refusal(error, self._dialect_begun(), request_id)))
            self.force_close()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._payload, self._beginning = None, b""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - the parent calls with it; it quotes what was sent
    ) -> web.StreamResponse:
        """In the words of the dialect of the path, as far as that can be read."""
        request_id = request.get(REQUEST_ID) or uuid.uuid4().hex
        if isinstance(exc, HttpProcessingError):
            error, dialect = _not_http(status, exc), self._dialect_begun()
            _log.info("a request was no valid HTTP: status %d %s", error.status, request_id, extra=_told(error))
        else:
            error, dialect = internal(), spoken(request) if isinstance(request, web.Request) else Dialect.OPENAI
            _log.error("request %s failed", request_id, exc_info=exc, extra=_told(error))
        if request.writer.output_size > 0:
            raise ConnectionError("the response has begun")
        return self._refusal(error, dialect, request_id)

    def _refusal(self, error: ApiError, dialect: Dialect, request_id: str) -> web.Response:
        response = dialect_response(error, dialect, request_id)
        response.headers["Server"] = SERVER_NAME
        response.headers["x-request-id"] = request_id
        if dialect is Dialect.ANTHROPIC:
            response.headers["request-id"] = request_id
        response.force_close()
        return response

    def _dialect_begun(self) -> Dialect:
        found = _PATH.match(self._beginning)
        return spoken_at(found[1].decode("latin-1")) if found else Dialect.OPENAI


def _not_http(status: int, fault: BaseException | None) -> ApiError:
    """Nothing of what was sent is repeated: it may hold a key."""
    message = "The request is not valid HTTP."
    if isinstance(fault, LineTooLong):
        message = "The request line or a header is longer than this gateway takes (8 KiB)."
    return ApiError(status, "validation_error", message, code="bad_request")


def _as_bytes(response: web.Response) -> bytes:
    """For a client whose request never came to be one."""
    assert isinstance(response.body, bytes)
    headers = {**response.headers, "Content-Length": str(len(response.body)), "Connection": "close"}
    lines = [f"HTTP/1.1 {response.status} {response.reason}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + response.body


def _told(error: ApiError) -> dict[str, Any]:
    """For the log line."""
    return {REQUEST: {"status": error.status, "code": error.code}}


def keep_expectations(server: web.Server) -> None:
    """Have every request made without its `Expect`, which is kept beside it."""
    make = server.request_factory

    def begin(
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        message, expected = take_out(message)
        request = make(message, payload, protocol, writer, task)
        if expected:
            request[EXPECTED] = expected
        if isinstance(protocol, RefusingHandler):
            protocol.begin_body(payload)
        return request

    server.request_factory = begin
