"""`/v1/mcp`: the MCP servers of the calling key. Their secrets come in here and never out."""

from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from claude_gateway.mcp_servers.offered import Listing
from claude_gateway.mcp_servers.rules import shown_url
from claude_gateway.mcp_servers.server import Address, Kind, Program, Server
from claude_gateway.mcp_servers.servers import McpServers, Standing
from claude_gateway.prompt.conversation import bad
from claude_gateway.web import body
from claude_gateway.web.json_answer import json_answer
from claude_gateway.web.parts import CALLER, PARTS

Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
# As other programs call the transports in their configurations.
_KINDS: dict[str, Kind] = {"http": "http", "streamable-http": "http", "streamable_http": "http", "sse": "sse"}


class ServerRequest(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    name: Name
    command: str | None = None
    args: Annotated[list[str], Field(max_length=100)] = []
    env: dict[str, str] = {}
    url: str | None = None
    headers: dict[str, str] = {}
    type: Literal["stdio", "http", "streamable-http", "streamable_http", "sse"] | None = Field(
        None, validation_alias=AliasChoices("type", "transport")
    )
    description: Annotated[str, Field(max_length=1_000)] = ""
    enabled: bool = True


class NamedRequest(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    name: Annotated[str, Field(max_length=100, validation_alias=AliasChoices("name", "server_name"))]


async def listed(request: web.Request) -> web.Response:
    found = await _servers(request).all_of(request[CALLER].id)
    return json_answer({"servers": [_shown(one) for one in found], "total": len(found)})


async def registered(request: web.Request) -> web.Response:
    servers, owner = _servers(request), request[CALLER].id
    server = _read(await body.read(request, ServerRequest))
    is_new = await servers.register(owner, server)
    message = f"MCP server '{server.name}' {'registered' if is_new else 'replaced'}"
    return json_answer({"message": message, "server": _shown(Standing(server, None))}, status=201 if is_new else 200)


async def deleted(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    await _servers(request).delete(request[CALLER].id, name)
    return json_answer({"message": f"MCP server '{name}' deleted"})


async def connected(request: web.Request) -> web.Response:
    servers, asked = _servers(request), await body.read(request, NamedRequest)
    listing = await servers.connect(request[CALLER].id, asked.name)
    return json_answer({"message": f"Connected to MCP server '{asked.name}'", **_counts(listing)})


async def disconnected(request: web.Request) -> web.Response:
    servers, asked = _servers(request), await body.read(request, NamedRequest)
    await servers.disconnect(request[CALLER].id, asked.name)
    return json_answer({"message": f"Disconnected from MCP server '{asked.name}'"})


async def stats(request: web.Request) -> web.Response:
    """Of the calling key. The calls of each tool are in `/v1/tools/stats`."""
    found = await _servers(request).all_of(request[CALLER].id)
    there = [one.connection for one in found if one.connection and one.connection.status == "connected"]
    return json_answer(
        {
            "registered_servers": len(found),
            "connected_servers": len(there),
            "total_tools": sum(len(one.listing.tools) for one in there),
            "total_resources": sum(one.listing.resources for one in there),
            "total_prompts": sum(one.listing.prompts for one in there),
            "reconnections": sum(one.connection.reconnections for one in found if one.connection),
        }
    )


def _servers(request: web.Request) -> McpServers:
    return request.app[PARTS].mcp_servers


def _read(asked: ServerRequest) -> Server:
    """Raises `ApiError` 400 for what is neither a program nor an address, or both."""
    if (asked.command is None) == (asked.url is None):
        raise bad("command", "a server has either a `command` or a `url`")
    if asked.url is not None:
        if asked.type == "stdio":
            raise bad("type", "a server with a `url` is of type http or sse")
        path = asked.url.partition("?")[0].rstrip("/")
        kind = _KINDS[asked.type] if asked.type else "sse" if path.endswith("/sse") else "http"
        return Server(asked.name, Address(asked.url, asked.headers, kind), asked.description, asked.enabled)
    if asked.type not in (None, "stdio") or not asked.command:
        raise bad("type", "a server with a `command` is of type stdio")
    return Server(asked.name, Program((asked.command, *asked.args), asked.env), asked.description, asked.enabled)


def _shown(one: Standing) -> dict[str, Any]:
    server, connection = one.server, one.connection
    listing = connection.listing if connection else Listing()
    return {
        "name": server.name,
        **_reach(server.reach),
        "description": server.description,
        "enabled": server.enabled,
        "connected": connection is not None and connection.status == "connected",
        "status": connection.status if connection else "disconnected",
        "error": (connection.error or None) if connection else None,
        **_counts(listing),
        "tools_left_out": listing.left_out,
        "tool_names": [one.tool.name for one in listing.tools],
    }


def _reach(reach: Program | Address) -> dict[str, Any]:
    """Of variables and headers the names alone."""
    match reach:
        case Program(line, env):
            return {"type": "stdio", "command": line[0], "args": list(line[1:]), "env": sorted(env)}
        case Address(url, headers, kind):
            return {"type": kind, "url": shown_url(url), "headers": sorted(headers)}


def _counts(listing: Listing) -> dict[str, int]:
    return {"tools": len(listing.tools), "resources": listing.resources, "prompts": listing.prompts}
