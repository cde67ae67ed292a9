"""MCP servers for the tests, and the requests that register and connect them."""

import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.e2e.helpers.gateway import API_KEY, Gateway

PROGRAMS = Path(__file__).parents[2] / "mcp_programs"
LIBRARY_SERVER = [sys.executable, str(PROGRAMS / "library.py")]
MISBEHAVING_SERVER = [sys.executable, str(PROGRAMS / "misbehaving_server.py")]
# Paths that the MCP servers of these tests need to read.
READABLE_PATHS = ":".join((str(PROGRAMS.parent.parent), sys.prefix, sys.base_prefix))
MCP_SETTINGS: dict[str, Any] = {
    "mcp_allowed_commands": f"{shlex.join(LIBRARY_SERVER)}; {shlex.join(MISBEHAVING_SERVER)} *",
    "mcp_readable_paths": READABLE_PATHS,
    "mcp_allow_private_addresses": True,
    "mcp_call_timeout_seconds": 5,
    "max_mcp_message_mib": 2,
    "mcp_connect_timeout_seconds": 20,
}


@asynccontextmanager
async def open_http_session(gateway: Gateway) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with aiohttp.ClientSession(gateway.url, headers=headers) as session:
        yield session


async def read_json_response(request: Any, status: int | None = None) -> Any:
    async with request as response:
        assert response.status == status if status else response.status < 300, await response.text()
        return await response.json()


async def connect_server(http: aiohttp.ClientSession, name: str, line: list[str], **more: Any) -> Any:
    command, *arguments = line
    await read_json_response(
        http.post("/v1/mcp/servers", json={"name": name, "command": command, "args": arguments, **more})
    )
    return await read_json_response(http.post("/v1/mcp/connect", json={"name": name}))
