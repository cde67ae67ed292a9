"""`Expect`: a client that sends a large body may wait to be told to go on, until its key and its head were looked at.

aiohttp would answer the header before any key is known, in its own words and uncounted. So the header is taken out of
what aiohttp sees, and what it said is kept with the request.
"""

from collections.abc import Awaitable, Callable

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.http import RawRequestMessage

from claude_gateway.errors import ApiError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

EXPECTED = web.RequestKey("expected", str)
_IS_TOLD_TO_GO_ON = web.RequestKey("is_told_to_go_on", bool)
_GO_ON = "100-continue"


def take_out(message: RawRequestMessage) -> tuple[RawRequestMessage, str]:
    """Return the head of a request without its `Expect`, and what that said; "" where there is none.

    HTTP/1.0 knows no such header: there it says nothing.
    """
    if hdrs.EXPECT not in message.headers:
        return message, ""
    headers = message.headers.copy()
    said = ", ".join(headers.popall(hdrs.EXPECT))
    message = message._replace(headers=type(message.headers)(headers))
    return message, said if message.version >= HttpVersion11 else ""


@web.middleware
async def check_expectation(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Raises `ApiError` 417 for whatever else a client expects."""
    if request.get(EXPECTED, _GO_ON).strip().lower() != _GO_ON:
        message = "Expect may be 100-continue and nothing else."
        raise ApiError(417, "validation_error", message, code="expectation_failed")
    return await handler(request)


async def tell_to_go_on(request: web.Request) -> None:
    """Tell a client that waits for it to send the body, which is now going to be read."""
    if EXPECTED not in request or request.get(_IS_TOLD_TO_GO_ON, False):
        return
    request[_IS_TOLD_TO_GO_ON] = True
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # none of the response was sent yet
    await request.writer.drain()


async def close_untold(request: web.Request, response: web.StreamResponse) -> None:
    """Close behind an answer to a client that was not told to go on: whether it sends the body all the same, nobody
    knows, and the next request could not be told from it."""
    if EXPECTED in request and request.body_exists and not request.get(_IS_TOLD_TO_GO_ON, False):
        response.force_close()
        response.headers["Connection"] = "close"
