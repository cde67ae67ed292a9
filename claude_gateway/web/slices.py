"""A large body, sent slice by slice: a connection that nobody reads from holds a slice of it, and is closed."""

import asyncio

from aiohttp import web

# Smaller ones fit into the buffers of a connection.
_SMALL_BYTES = 256 * 1024
_SLICE_BYTES = 64 * 1024
# A reader has so long in all, and longer by what a slow line needs.
_PATIENCE_SECONDS = 60.0
_SLOWEST_BYTES_A_SECOND = 64 * 1024


async def send_whole(request: web.Request, response: web.Response) -> web.StreamResponse:
    """Send a response before this returns, where it is large; what it was made of may be let go then."""
    body = response.body
    if not isinstance(body, bytes) or len(body) < _SMALL_BYTES or request.method == "HEAD":
        return response
    sent = web.StreamResponse(status=response.status, headers=response.headers)
    sent.content_length = len(body)
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS + len(body) / _SLOWEST_BYTES_A_SECOND):
            await sent.prepare(request)
            for at in range(0, len(body), _SLICE_BYTES):
                await sent.write(body[at : at + _SLICE_BYTES])
            await sent.write_eof()
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    return sent
