"""CORS headers. They allow the web pages that the operator lists in `CORS_ORIGINS` to read responses.

These headers alone give no access. Every page must send an API key, and browsers send none by themselves, because the
gateway accepts no cookie as a key. While no API key exists, every client on this machine has access. A web page must
not use this access, so the gateway then sends no CORS headers.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web

from claude_gateway.web.context.state import STATE
from claude_gateway.web.route_lookup import METHODS

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_EXPOSED_HEADERS = ", ".join(
    (
        *("x-request-id", "request-id", "x-gateway-warnings", "x-claude-model", "retry-after", "x-should-retry"),
        "x-gateway-login",
        *("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
        *("anthropic-ratelimit-requests-limit", "anthropic-ratelimit-requests-remaining"),
        "anthropic-ratelimit-requests-reset",
    )
)
_PREFLIGHT_MAX_AGE_SECONDS = 600
_REQUEST_METHOD_HEADER = "Access-Control-Request-Method"


@web.middleware
async def handle_preflight(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Respond to a preflight request.

    If a script on a web page calls the gateway, the browser first sends this request, without a key.
    """
    is_preflight = (
        request.method == "OPTIONS" and _REQUEST_METHOD_HEADER in request.headers and "Origin" in request.headers
    )
    if not is_preflight or await _find_allowed_origin(request) is None:
        return await handler(request)
    # The response repeats the names of the headers, because `*` would not include Authorization. The names contain no
    # line ends, because aiohttp rejects headers with line ends.
    requested_headers = request.headers.get("Access-Control-Request-Headers", "")
    return web.Response(
        status=204,
        headers={
            "Access-Control-Allow-Methods": ", ".join(METHODS),
            "Access-Control-Max-Age": str(_PREFLIGHT_MAX_AGE_SECONDS),
            **({"Access-Control-Allow-Headers": requested_headers} if requested_headers else {}),
        },
    )


async def add_cors_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the CORS headers to a response just before the gateway sends its head.

    Error responses and streams also get these headers.
    """
    if "*" not in request.app[STATE].settings.allowed_origins:
        response.headers["Vary"] = ", ".join([*response.headers.getall("Vary", ()), "Origin"])
    if "Origin" in request.headers and (allowed_origin := await _find_allowed_origin(request)) is not None:
        response.headers["Access-Control-Allow-Origin"] = allowed_origin
        response.headers["Access-Control-Expose-Headers"] = _EXPOSED_HEADERS


async def _find_allowed_origin(request: web.Request) -> str | None:
    """Return the value for Access-Control-Allow-Origin; None if the web page must not read responses."""
    state, origin = request.app[STATE], request.headers["Origin"]
    await state.authenticator.refresh()
    if state.authenticator.key_origin == "none":
        return None
    if "*" in state.settings.allowed_origins:
        return "*"
    return origin if origin in state.settings.allowed_origins else None
