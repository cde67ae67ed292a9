"""`GET /metrics`, for Prometheus. It needs a key with the scope `admin`, as the table of `rules` says."""

import asyncio
import os

from aiohttp import web

from claude_gateway.telemetry.metrics import CONTENT_TYPE
from claude_gateway.web.parts import PARTS
from workers.rss import mebibytes


async def metrics(request: web.Request) -> web.Response:
    parts = request.app[PARTS]
    report = parts.health.pool
    memory, roster, tasks = await mebibytes(os.getpid()), await report.roster(), len(asyncio.all_tasks())
    body = parts.metrics.exposed(memory, tasks, roster, report.queues(), parts.ledger.unwritten)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})
