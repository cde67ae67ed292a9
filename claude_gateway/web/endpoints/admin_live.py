"""Handler for `GET /v1/admin/live`. It sends a stream of snapshots of the queues, workers and sessions."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import orjson
from aiohttp import web

from claude_gateway.core.errors import ApiError
from claude_gateway.web.context.state import STATE, AppState
from claude_gateway.web.pipeline.respond import get_stream_timing
from claude_gateway.web.request.authentication import authenticate_request
from claude_gateway.web.streaming.framing import SSE_FRAMING, StreamMessage
from claude_gateway.web.streaming.sse import send_stream

_SNAPSHOT_INTERVAL_SECONDS = 1.0

Snapshot = dict[str, Any]


async def stream_live(request: web.Request) -> web.StreamResponse:
    """Send a snapshot of the queues, workers and sessions at once, and a new one after each second with a change.

    The stream ends when the client disconnects, when the gateway shuts down, or when the key becomes invalid.
    """
    return await send_stream(
        request, _watch_snapshots(request), _SnapshotEncoder(), get_stream_timing(request.app[STATE]), {}, SSE_FRAMING
    )


class _SnapshotEncoder:
    """Encoder that converts each snapshot to one message of the stream."""

    def feed(self, snapshot: Snapshot) -> Sequence[StreamMessage]:
        """Return the message for a snapshot."""
        return [("snapshot", orjson.dumps(snapshot).decode())]

    def fail(self, error: ApiError) -> Sequence[StreamMessage]:
        """Return the message for an error. The stream ends after this message."""
        return [("error", orjson.dumps({"error": {"message": error.message, "type": error.type}}).decode())]


async def _watch_snapshots(request: web.Request) -> AsyncGenerator[Sequence[Snapshot], None]:
    state, last_snapshot = request.app[STATE], None
    while not state.shutdown.is_draining:
        await authenticate_request(request)
        snapshot = await _take_snapshot(state)
        if snapshot != last_snapshot:
            yield [snapshot]
            last_snapshot = snapshot
        await asyncio.sleep(_SNAPSHOT_INTERVAL_SECONDS)


async def _take_snapshot(state: AppState) -> Snapshot:
    engine_status = state.health.pool
    return {
        "ready": state.health.readiness()[0],
        "queues": engine_status.queue_counts_by_kind(),
        "logins": state.health.list_logins(),
        "workers": [
            {
                "pool": process.kind,
                "pid": process.pid,
                "phase": process.phase,
                "key_id": process.key_id,
                "group": process.group,
                "model": process.model,
                "completed_jobs": process.job_count,
                "memory_mib": memory_mib,
            }
            for process, memory_mib in await engine_status.list_processes()
        ],
        "sessions": [
            {
                "key_id": totals.key_id,
                "sessions": totals.session_count,
                "messages": totals.turn_count,
                "size_bytes": totals.size_bytes,
                "last_accessed": round(totals.used_at),
            }
            for totals in await state.sessions.list_key_totals()
        ],
    }
