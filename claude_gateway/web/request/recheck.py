"""Second check of a request's key, after the gateway has waited for the body or the session lock, maybe for minutes."""

from dataclasses import replace

from aiohttp import web

from claude_gateway.web.context.state import API_KEY, ROUTE_RULE, STATE


async def recheck_key(request: web.Request) -> None:
    """Check the key of a request again, and update the rights of the key in the request.

    Raises:
        ApiError: 401 if the key is not valid any more or its secret has changed, 403 if the key has lost the scope that
            the path requires.
    """
    old_key = request[API_KEY]
    authenticator = request.app[STATE].authenticator
    await authenticator.refresh()
    key = authenticator.recheck_key(old_key.id, old_key.credential)
    if (scope := request[ROUTE_RULE].scope) is not None:
        key.require_scope(scope)
    request[API_KEY] = replace(key, credential=old_key.credential)
