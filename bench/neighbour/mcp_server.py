"""An MCP server whose tool answers with millions of empty values."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import web

TOOL = "t"


@asynccontextmanager
async def hostile_server(answer_bytes: int) -> AsyncIterator[str]:
    """It listens for the length of a `with`; yields its URL."""
    content = b"{}," * (answer_bytes // 3) + b'{"type":"text","text":"x"}'

    async def post(request: web.Request) -> web.Response:
        message = orjson.loads(await request.read())
        if "id" not in message:
            return web.Response(status=202)
        head = b'{"jsonrpc":"2.0","id":' + orjson.dumps(message["id"]) + b',"result":'
        if message["method"] == "tools/call":
            body = head + b'{"content":[' + content + b"]}}"
        else:
            body = head + orjson.dumps(_result(message)) + b"}"
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


def _result(message: dict[str, Any]) -> dict[str, Any]:
    if message["method"] != "initialize":
        return {"tools": [{"name": TOOL, "inputSchema": {"type": "object"}}]}
    version = message["params"].get("protocolVersion")
    info = {"name": "hostile", "version": "1"}
    return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}
