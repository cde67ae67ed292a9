"""Handler for `GET /metrics`. Prometheus sends this request with a key that has the scope `admin`."""

import asyncio
import os

from aiohttp import web

from claude_gateway.observability.metrics import CONTENT_TYPE
from claude_gateway.web.context.state import STATE
from workers.host.memory_usage import read_rss_mib


async def get_metrics(request: web.Request) -> web.Response:
    """Return all metrics in the text format of Prometheus."""
    state = request.app[STATE]
    engine_status = state.health.pool
    body = state.metrics.render(
        await read_rss_mib(os.getpid()),
        len(asyncio.all_tasks()),
        await engine_status.list_processes(),
        engine_status.queue_counts_by_kind(),
        state.usage_recorder.unwritten_records,
        state.health.logins.summarize(),
        engine_status.chat_capacity,
    )
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})
