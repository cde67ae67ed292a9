"""Hostile MCP server whose tool returns millions of empty values."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import web

TOOL_NAME = "t"


@asynccontextmanager
async def run_hostile_server(result_bytes: int) -> AsyncIterator[str]:
    """Run the server for the length of a `with`; yield its URL."""
    content = b"{}," * (result_bytes // 3) + b'{"type":"text","text":"x"}'

    async def post(request: web.Request) -> web.Response:
        message = orjson.loads(await request.read())
        if "id" not in message:
            return web.Response(status=202)
        head = b'{"jsonrpc":"2.0","id":' + orjson.dumps(message["id"]) + b',"result":'
        if message["method"] == "tools/call":
            body = head + b'{"content":[' + content + b"]}}"
        else:
            body = head + orjson.dumps(_build_result(message)) + b"}"
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_post("/mcp", post)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/mcp"
    finally:
        await runner.cleanup()


def _build_result(message: dict[str, Any]) -> dict[str, Any]:
    if message["method"] != "initialize":
        return {"tools": [{"name": TOOL_NAME, "inputSchema": {"type": "object"}}]}
    version = message["params"].get("protocolVersion")
    info = {"name": "hostile", "version": "1"}
    return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}
