"""Handlers for `/v1/mcp`. Clients use them to manage the MCP servers of their key.

Responses never contain the secrets of the servers.
"""

from typing import Any

from aiohttp import web

from claude_gateway.core.errors import bad_request
from claude_gateway.mcp_servers.catalog import ServerCatalog
from claude_gateway.mcp_servers.manager import McpServerManager, RegisteredServer
from claude_gateway.mcp_servers.models import HttpConfig, HttpTransportKind, McpServer, StdioConfig
from claude_gateway.mcp_servers.policy import strip_url_query
from claude_gateway.openapi.resources.mcp import RegisterServerRequest, ServerNameRequest
from claude_gateway.web.context.state import API_KEY, STATE
from claude_gateway.web.request import body
from claude_gateway.web.responses.json_response import json_response

# The kinds of HTTP transport, by the names that configurations of MCP clients use.
_TRANSPORTS: dict[str, HttpTransportKind] = {
    "http": "http",
    "streamable-http": "http",
    "streamable_http": "http",
    "sse": "sse",
}


async def list_servers(request: web.Request) -> web.Response:
    """List the MCP servers that clients have registered with this key."""
    servers = await _get_server_manager(request).list_servers(request[API_KEY].id)
    return json_response({"servers": [_server_to_json(server) for server in servers], "total": len(servers)})


async def register_server(request: web.Request) -> web.Response:
    """Register an MCP server for the key of the client. Replace a server of the key that has the same name."""
    server = _parse_server(await body.read_small_body(request, RegisterServerRequest))
    is_new = await _get_server_manager(request).register(request[API_KEY].id, server)
    message = f"MCP server '{server.name}' {'registered' if is_new else 'replaced'}"
    return json_response(
        {"message": message, "server": _server_to_json(RegisteredServer(server, None))}, status=201 if is_new else 200
    )


async def delete_server(request: web.Request) -> web.Response:
    """Disconnect from an MCP server of the key, and delete the server."""
    name = request.match_info["name"]
    await _get_server_manager(request).delete(request[API_KEY].id, name)
    return json_response({"message": f"MCP server '{name}' deleted"})


async def connect_server(request: web.Request) -> web.Response:
    """Connect to an MCP server of the key, and return how many tools, resources and prompts the server has."""
    name = (await body.read_small_body(request, ServerNameRequest)).name
    catalog = await _get_server_manager(request).connect(request[API_KEY].id, name)
    return json_response({"message": f"Connected to MCP server '{name}'", **_count_catalog(catalog)})


async def disconnect_server(request: web.Request) -> web.Response:
    """Disconnect from an MCP server of the key. The server stays registered."""
    name = (await body.read_small_body(request, ServerNameRequest)).name
    await _get_server_manager(request).disconnect(request[API_KEY].id, name)
    return json_response({"message": f"Disconnected from MCP server '{name}'"})


async def get_mcp_stats(request: web.Request) -> web.Response:
    """Return statistics of the key's MCP servers. `/v1/tools/stats` returns how often each tool was called."""
    servers = await _get_server_manager(request).list_servers(request[API_KEY].id)
    connections = [server.connection for server in servers if server.connection is not None]
    catalogs = [connection.catalog for connection in connections if connection.status == "connected"]
    return json_response(
        {
            "registered_servers": len(servers),
            "connected_servers": len(catalogs),
            "total_tools": sum(len(catalog.tools) for catalog in catalogs),
            "total_resources": sum(catalog.resource_count for catalog in catalogs),
            "total_prompts": sum(catalog.prompt_count for catalog in catalogs),
            "reconnections": sum(connection.reconnect_count for connection in connections),
        }
    )


def _get_server_manager(request: web.Request) -> McpServerManager:
    return request.app[STATE].mcp_servers


def _parse_server(request: RegisterServerRequest) -> McpServer:
    """Convert a request to the MCP server that it describes.

    Raises:
        ApiError: 400 if the request has both a command and a URL, or neither.
    """
    if (request.command is None) == (request.url is None):
        raise bad_request("command", "a server has either a `command` or a `url`")
    if request.url is not None:
        if request.type == "stdio":
            raise bad_request("type", "a server with a `url` is of type http or sse")
        path = request.url.partition("?")[0].rstrip("/")
        kind = _TRANSPORTS[request.type] if request.type else "sse" if path.endswith("/sse") else "http"
        return McpServer(
            request.name, HttpConfig(request.url, request.headers, kind), request.description, request.enabled
        )
    if request.type not in (None, "stdio") or not request.command:
        raise bad_request("type", "a server with a `command` is of type stdio")
    return McpServer(
        request.name, StdioConfig((request.command, *request.args), request.env), request.description, request.enabled
    )


def _server_to_json(registered_server: RegisteredServer) -> dict[str, Any]:
    server, connection = registered_server.server, registered_server.connection
    catalog = connection.catalog if connection else ServerCatalog()
    return {
        "name": server.name,
        **_transport_to_json(server.transport),
        "description": server.description,
        "enabled": server.enabled,
        "connected": connection is not None and connection.status == "connected",
        "status": connection.status if connection else "disconnected",
        "error": (connection.error or None) if connection else None,
        **_count_catalog(catalog),
        "omitted_tools": catalog.skipped_tool_count,
        "tool_names": [mcp_tool.tool.name for mcp_tool in catalog.tools],
    }


def _transport_to_json(transport: StdioConfig | HttpConfig) -> dict[str, Any]:
    """Return the JSON fields that describe the connection to an MCP server.

    The fields contain the names of environment variables and HTTP headers, but not their values.
    """
    match transport:
        case StdioConfig(command, env):
            return {"type": "stdio", "command": command[0], "args": list(command[1:]), "env": sorted(env)}
        case HttpConfig(url, headers, kind):
            return {"type": kind, "url": strip_url_query(url), "headers": sorted(headers)}


def _count_catalog(catalog: ServerCatalog) -> dict[str, int]:
    return {"tools": len(catalog.tools), "resources": catalog.resource_count, "prompts": catalog.prompt_count}
