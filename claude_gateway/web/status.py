"""The small read-only endpoints: health, version, login.

Versions of parts are told to callers with a key alone: to a stranger they would say which faults to try.
"""

from aiohttp import web

from claude_gateway.web.admission import is_known
from claude_gateway.web.json_answer import json_answer
from claude_gateway.web.parts import CALLER, PARTS


async def health(request: web.Request) -> web.Response:
    return json_answer(request.app[PARTS].health.health(with_version=await is_known(request)))


async def live(_: web.Request) -> web.Response:
    return json_answer({"status": "alive"})


async def ready(request: web.Request) -> web.Response:
    is_ready, report = request.app[PARTS].health.readiness()
    if request.app[PARTS].drain.is_on:
        is_ready, report = False, report | {"status": "stopping"}
    return json_answer(report, status=200 if is_ready else 503)


async def versions(request: web.Request) -> web.Response:
    return json_answer(request.app[PARTS].health.versions(of_parts=await is_known(request)))


async def auth_status(request: web.Request) -> web.Response:
    """The login of Claude Code, and what the calling key may do."""
    key = request[CALLER]
    caller = {"key_id": key.id, "name": key.name, "scopes": sorted(key.scopes)}
    return json_answer({**request.app[PARTS].health.login(), "caller": caller})
