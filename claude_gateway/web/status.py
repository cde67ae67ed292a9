"""The small read-only endpoints: health, version, login, models."""

from typing import Any

from aiohttp import web

from claude_gateway.web.json_answer import json_answer
from claude_gateway.web.keys import CATALOGUE, HEALTH

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
    if _asks_as_anthropic(request):
        data = [_anthropic_model(name) for name in ids]
        return json_answer({"data": data, "has_more": False, "first_id": ids[0], "last_id": ids[-1]})
    return json_answer({"object": "list", "data": [_model(name) for name in ids]})


async def model(request: web.Request) -> web.Response:
    name = request.app[CATALOGUE].get(request.match_info["id"])
    return json_answer(_anthropic_model(name) if _asks_as_anthropic(request) else _model(name))


def _asks_as_anthropic(request: web.Request) -> bool:
    return "anthropic-version" in request.headers


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "anthropic"}


def _anthropic_model(name: str) -> dict[str, Any]:
    return {"type": "model", "id": name, "display_name": name, "created_at": "2025-01-01T00:00:00Z"}
