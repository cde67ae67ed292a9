"""Hostile servers over every transport, through the real `mcp` package."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from claude_gateway.mcp_servers.client import McpClient, open_client
from claude_gateway.mcp_servers.connection import ServerExceededLimit
from claude_gateway.mcp_servers.inbound_limit import InboundVolume
from claude_gateway.mcp_servers.launcher import ServerLauncher
from claude_gateway.mcp_servers.limits import McpLimits
from claude_gateway.mcp_servers.manager import create_session_factory
from claude_gateway.mcp_servers.models import HttpConfig, McpServer, StdioConfig
from claude_gateway.net.name_resolver import NameResolver

LIMITS = McpLimits(
    max_message_bytes=100_000, max_message_values=1_000, max_message_depth=20, max_result_parts=50, max_list_entries=50
)
KINDS = ("json", "events", "sse", "stdio")
TOOLS = json.dumps({"tools": [{"name": "look", "inputSchema": {"type": "object"}}]})
HANDSHAKE = json.dumps(
    {
        "protocolVersion": "2025-06-18",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "hostile", "version": "1"},
    }
)
VALUES = "[" + "{}," * 2_000 + "{}]"
HOSTILE = {
    "values": ('{"content":' + VALUES + "}", "more than 1000 values"),
    "values of a page": ('{"tools":' + VALUES + "}", "more than 1000 values"),
    "values behind a string": ('{"content":[],"structuredContent":{"\\"":"\\\\","a":' + VALUES + "}}", "1000 values"),
    "depth": ('{"structuredContent":{"a":' + "[" * 30 + "]" * 30 + "}}", "more than 20 levels deep"),
    "size": ('{"content":[{"type":"text","text":"' + "\\u0041" * 20_000 + '"}]}', "larger than MAX_MCP_MESSAGE_MIB"),
    "digits": ('{"structuredContent":{"a":' + "9" * 1_000 + "}}", "more than 200 digits"),
    "parts": ('{"content":[' + ",".join(['{"type":"text","text":"x"}'] * 51) + "]}", "more than 50 parts"),
    "entries": ('{"tools":[' + ",".join(["{}"] * 51) + "]}", "more than 50 entries"),
}
# Replies to each request with the result that a JSON file has for its method.
PROGRAM = """
import json, sys
results = json.load(open(sys.argv[1]))
for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        result = results.get(message["method"], "{}")
        sys.stdout.write('{"jsonrpc":"2.0","id":%s,"result":%s}\\n' % (json.dumps(message["id"]), result))
        sys.stdout.flush()
"""


def create_results(**hostile: str) -> dict[str, str]:
    return {
        "initialize": HANDSHAKE,
        "tools/list": TOOLS,
        **{name.replace("_", "/"): result for name, result in hostile.items()},
    }


@asynccontextmanager
async def open_session_with(kind: str, results: dict[str, str], tmp_path: Path) -> AsyncIterator[McpClient]:
    """Open a session, over the transport `kind`, with a server that replies to each method with its result."""
    launcher = ServerLauncher(tmp_path, require_sandbox=False)
    await launcher.open()
    try:
        if kind == "stdio":
            file = tmp_path / "results.json"
            file.write_text(json.dumps(results))
            server_config: Any = StdioConfig((sys.executable, "-c", PROGRAM, str(file)))
            async with open_client(
                "me",
                McpServer("hostile", server_config),
                LIMITS,
                launcher,
                NameResolver(),
                InboundVolume(0.0),
                allow_private=True,
            ) as client:
                yield client
        else:
            async with TestServer(create_http_server(kind, results)) as server:
                server_config = HttpConfig(str(server.make_url("/mcp")), {}, "sse" if kind == "sse" else "http")
                async with open_client(
                    "me",
                    McpServer("hostile", server_config),
                    LIMITS,
                    launcher,
                    NameResolver(),
                    InboundVolume(0.0),
                    allow_private=True,
                ) as client:
                    yield client
    finally:
        launcher.close()


async def use_session(kind: str, results: dict[str, str], tmp_path: Path) -> None:
    async with open_session_with(kind, results, tmp_path) as client:
        await client.fetch_catalog()
        await client.ping()
        await client.call_tool("look", {})


def create_http_server(kind: str, results: dict[str, str]) -> web.Application:
    event_queue: asyncio.Queue[str] = asyncio.Queue()

    async def post(request: web.Request) -> web.StreamResponse:
        message = await request.json()
        if "id" not in message:
            return web.Response(status=202)
        result = results.get(message["method"], "{}")
        reply = f'{{"jsonrpc":"2.0","id":{json.dumps(message["id"])},"result":{result}}}'
        if kind == "sse":
            event_queue.put_nowait(reply)
            return web.Response(status=202)
        if kind == "json":
            return web.Response(text=reply, content_type="application/json")
        # The quote outside the message must not hide the content of the message from the scanner.
        return web.Response(text=f'id: "\r\ndata: {reply}\r\n\r\n', content_type="text/event-stream")

    async def get(request: web.Request) -> web.StreamResponse:
        if kind != "sse":
            return web.Response(status=405)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"event: endpoint\ndata: /mcp\n\n")
        while True:
            await response.write(f"event: message\ndata: {await event_queue.get()}\n\n".encode())

    app = web.Application()
    app.router.add_post("/mcp", post)
    app.router.add_get("/mcp", get)
    return app


@pytest.mark.promise("mcp.message-bounds")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kind_of_attack", HOSTILE)
async def test_disconnects_at_a_response_beyond_the_limits(kind: str, kind_of_attack: str, tmp_path: Path) -> None:
    result, reason = HOSTILE[kind_of_attack]

    with pytest.raises(ServerExceededLimit, match=reason):
        await use_session(kind, create_results(tools_call=result), tmp_path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["initialize", "tools_list", "ping"])
async def test_disconnects_at_any_message_beyond_the_limits(kind: str, method: str, tmp_path: Path) -> None:
    with pytest.raises(ServerExceededLimit, match="more than 1000 values"):
        await use_session(kind, create_results(**{method: '{"a":' + VALUES + "}"}), tmp_path)


@pytest.mark.parametrize("kind", KINDS)
async def test_lists_and_calls_a_server_within_the_limits(kind: str, tmp_path: Path) -> None:
    text = '{"content":[{"type":"text","text":"' + "[{}," * 2_000 + '","annotations":{"audience":["user"]}}]}'
    async with open_session_with(kind, create_results(tools_call=text), tmp_path) as client:
        assert [tool.server_tool_name for tool in (await client.fetch_catalog()).tools] == ["look"]
        assert "[{},[{}," in str(await client.call_tool("look", {}))


async def test_servers_of_one_key_share_the_inbound_limit(tmp_path: Path) -> None:
    limits = replace(LIMITS, max_inbound_values=1_500, max_servers=2)
    large_result = '{"content":[],"structuredContent":{"a":[' + "0," * 900 + "0]}}"
    launcher = ServerLauncher(tmp_path, require_sandbox=False)
    open_session = create_session_factory(limits, launcher, NameResolver(), allow_private=True)
    async with TestServer(create_http_server("json", create_results(tools_call=large_result))) as server:
        loud_server = McpServer("loud", HttpConfig(str(server.make_url("/mcp"))))
        async with open_session("me", loud_server) as first, open_session("another", loud_server) as other_key_session:
            await first.call_tool("look", {})
            with pytest.raises(ServerExceededLimit, match="more than 1500 values"):
                await call_in_session(open_session("me", loud_server))
            assert not (await other_key_session.call_tool("look", {})).is_error


async def call_in_session(session_context: AbstractAsyncContextManager[Any]) -> None:
    async with session_context as session:
        await session.call_tool("look", {})
