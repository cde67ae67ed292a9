"""A hostile server of every transport, with the real protocol package in between."""

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

from claude_gateway.mcp_servers.bounds import Bounds
from claude_gateway.mcp_servers.connection import Flooded
from claude_gateway.mcp_servers.flood import Volume
from claude_gateway.mcp_servers.housing import Housing
from claude_gateway.mcp_servers.server import Address, Program, Server
from claude_gateway.mcp_servers.servers import opener
from claude_gateway.mcp_servers.session import Session, opened
from claude_gateway.name_resolver import NameResolver

BOUNDS = Bounds(message_bytes=100_000, message_values=1_000, message_depth=20, parts=50, entries=50)
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
    "depth": ('{"structuredContent":{"a":' + "[" * 30 + "]" * 30 + "}}", "more than 20 deep"),
    "size": ('{"content":[{"type":"text","text":"' + "\\u0041" * 20_000 + '"}]}', "larger than MCP_MESSAGE_MIB"),
    "digits": ('{"structuredContent":{"a":' + "9" * 1_000 + "}}", "more than 200 digits"),
    "parts": ('{"content":[' + ",".join(['{"type":"text","text":"x"}'] * 51) + "]}", "more than 50 parts"),
    "entries": ('{"tools":[' + ",".join(["{}"] * 51) + "]}", "more than 50 entries"),
}
# Reads a line and answers it, by what a file says.
PROGRAM = """
import json, sys
answers = json.load(open(sys.argv[1]))
for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        result = answers.get(message["method"], "{}")
        sys.stdout.write('{"jsonrpc":"2.0","id":%s,"result":%s}\\n' % (json.dumps(message["id"]), result))
        sys.stdout.flush()
"""


def answers(**hostile: str) -> dict[str, str]:
    return {
        "initialize": HANDSHAKE,
        "tools/list": TOOLS,
        **{name.replace("_", "/"): one for name, one in hostile.items()},
    }


@asynccontextmanager
async def session(kind: str, said: dict[str, str], tmp_path: Path) -> AsyncIterator[Session]:
    """With a server that answers each method with what `said` has for it, by whatever transport."""
    housing = Housing(tmp_path, must_box=False)
    await housing.open()
    try:
        if kind == "stdio":
            file = tmp_path / "answers.json"
            file.write_text(json.dumps(said))
            reach: Any = Program((sys.executable, "-c", PROGRAM, str(file)))
            async with opened(
                "me", Server("hostile", reach), BOUNDS, housing, NameResolver(), Volume(0.0), private=True
            ) as one:
                yield one
        else:
            async with TestServer(network_server(kind, said)) as server:
                reach = Address(str(server.make_url("/mcp")), {}, "sse" if kind == "sse" else "http")
                async with opened(
                    "me", Server("hostile", reach), BOUNDS, housing, NameResolver(), Volume(0.0), private=True
                ) as one:
                    yield one
    finally:
        housing.close()


async def used(kind: str, said: dict[str, str], tmp_path: Path) -> None:
    async with session(kind, said, tmp_path) as one:
        await one.listing()
        await one.ping()
        await one.call("look", {})


def network_server(kind: str, said: dict[str, str]) -> web.Application:
    waiting: asyncio.Queue[str] = asyncio.Queue()

    async def post(request: web.Request) -> web.StreamResponse:
        message = await request.json()
        if "id" not in message:
            return web.Response(status=202)
        result = said.get(message["method"], "{}")
        answer = f'{{"jsonrpc":"2.0","id":{json.dumps(message["id"])},"result":{result}}}'
        if kind == "sse":
            waiting.put_nowait(answer)
            return web.Response(status=202)
        if kind == "json":
            return web.Response(text=answer, content_type="application/json")
        # What does not belong to a message must not hide what does.
        return web.Response(text=f'id: "\r\ndata: {answer}\r\n\r\n', content_type="text/event-stream")

    async def get(request: web.Request) -> web.StreamResponse:
        if kind != "sse":
            return web.Response(status=405)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"event: endpoint\ndata: /mcp\n\n")
        while True:
            await response.write(f"event: message\ndata: {await waiting.get()}\n\n".encode())

    app = web.Application()
    app.router.add_post("/mcp", post)
    app.router.add_get("/mcp", get)
    return app


@pytest.mark.promise("mcp.message-bounds")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("vice", HOSTILE)
async def test_ends_the_connection_at_an_answer_beyond_the_bounds(kind: str, vice: str, tmp_path: Path) -> None:
    result, why = HOSTILE[vice]

    with pytest.raises(Flooded, match=why):
        await used(kind, answers(tools_call=result), tmp_path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["initialize", "tools_list", "ping"])
async def test_ends_the_connection_at_whatever_message_is_beyond_the_bounds(
    kind: str, method: str, tmp_path: Path
) -> None:
    with pytest.raises(Flooded, match="more than 1000 values"):
        await used(kind, answers(**{method: '{"a":' + VALUES + "}"}), tmp_path)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_within_the_bounds_is_listed_and_called(kind: str, tmp_path: Path) -> None:
    text = '{"content":[{"type":"text","text":"' + "[{}," * 2_000 + '","annotations":{"audience":["user"]}}]}'
    async with session(kind, answers(tools_call=text), tmp_path) as one:
        assert [tool.own_name for tool in (await one.listing()).tools] == ["look"]
        assert "[{},[{}," in str(await one.call("look", {}))


async def test_what_the_servers_of_a_key_send_counts_together_and_for_no_other_key(tmp_path: Path) -> None:
    bounds = replace(BOUNDS, flood_values=1_500, servers=2)
    hundreds = '{"content":[],"structuredContent":{"a":[' + "0," * 900 + "0]}}"
    housing = Housing(tmp_path, must_box=False)
    start = opener(bounds, housing, NameResolver(), private=True)
    async with TestServer(network_server("json", answers(tools_call=hundreds))) as server:
        reach = Server("loud", Address(str(server.make_url("/mcp"))))
        async with start("me", reach) as first, start("another", reach) as anothers:
            await first.call("look", {})
            with pytest.raises(Flooded, match="more than 1500 values"):
                await used_one(start("me", reach))
            assert not (await anothers.call("look", {})).is_error


async def used_one(opening: AbstractAsyncContextManager[Any]) -> None:
    async with opening as one:
        await one.call("look", {})
