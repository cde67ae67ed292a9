"""Error responses for requests that aiohttp cannot parse, and for exceptions outside the handlers.

No response and no log line repeats data that the client sent, because the data may contain a key.
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

from claude_gateway.core.errors import ApiError, internal_error
from claude_gateway.observability.log.formatters import REQUEST_FIELDS
from claude_gateway.web.context.state import REQUEST_ID
from claude_gateway.web.dialects.dialect import Dialect
from claude_gateway.web.dialects.registry import DIALECT, DIALECTS, GENERAL_DIALECT
from claude_gateway.web.request.expectation import EXPECT_HEADER, strip_expect_header
from claude_gateway.web.responses.error_response import SERVER_NAME, dialect_error_response
from claude_gateway.web.route_lookup import find_path_dialect

_log = logging.getLogger(__name__)

# The gateway sends status 408 to a client that takes longer than this to send the head of a request.
_HEAD_TIMEOUT_SECONDS = 60.0
# The gateway keeps up to this number of the first bytes of an incomplete head, because they contain the path.
_MAX_HEAD_PREFIX_BYTES = 512
_REQUEST_LINE_PATH = re.compile(rb"\s*[!-~]+ (?:https?://[^/\s]*)?(/[^\s?#]*)")


class RefusingHandler(web.RequestHandler):
    """Request handler for aiohttp that sends error responses in the dialect to which the requested path belongs.

    Each error response has a request id, and the gateway writes a log line for it.
    """

    __slots__ = ("_head_prefix", "_head_timer", "_payload")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Handle the start of a connection. Prepare the attributes for its first request."""
        # The body of the current request, and the first bytes of the next request's head.
        self._payload: StreamReader | None = None
        self._head_prefix = b""
        self._head_timer: asyncio.TimerHandle | None = None
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Handle the end of the connection. Stop the timer that limits the wait for the head of a request."""
        self._stop_head_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Handle data from the client.

        This method keeps the first bytes of a request's head, and starts the timer that limits the wait for the whole
        head. If a later part of the body is not valid HTTP, the method raises an error in the code that reads the body.
        """
        if self._payload is None and len(self._head_prefix) < _MAX_HEAD_PREFIX_BYTES:
            self._head_prefix += data[:_MAX_HEAD_PREFIX_BYTES]
            if self._head_timer is None:
                loop = asyncio.get_running_loop()
                self._head_timer = loop.call_later(_HEAD_TIMEOUT_SECONDS, self.refuse_slow_head)
        super().data_received(data)
        if self._payload is not None and self._messages and not isinstance(self._messages[-1][0], RawRequestMessage):
            self._fail_body(self._payload)

    def _fail_body(self, payload: StreamReader) -> None:
        """Raise an error in the handler of the current request, because the request's body is not valid HTTP.

        Without this method, aiohttp would send the error only after the response to the current request. Until then,
        the handler would wait for the rest of the body.
        """
        self._messages.pop()
        self.close()
        if not payload.is_eof():
            payload.set_exception(_invalid_http_error(400, None))
            payload.feed_eof()  # so that aiohttp does not wait for the rest of the body

    def start_body(self, payload: StreamReader) -> None:
        """Record that aiohttp has read the whole head of a request, even if the head is not valid HTTP."""
        self._stop_head_timer()
        self._payload = payload

    def refuse_slow_head(self) -> None:
        """Send status 408 to a client that has not sent the whole head of its request, and close the connection."""
        self._stop_head_timer()
        if self._payload is None and self.transport is not None:
            message = "The head of the request took too long to arrive."
            error = ApiError(408, "timeout_error", message, code="request_timeout")
            request_id = uuid.uuid4().hex
            _log.info(
                "the head of a request took too long to arrive: status 408 %s", request_id, extra=_to_log_fields(error)
            )
            self.transport.write(_encode_response(self._error_response(error, self._detect_dialect(), request_id)))
            self.force_close()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the response to a request, and then delete the data of the request from this handler."""
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._payload, self._head_prefix = None, b""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - part of aiohttp's signature. The text repeats data that the client sent.
    ) -> web.StreamResponse:
        """Return the response for an error that aiohttp reports.

        If the request line is readable, the response is in the dialect to which its path belongs.
        """
        request_id = request.get(REQUEST_ID) or uuid.uuid4().hex
        if isinstance(exc, HttpProcessingError):
            error, dialect = _invalid_http_error(status, exc), self._detect_dialect()
            _log.info(
                "a request was not valid HTTP: status %d %s", error.status, request_id, extra=_to_log_fields(error)
            )
        else:
            error, dialect = internal_error(), request.get(DIALECT, GENERAL_DIALECT)
            _log.error("request %s failed", request_id, exc_info=exc, extra=_to_log_fields(error))
        if request.writer.output_size > 0:
            raise ConnectionError("the response has begun")
        return self._error_response(error, dialect, request_id)

    def _error_response(self, error: ApiError, dialect: Dialect, request_id: str) -> web.Response:
        response = dialect_error_response(error, dialect, request_id)
        response.headers["Server"] = SERVER_NAME
        response.headers["x-request-id"] = request_id
        if dialect.request_id_header:
            response.headers[dialect.request_id_header] = request_id
        response.force_close()
        return response

    def _detect_dialect(self) -> Dialect:
        match = _REQUEST_LINE_PATH.match(self._head_prefix)
        name = find_path_dialect(match[1].decode("latin-1")) if match else None
        return DIALECTS[name] if name else GENERAL_DIALECT


def _invalid_http_error(status: int, cause: BaseException | None) -> ApiError:
    """Return the error for a request that is not valid HTTP.

    The text of the error does not repeat the request, because the request may contain a key.
    """
    message = "The request is not valid HTTP."
    if isinstance(cause, LineTooLong):
        message = "The request line or a header is too long (maximum 8 KiB)."
    return ApiError(status, "validation_error", message, code="bad_request")


def _encode_response(response: web.Response) -> bytes:
    """Return the bytes of a whole HTTP response, for a request that aiohttp has not parsed."""
    assert isinstance(response.body, bytes)
    headers = {**response.headers, "Content-Length": str(len(response.body)), "Connection": "close"}
    lines = [f"HTTP/1.1 {response.status} {response.reason}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + response.body


def _to_log_fields(error: ApiError) -> dict[str, Any]:
    """Return the fields that the log line for an error contains."""
    return {REQUEST_FIELDS: {"status": error.status, "code": error.code}}


def wrap_request_factory(server: web.Server) -> None:
    """Make an aiohttp server remove the `Expect` header from every request.

    The request holds the value of the header under the key `EXPECT_HEADER` instead.
    """
    create_request = server.request_factory

    def create_without_expect(
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        message, expected = strip_expect_header(message)
        request = create_request(message, payload, protocol, writer, task)
        if expected:
            request[EXPECT_HEADER] = expected
        if isinstance(protocol, RefusingHandler):
            protocol.start_body(payload)
        return request

    server.request_factory = create_without_expect
