"""Which web pages may read what the gateway answers (`CORS_ORIGINS`).

No page is ever let in by this: each must send a key, and none goes along by itself, for there are no cookies that open
anything. Where there is no key at all, nothing of it is said: the rule for callers from the machine itself keeps other
pages out, and this must not open it.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web

from claude_gateway.web.parts import PARTS

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_EXPOSED = ", ".join(
    (
        *("x-request-id", "request-id", "x-gateway-warnings", "x-claude-model", "retry-after", "x-should-retry"),
        *("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
        *("anthropic-ratelimit-requests-limit", "anthropic-ratelimit-requests-remaining"),
        "anthropic-ratelimit-requests-reset",
    )
)
_METHODS = "GET, HEAD, POST, PUT, DELETE"
_REMEMBERED_SECONDS = 600
_ASKED = "Access-Control-Request-Method"


@web.middleware
async def answer_preflights(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What a browser asks before a page's request, without a key, on whatever path."""
    is_preflight = request.method == "OPTIONS" and _ASKED in request.headers and "Origin" in request.headers
    if not is_preflight or await _allowed(request) is None:
        return await handler(request)
    # A star would not stand for Authorization. aiohttp has seen to it that no header holds a line's end.
    wanted = request.headers.get("Access-Control-Request-Headers", "")
    return web.Response(
        status=204,
        headers={
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Max-Age": str(_REMEMBERED_SECONDS),
            **({"Access-Control-Allow-Headers": wanted} if wanted else {}),
        },
    )


async def add_origin(request: web.Request, response: web.StreamResponse) -> None:
    """On every response, errors and streams too, just before its head is sent."""
    if "*" not in request.app[PARTS].settings.origins:
        response.headers["Vary"] = ", ".join([*response.headers.getall("Vary", ()), "Origin"])
    if "Origin" in request.headers and (allowed := await _allowed(request)) is not None:
        response.headers["Access-Control-Allow-Origin"] = allowed
        response.headers["Access-Control-Expose-Headers"] = _EXPOSED


async def _allowed(request: web.Request) -> str | None:
    """What stands for the page's origin; None for one that may read nothing."""
    parts, origin = request.app[PARTS], request.headers["Origin"]
    await parts.key_ring.follow()
    if parts.key_ring.kind == "none":
        return None
    if "*" in parts.settings.origins:
        return "*"
    return origin if origin in parts.settings.origins else None
