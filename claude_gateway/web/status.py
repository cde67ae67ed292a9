"""The small read-only endpoints: health, version, login, models."""

from typing import Any

import orjson
from aiohttp import web

from claude_gateway.web.keys import CATALOGUE, HEALTH

# The models' release dates are not known to the CLI; clients need an integer, none reads it.
_CREATED = 1_735_689_600


async def health(request: web.Request) -> web.Response:
    return _json(request.app[HEALTH].health())


async def live(_: web.Request) -> web.Response:
    return _json({"status": "alive"})


async def ready(request: web.Request) -> web.Response:
    is_ready, report = request.app[HEALTH].readiness()
    return _json(report, status=200 if is_ready else 503)


async def versions(request: web.Request) -> web.Response:
    return _json(request.app[HEALTH].versions())


async def auth_status(request: web.Request) -> web.Response:
    return _json(request.app[HEALTH].login())


async def models(request: web.Request) -> web.Response:
    return _json({"object": "list", "data": [_model(name) for name in request.app[CATALOGUE].ids]})


async def model(request: web.Request) -> web.Response:
    return _json(_model(request.app[CATALOGUE].get(request.match_info["id"])))


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "anthropic"}


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")
