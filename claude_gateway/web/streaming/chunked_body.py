"""Sending of large response bodies in chunks.

If a client does not read, the buffer of its connection holds only one chunk. After a timeout, the gateway aborts the
connection.
"""

import asyncio

from aiohttp import web

# The gateway sends smaller bodies at once, because they fit into the buffers of a connection.
_MIN_CHUNKED_BYTES = 256 * 1024
_CHUNK_BYTES = 64 * 1024
# A client must read a body within this time, plus the time that a slow connection needs for the body's bytes.
_BASE_TIMEOUT_SECONDS = 60.0
_MIN_BYTES_PER_SECOND = 64 * 1024


async def send_if_large(request: web.Request, response: web.Response) -> web.StreamResponse:
    """Send a response now if it is large. The calling code can then free the data of the response.

    If the response is small, only return it. aiohttp sends it later.
    """
    body = response.body
    if not isinstance(body, bytes) or len(body) < _MIN_CHUNKED_BYTES or request.method == "HEAD":
        return response
    chunked = web.StreamResponse(status=response.status, headers=response.headers)
    chunked.content_length = len(body)
    try:
        async with asyncio.timeout(_BASE_TIMEOUT_SECONDS + len(body) / _MIN_BYTES_PER_SECOND):
            await chunked.prepare(request)
            for start in range(0, len(body), _CHUNK_BYTES):
                await chunked.write(body[start : start + _CHUNK_BYTES])
            await chunked.write_eof()
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    return chunked
