"""Handling of `Expect: 100-continue`.

A client with a large body sends this header, and then waits until the gateway has checked its key and its headers.
aiohttp would respond to the header before the gateway has checked the key and counted the request. Therefore the
gateway removes the header before aiohttp handles the request, and stores its value in the request object.
"""

from collections.abc import Awaitable, Callable

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.http import RawRequestMessage

from claude_gateway.core.errors import ApiError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

EXPECT_HEADER = web.RequestKey("expect_header", str)
_IS_CONTINUE_SENT = web.RequestKey("is_continue_sent", bool)
_CONTINUE = "100-continue"


def strip_expect_header(message: RawRequestMessage) -> tuple[RawRequestMessage, str]:
    """Return the head of a request without its `Expect` header, and the value of the header.

    The value is empty if the request has no such header or uses HTTP/1.0, which does not define the header.
    """
    if hdrs.EXPECT not in message.headers:
        return message, ""
    headers = message.headers.copy()
    expected = ", ".join(headers.popall(hdrs.EXPECT))
    message = message._replace(headers=type(message.headers)(headers))
    return message, expected if message.version >= HttpVersion11 else ""


@web.middleware
async def check_expectation(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a request whose `Expect` header has a value that the gateway does not support.

    Raises:
        ApiError: 417 if the value of the header is not 100-continue.
    """
    if request.get(EXPECT_HEADER, _CONTINUE).strip().lower() != _CONTINUE:
        message = "Unsupported Expect header: the only supported value is 100-continue."
        raise ApiError(417, "validation_error", message, code="expectation_failed")
    return await handler(request)


async def send_continue(request: web.Request) -> None:
    """Send 100 Continue to a client that waits for it. The gateway calls this before it reads the body."""
    if EXPECT_HEADER not in request or request.get(_IS_CONTINUE_SENT, False):
        return
    request[_IS_CONTINUE_SENT] = True
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # 100 Continue does not count as a part of the response
    await request.writer.drain()


async def close_if_not_continued(request: web.Request, response: web.StreamResponse) -> None:
    """Close the connection after a response to a client that still waits for 100 Continue.

    Such a client may send its body after the response, or leave it out. The gateway could not know whether the next
    bytes are the body or the next request.
    """
    if EXPECT_HEADER in request and request.body_exists and not request.get(_IS_CONTINUE_SENT, False):
        response.force_close()
        response.headers["Connection"] = "close"
