"""Middleware that checks the API key, the rate limits and the scope of a request, before the gateway reads the body."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from aiohttp import web

from claude_gateway.auth.client_address import client_address
from claude_gateway.auth.rate_limit import RateLimitState, RequestFingerprint
from claude_gateway.core.errors import ApiError
from claude_gateway.web.context.state import API_KEY, RATE_LIMIT_STATE, REQUEST_CONTEXT, ROUTE_RULE, STATE
from claude_gateway.web.dialects.registry import DIALECT
from claude_gateway.web.request.authentication import authenticate_request
from claude_gateway.web.route_lookup import OPEN_PATHS, find_rule
from claude_gateway.web.server.connection import assign_key_to_connection
from workers.core.event_loop import loop_time

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# The rate-limit group for requests with a wrong key on paths without a rate limit. Without this limit, a client could
# guess keys on these paths.
_FAILED_AUTH_GROUP = "general"


@web.middleware
async def authorize_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Check the key, the rate limit and the scope of a request. Requests for open paths need no key."""
    rule = request[ROUTE_RULE] = find_rule(request)
    if request.path in OPEN_PATHS:
        if rule.rate_limit_group is not None:
            await _check_address_rate(request, rule.rate_limit_group)
        return await handler(request)
    try:
        key = request[API_KEY] = await authenticate_request(request)
    except ApiError:
        await _pace(request, _address(request))
        await _check_address_rate(request, rule.rate_limit_group or _FAILED_AUTH_GROUP)
        raise
    assign_key_to_connection(request, key.id)
    await _pace(request, key.id)
    request[REQUEST_CONTEXT].key_id, request[REQUEST_CONTEXT].credential = key.id, key.credential
    if rule.rate_limit_group is not None:
        _apply_rate_limit(
            request,
            await request.app[STATE].rate_limiter.count_key(key, rule.rate_limit_group, _identify_client(request)),
        )
    if rule.scope is not None:
        key.require_scope(rule.scope)
    return await handler(request)


async def add_rate_limit_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add headers with the state of the rate limit to the response, if the request counts for a rate limit."""
    if (state := request.get(RATE_LIMIT_STATE)) is not None:
        response.headers.update(request[DIALECT].rate_limit_headers(state, datetime.now(UTC)))


async def _check_address_rate(request: web.Request, group: str) -> None:
    rate_limiter = request.app[STATE].rate_limiter
    _apply_rate_limit(request, await rate_limiter.count_address(_address(request), group, _identify_client(request)))


def _address(request: web.Request) -> str:
    return client_address(request.remote, request.headers, request.app[STATE].settings.trusted_proxy_networks)


async def _pace(request: web.Request, client: str) -> None:
    """Delay a request if its key or its address sends more requests than its fair share while other clients wait.

    Raises:
        ApiError: 429 if the delay would be longer than the maximum.
    """
    pacer = request.app[STATE].pacer
    seconds = pacer.wait_seconds(client, loop_time())
    if seconds > pacer.limits.max_wait_seconds:
        retry_after = math.ceil(seconds)
        raise ApiError(
            429,
            "rate_limit_exceeded",
            "This client sends more requests than its share while other clients wait. "
            f"Try again in {retry_after} seconds.",
            code="too_many_requests",
            retry_after=retry_after,
        )
    if seconds:
        await asyncio.sleep(seconds)


def _identify_client(request: web.Request) -> RequestFingerprint:
    """Return a fingerprint by which the rate limiter recognizes that a client retries a refused request.

    The official client libraries send an idempotency key with each request, or at least the number of the retry. For
    other clients, the fingerprint consists of the address, the path and the length of the body.
    """
    headers = request.headers
    idempotency_key = headers.get("idempotency-key", "")
    retry_count = headers.get("x-stainless-retry-count", "")
    is_retry = retry_count.isdigit() and retry_count != "0"
    if idempotency_key:
        return RequestFingerprint(hash((request.method, request.path, idempotency_key)), is_retry=True)
    peer = (request.remote, headers.get("x-forwarded-for", ""), headers.get("user-agent", ""))
    return RequestFingerprint(hash((*peer, request.method, request.path, request.content_length)), is_retry)


def _apply_rate_limit(request: web.Request, state: RateLimitState | None) -> None:
    if state is not None:
        request[RATE_LIMIT_STATE] = state
        state.check_allowed()
