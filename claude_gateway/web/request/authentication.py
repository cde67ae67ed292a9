"""Authentication of requests by their API key."""

from aiohttp import HttpVersion11, web

from claude_gateway.auth.models import ApiKey
from claude_gateway.core.errors import ApiError
from claude_gateway.web.context.state import STATE
from claude_gateway.web.dialects.registry import DIALECT


async def authenticate_request(request: web.Request) -> ApiKey:
    """Return the API key that the client sent, with the current rights of the key.

    Raises:
        ApiError: 401 if the key is missing or wrong.
    """
    await request.app[STATE].authenticator.refresh()
    query_keys = request.query.getall("key", []) if request[DIALECT].takes_key_in_query else []
    return request.app[STATE].authenticator.authenticate(
        request.headers, request.remote, is_http_1_0=request.version < HttpVersion11, query_keys=query_keys
    )


async def find_valid_key(request: web.Request) -> ApiKey | None:
    """Return the key that a request for an open path contains, or None if it contains no valid key.

    If the gateway requires no keys, the result is the key of all clients. The path must have a rate limit, because the
    response shows the client whether its key is valid.
    """
    try:
        return await authenticate_request(request)
    except ApiError:
        return None


async def has_valid_key(request: web.Request) -> bool:
    """Return whether a request for an open path contains a valid key, as in `find_valid_key`."""
    return await find_valid_key(request) is not None
