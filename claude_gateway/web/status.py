"""The small read-only endpoints: health, version, login, models."""

from typing import Any

from aiohttp import web

from claude_gateway.dialects.anthropic import models as anthropic
from claude_gateway.web.json_answer import json_answer
from claude_gateway.web.keys import CATALOGUE, HEALTH
from claude_gateway.web.spoken import speaks_anthropic

# The models' release dates are not known to the CLI; clients need an integer, none reads it.
_CREATED = 1_735_689_600


async def health(request: web.Request) -> web.Response:
    return json_answer(request.app[HEALTH].health())


async def live(_: web.Request) -> web.Response:
    return json_answer({"status": "alive"})


async def ready(request: web.Request) -> web.Response:
    is_ready, report = request.app[HEALTH].readiness()
    return json_answer(report, status=200 if is_ready else 503)


async def versions(request: web.Request) -> web.Response:
    return json_answer(request.app[HEALTH].versions())


async def auth_status(request: web.Request) -> web.Response:
    return json_answer(request.app[HEALTH].login())


async def models(request: web.Request) -> web.Response:
    ids = request.app[CATALOGUE].ids
    if speaks_anthropic(request):
        return json_answer(anthropic.page(ids, request.query))
    return json_answer({"object": "list", "data": [_model(name) for name in ids]})


async def model(request: web.Request) -> web.Response:
    name = request.app[CATALOGUE].get(request.match_info["id"])
    return json_answer(anthropic.model(name) if speaks_anthropic(request) else _model(name))


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "anthropic"}
