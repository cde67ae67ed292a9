"""`GET /openapi.json`."""

import asyncio
from functools import cache
from importlib.metadata import version

import orjson
from aiohttp import web

from claude_gateway.openapi.document import document
from claude_gateway.openapi.operations import OPERATIONS, TABLES

# Read once: each look at it reads files.
_VERSION = version("claude-gateway")


async def openapi(_: web.Request) -> web.Response:
    # In a thread, for it takes a while the first time, and no stream is to wait for it.
    return web.Response(body=await asyncio.to_thread(_document), content_type="application/json")


@cache
def _document() -> bytes:
    return orjson.dumps(document(OPERATIONS, TABLES, _VERSION))
