"""Who is let in: a known key, within its rate, with the scope of the path. Before anything of a body is read."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from aiohttp import HttpVersion11, web

from claude_gateway.access.address import counted_address
from claude_gateway.access.keys import Key
from claude_gateway.access.limits import Caller, Standing
from claude_gateway.errors import ApiError
from claude_gateway.web import pages, reference
from claude_gateway.web.connection import bring_key
from claude_gateway.web.parts import CALLER, PARTS, RULE, STANDING, VISITED
from claude_gateway.web.rate_headers import rate_headers
from claude_gateway.web.rules import NO_SUCH_PATH, Rule, rule_for
from claude_gateway.web.spoken import Dialect, spoken

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

OPEN_PATHS = frozenset(
    {"/", "/health", "/health/live", "/health/ready", "/version", *reference.OPEN_PATHS, *pages.FILES}
)
# A wrong key counts wherever it is tried, so that nobody may guess more often on a path that is not counted.
_GUESSES = "general"


@web.middleware
async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Everything needs a key, but for the few open paths."""
    rule = request[RULE] = _rule(request)
    if request.path in OPEN_PATHS:
        if rule.group is not None:
            await _count_address(request, rule.group)
        return await handler(request)
    try:
        key = request[CALLER] = await identify(request)
    except ApiError:
        await _pace(request, _address(request))
        await _count_address(request, rule.group or _GUESSES)
        raise
    bring_key(request, key.id)
    await _pace(request, key.id)
    request[VISITED].key, request[VISITED].credential = key.id, key.credential
    if rule.group is not None:
        _check(request, await request.app[PARTS].limits.count_key(key, rule.group, _caller(request)))
    if rule.scope is not None:
        key.require(rule.scope)
    return await handler(request)


async def add_standing(request: web.Request, response: web.StreamResponse) -> None:
    """On every response to a request that was counted, refused or not."""
    if (standing := request.get(STANDING)) is not None:
        response.headers.update(rate_headers(spoken(request), standing, datetime.now(UTC)))


async def identify(request: web.Request) -> Key:
    """The key that the request brings, as things stand now. Raises `ApiError` 401."""
    await request.app[PARTS].key_ring.follow()
    # Google's programs of old have their key in the query, and no others do.
    in_query = request.query.getall("key", []) if spoken(request) is Dialect.GEMINI else []
    return request.app[PARTS].key_ring.identify(
        request.headers, request.remote, http_1_0=request.version < HttpVersion11, in_query=in_query
    )


async def is_known(request: web.Request) -> bool:
    """Whether the caller of an open path brings a key all the same, or needs none. Such a path must be counted: it
    tells right keys from wrong ones."""
    try:
        await identify(request)
    except ApiError:
        return False
    return True


async def _count_address(request: web.Request, group: str) -> None:
    limits = request.app[PARTS].limits
    _check(request, await limits.count_address(_address(request), group, _caller(request)))


def _address(request: web.Request) -> str:
    return counted_address(request.remote, request.headers, request.app[PARTS].settings.proxies)


async def _pace(request: web.Request, client: str) -> None:
    """Wait where the key or the address sends so much that others would wait. Raises `ApiError` 429."""
    pacer = request.app[PARTS].pacer
    seconds = pacer.wait(client, asyncio.get_running_loop().time())
    if seconds > pacer.limits.max_wait_seconds:
        wait = math.ceil(seconds)
        raise ApiError(
            429,
            "rate_limit_exceeded",
            f"This client sends more requests than the gateway takes beside those of others. Try again in {wait} "
            "seconds.",
            code="too_many_requests",
            retry_after=wait,
        )
    if seconds:
        await asyncio.sleep(seconds)


def _caller(request: web.Request) -> Caller:
    """The official libraries say which request an attempt is for, or at least that it is another attempt. A program
    that says neither is known by what stays the same: where it is, which path it asks, and how long its body is."""
    headers = request.headers
    named = headers.get("idempotency-key", "")
    told = headers.get("x-stainless-retry-count", "")
    is_retry = told.isdigit() and told != "0"
    if named:
        return Caller(hash((request.method, request.path, named)), is_retry=True)
    peer = (request.remote, headers.get("x-forwarded-for", ""), headers.get("user-agent", ""))
    return Caller(hash((*peer, request.method, request.path, request.content_length)), is_retry)


def _check(request: web.Request, standing: Standing | None) -> None:
    if standing is not None:
        request[STANDING] = standing
        standing.check()


def _rule(request: web.Request) -> Rule:
    resource = request.match_info.route.resource
    return rule_for(request.method, resource.canonical, request.path) if resource else NO_SUCH_PATH
