"""Handlers for `/health`, `/version` and `/v1/auth/status`.

Only clients with a valid key see the versions of components, because an attacker could look for known security faults
in these versions.
"""

from aiohttp import web

from claude_gateway.web.context.state import API_KEY, STATE
from claude_gateway.web.request.authentication import find_valid_key, has_valid_key
from claude_gateway.web.responses.json_response import json_response


async def get_health(request: web.Request) -> web.Response:
    """Return the health of the gateway. If the client sends a valid key, include the versions of components."""
    return json_response(request.app[STATE].health.health(with_version=await has_valid_key(request)))


async def get_liveness(_: web.Request) -> web.Response:
    """Report that the process of the gateway responds to requests."""
    return json_response({"status": "alive"})


async def get_readiness(request: web.Request) -> web.Response:
    """Report whether the gateway accepts jobs, with status 200 if it does and 503 if it does not.

    If the client sends a valid key, include the limits of the logins that the key may use.
    """
    is_ready, report = request.app[STATE].health.readiness(await find_valid_key(request))
    if request.app[STATE].shutdown.is_draining:
        is_ready, report = False, report | {"status": "shutting_down"}
    return json_response(report, status=200 if is_ready else 503)


async def get_version(request: web.Request) -> web.Response:
    """Return the version of the gateway. If the client sends a valid key, include the versions of components."""
    return json_response(request.app[STATE].health.versions(with_components=await has_valid_key(request)))


async def get_auth_status(request: web.Request) -> web.Response:
    """Return how Claude Code is logged in, and the id, name and scopes of the client's key."""
    key = request[API_KEY]
    current_key = {"key_id": key.id, "name": key.name, "scopes": sorted(key.scopes)}
    return json_response({**request.app[STATE].health.login_status(key), "current_key": current_key})
