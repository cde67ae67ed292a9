"""What `web/mcp.py` answers."""

from typing import Any, Literal

from claude_gateway.openapi.operation import Answer, Answered, Body, Group, Maybe, Operation, Parameter
from claude_gateway.web.mcp import NamedRequest, ServerRequest


class ServerAnswer(Answered):
    name: str
    type: Literal["stdio", "http", "sse"]
    command: Maybe[str] = None
    args: Maybe[list[str]] = None
    env: Maybe[list[str]] = None
    url: Maybe[str] = None
    headers: Maybe[list[str]] = None
    description: str
    enabled: bool
    connected: bool
    status: Literal["connecting", "connected", "reconnecting", "disconnected"]
    error: str | None
    tools: int
    resources: int
    prompts: int
    tools_left_out: int
    tool_names: list[str]


class ServersAnswer(Answered):
    servers: list[ServerAnswer]
    total: int


class RegisteredAnswer(Answered):
    message: str
    server: ServerAnswer


class ConnectedAnswer(Answered):
    message: str
    tools: int
    resources: int
    prompts: int


class MessageAnswer(Answered):
    message: str


class McpStatsAnswer(Answered):
    registered_servers: int
    connected_servers: int
    total_tools: int
    total_resources: int
    total_prompts: int
    reconnections: int


_SERVER: dict[str, Any] = {
    "name": "library",
    "type": "http",
    "url": "https://mcp.example.com/mcp",
    "headers": ["Authorization"],
    "description": "Searches the library.",
    "enabled": True,
    "connected": True,
    "status": "connected",
    "error": None,
    "tools": 1,
    "resources": 3,
    "prompts": 2,
    "tools_left_out": 0,
    "tool_names": ["mcp__library__search"],
}
_FRESH = _SERVER | {"connected": False, "status": "disconnected", "tools": 0, "resources": 0, "prompts": 0}
_REGISTERED = {
    "message": "MCP server 'library' registered",
    "server": _FRESH | {"tool_names": []},
}
_NAMED = Body(NamedRequest, {"by name": {"name": "library"}})

OPERATIONS = (
    Operation(
        "get",
        "/v1/mcp/servers",
        Group.MCP,
        "The MCP servers of the calling key",
        {200: Answer("Of variables and headers the names alone.", ServersAnswer, {"servers": [_SERVER], "total": 1})},
    ),
    Operation(
        "post",
        "/v1/mcp/servers",
        Group.MCP,
        "Register an MCP server, or replace one",
        {
            201: Answer("It is new.", RegisteredAnswer, _REGISTERED),
            200: Answer("It replaced one of the name.", RegisteredAnswer, _REGISTERED),
        },
        description="A program (`command`, `args`, `env`), which the operator must have listed in "
        "`MCP_ALLOWED_COMMANDS`, or an address (`url`, `headers`), which must be public.",
        body=Body(
            ServerRequest,
            {
                "an address": {
                    "name": "library",
                    "url": "https://mcp.example.com/mcp",
                    "headers": {"Authorization": "Bearer …"},
                },
                "a program": {
                    "name": "my-mcp-server",
                    "command": "/path/to/mcp-server",
                    "args": ["--port", "3001"],
                    "env": {"API_KEY": "value"},
                },
            },
        ),
        errors=(403,),
    ),
    Operation(
        "delete",
        "/v1/mcp/servers/{name}",
        Group.MCP,
        "Let an MCP server go and forget it",
        {200: Answer("It is gone.", MessageAnswer, {"message": "MCP server 'library' deleted"})},
        parameters=(Parameter("name", "Of the server.", example="library"),),
        errors=(404,),
    ),
    Operation(
        "post",
        "/v1/mcp/connect",
        Group.MCP,
        "Connect an MCP server",
        {
            200: Answer(
                "Counted in a handshake that took place.",
                ConnectedAnswer,
                {"message": "Connected to MCP server 'library'", "tools": 5, "resources": 3, "prompts": 2},
            )
        },
        description="From then on, after a restart too, jobs with Claude's own tools have those of the server.",
        body=_NAMED,
        errors=(404, 409, 503),
    ),
    Operation(
        "post",
        "/v1/mcp/disconnect",
        Group.MCP,
        "Let an MCP server go",
        {200: Answer("It is let go.", MessageAnswer, {"message": "Disconnected from MCP server 'library'"})},
        body=_NAMED,
        errors=(404,),
    ),
    Operation(
        "get",
        "/v1/mcp/stats",
        Group.MCP,
        "How many MCP servers, connections and tools the calling key has",
        {
            200: Answer(
                "As it stands.",
                McpStatsAnswer,
                {
                    "registered_servers": 2,
                    "connected_servers": 1,
                    "total_tools": 5,
                    "total_resources": 3,
                    "total_prompts": 2,
                    "reconnections": 0,
                },
            )
        },
    ),
)
