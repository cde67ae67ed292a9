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


async def has_valid_key(request: web.Request) -> bool:
    """Return whether a request for an open path contains a valid key. If the gateway requires no keys, return True.

    The path must have a rate limit, because the response shows the client whether its key is valid.
    """
    try:
        await authenticate_request(request)
    except ApiError:
        return False
    return True
