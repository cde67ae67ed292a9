"""`GET /v1/admin/live`: what goes on in the gateway, as it changes."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import orjson
from aiohttp import web

from claude_gateway.errors import ApiError
from claude_gateway.web.admission import identify
from claude_gateway.web.answer import pace
from claude_gateway.web.framing import SERVER_SENT_EVENTS, Sent
from claude_gateway.web.parts import PARTS, Parts
from claude_gateway.web.sse import send_stream

_EVERY_SECONDS = 1.0

Snapshot = dict[str, Any]


async def live(request: web.Request) -> web.StreamResponse:
    """A snapshot at once, and one a second while something changes, until the reader leaves, the gateway stops or
    the key opens nothing any more."""
    return await send_stream(request, _changes(request), _Snapshots(), pace(request), {}, SERVER_SENT_EVENTS)


class _Snapshots:
    """Each is one event."""

    def feed(self, event: Snapshot) -> Sequence[Sent]:
        return [("snapshot", orjson.dumps(event).decode())]

    def fail(self, error: ApiError) -> Sequence[Sent]:
        return [("error", orjson.dumps({"error": {"message": error.message, "type": error.type}}).decode())]


async def _changes(request: web.Request) -> AsyncGenerator[Snapshot, None]:
    parts, last = request.app[PARTS], None
    while not parts.drain.is_on:
        await identify(request)
        snapshot = await _snapshot(parts)
        if snapshot != last:
            yield snapshot
            last = snapshot
        await asyncio.sleep(_EVERY_SECONDS)


async def _snapshot(parts: Parts) -> Snapshot:
    report = parts.health.pool
    return {
        "ready": parts.health.readiness()[0],
        "queues": report.queues(),
        "workers": [
            {
                "kind": post.kind,
                "pid": post.pid,
                "phase": post.phase,
                "key_id": post.owner,
                "model": post.model,
                "jobs": post.jobs,
                "memory_mib": memory,
            }
            for post, memory in await report.roster()
        ],
        "sessions": [
            {
                "key_id": keeper.owner,
                "sessions": keeper.sessions,
                "messages": keeper.turns,
                "bytes": keeper.bytes,
                "last_accessed": round(keeper.used_at),
            }
            for keeper in await parts.sessions.keepers()
        ],
    }
