"""`/v1/sessions`: what Claude remembers for the calling key, and how it is made to forget."""

from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from claude_gateway.sessions.register import SWEEP_SECONDS
from claude_gateway.stores.sessions import SessionInfo
from claude_gateway.web.json_answer import json_answer
from claude_gateway.web.parts import CALLER, PARTS


async def listed(request: web.Request) -> web.Response:
    """The thousand used last; `total` counts them all."""
    sessions, owner = request.app[PARTS].sessions, request[CALLER].id
    infos, totals = await sessions.infos(owner), await sessions.totals(owner)
    return json_answer({"sessions": [_info(info) for info in infos], "total": totals.active})


async def stats(request: web.Request) -> web.Response:
    sessions = request.app[PARTS].sessions
    totals = await sessions.totals(request[CALLER].id)
    return json_answer(
        {
            "session_stats": {
                "active_sessions": totals.active,
                "expired_sessions": totals.expired,
                "total_messages": totals.turns,
            },
            "cleanup_interval_minutes": _number(SWEEP_SECONDS / 60),
            "default_ttl_hours": _number(sessions.limits.ttl / 3600),
        }
    )


async def shown(request: web.Request) -> web.Response:
    return json_answer(_info(await request.app[PARTS].sessions.info(request[CALLER].id, request.match_info["id"])))


async def forgotten(request: web.Request) -> web.Response:
    id_ = request.match_info["id"]
    await request.app[PARTS].sessions.forget(request[CALLER].id, id_)
    return json_answer({"message": f"Session {id_} deleted successfully"})


def _info(info: SessionInfo) -> dict[str, Any]:
    return {
        "session_id": info.id,
        "created_at": _time(info.created_at),
        "last_accessed": _time(info.used_at),
        "message_count": info.turns,
        "expires_at": _time(info.expires_at),
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _number(value: float) -> float:
    """1 rather than 1.0: it is read by people too."""
    return int(value) if value == int(value) else round(value, 4)
