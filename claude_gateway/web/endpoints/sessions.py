"""Handlers for `/v1/sessions`. Clients use them to list and delete the sessions of their key."""

from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from claude_gateway.sessions.service import CLEANUP_INTERVAL_SECONDS
from claude_gateway.sessions.session_store import SessionInfo
from claude_gateway.web.context.state import API_KEY, STATE
from claude_gateway.web.responses.json_response import json_response


async def list_sessions(request: web.Request) -> web.Response:
    """List the sessions of the key that were used last, at most 1000.

    The field `total` contains the number of all sessions of the key.
    """
    sessions, key_id = request.app[STATE].sessions, request[API_KEY].id
    infos, totals = await sessions.list_sessions(key_id), await sessions.get_totals(key_id)
    return json_response({"sessions": [_session_to_json(info) for info in infos], "total": totals.active_count})


async def get_session_stats(request: web.Request) -> web.Response:
    """Return statistics of the key's sessions, and the settings for the deletion of expired sessions."""
    sessions = request.app[STATE].sessions
    totals = await sessions.get_totals(request[API_KEY].id)
    return json_response(
        {
            "session_stats": {
                "active_sessions": totals.active_count,
                "expired_sessions": totals.expired_count,
                "total_messages": totals.turn_count,
            },
            "cleanup_interval_minutes": _round_number(CLEANUP_INTERVAL_SECONDS / 60),
            "default_ttl_hours": _round_number(sessions.limits.ttl_seconds / 3600),
        }
    )


async def get_session(request: web.Request) -> web.Response:
    """Return the description of one session."""
    return json_response(
        _session_to_json(await request.app[STATE].sessions.get_session(request[API_KEY].id, request.match_info["id"]))
    )


async def delete_session(request: web.Request) -> web.Response:
    """Delete a session with its turns and its files."""
    id_ = request.match_info["id"]
    await request.app[STATE].sessions.delete_session(request[API_KEY].id, id_)
    return json_response({"message": f"Session {id_} deleted successfully"})


def _session_to_json(info: SessionInfo) -> dict[str, Any]:
    return {
        "session_id": info.id,
        "created_at": _format_time(info.created_at),
        "last_accessed": _format_time(info.used_at),
        "message_count": info.turn_count,
        "expires_at": _format_time(info.expires_at),
    }


def _format_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _round_number(value: float) -> float:
    """Return a whole number as an integer, so that the JSON contains 1, not 1.0. Round other numbers."""
    return int(value) if value == int(value) else round(value, 4)
