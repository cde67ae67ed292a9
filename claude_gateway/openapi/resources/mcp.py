"""Descriptions of the operations with which clients manage their MCP servers (`web/endpoints/mcp.py`)."""

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from claude_gateway.openapi.spec import (
    OperationSpec,
    OptionalField,
    Parameter,
    RequestBodySpec,
    ResponseModel,
    ResponseSpec,
    Tag,
)

ServerName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


class RegisterServerRequest(BaseModel):
    """A request to register an MCP server for the API key.

    The server is a program that the gateway starts (`command`) or a remote server (`url`).
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: ServerName
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


class ServerNameRequest(BaseModel):
    """A request with the name of a registered MCP server."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: Annotated[str, Field(max_length=100, validation_alias=AliasChoices("name", "server_name"))]


class McpServerInfo(ResponseModel):
    """A registered MCP server, and the state of the gateway's connection to the server.

    `env` and `headers` contain only the names of the environment variables and headers, not their values.
    `omitted_tools` is the number of tools that the gateway cannot use.
    """

    name: str
    type: Literal["stdio", "http", "sse"]
    command: OptionalField[str] = None
    args: OptionalField[list[str]] = None
    env: OptionalField[list[str]] = None
    url: OptionalField[str] = None
    headers: OptionalField[list[str]] = None
    description: str
    enabled: bool
    connected: bool
    status: Literal["connecting", "connected", "reconnecting", "disconnected"]
    error: str | None
    tools: int
    resources: int
    prompts: int
    omitted_tools: int
    tool_names: list[str]


class McpServerListResponse(ResponseModel):
    """A list of the MCP servers that are registered for the API key."""

    servers: list[McpServerInfo]
    total: int


class RegisterServerResponse(ResponseModel):
    """The response of the gateway after it registered an MCP server."""

    message: str
    server: McpServerInfo


class ConnectServerResponse(ResponseModel):
    """The response of the gateway after it connected to an MCP server.

    The numbers of tools, resources and prompts are those that the server reported.
    """

    message: str
    tools: int
    resources: int
    prompts: int


class McpActionResponse(ResponseModel):
    """The response of the gateway after it deleted or disconnected an MCP server.

    `message` is a sentence for people.
    """

    message: str


class McpStatsResponse(ResponseModel):
    """The numbers of MCP servers of the API key, and of tools, resources and prompts on the connected servers."""

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
    "omitted_tools": 0,
    "tool_names": ["mcp__library__search"],
}
_NEW_SERVER = _SERVER | {"connected": False, "status": "disconnected", "tools": 0, "resources": 0, "prompts": 0}
_REGISTERED = {
    "message": "MCP server 'library' registered",
    "server": _NEW_SERVER | {"tool_names": []},
}
_SERVER_NAME_BODY = RequestBodySpec(ServerNameRequest, {"server name": {"name": "library"}})

LIST_SERVERS = OperationSpec(
    Tag.MCP,
    "List the MCP servers of the API key",
    {
        200: ResponseSpec(
            "The MCP servers. The values of environment variables and headers are omitted.",
            McpServerListResponse,
            {"servers": [_SERVER], "total": 1},
        )
    },
)
REGISTER_SERVER = OperationSpec(
    Tag.MCP,
    "Register or replace an MCP server",
    {
        201: ResponseSpec("The server was registered.", RegisterServerResponse, _REGISTERED),
        200: ResponseSpec("The server replaced the one with the same name.", RegisterServerResponse, _REGISTERED),
    },
    description="A server is a program (`command`, `args`, `env`) or a remote server (`url`, `headers`). The operator "
    "must allow the command of a program in `MCP_ALLOWED_COMMANDS`; the address of a remote server must be public.",
    body=RequestBodySpec(
        RegisterServerRequest,
        {
            "remote server": {
                "name": "library",
                "url": "https://mcp.example.com/mcp",
                "headers": {"Authorization": "Bearer …"},
            },
            "program": {
                "name": "my-mcp-server",
                "command": "/path/to/mcp-server",
                "args": ["--port", "3001"],
                "env": {"API_KEY": "value"},
            },
        },
    ),
    error_statuses=(403,),
)
DELETE_SERVER = OperationSpec(
    Tag.MCP,
    "Delete an MCP server",
    {
        200: ResponseSpec(
            "The server is disconnected and deleted.", McpActionResponse, {"message": "MCP server 'library' deleted"}
        )
    },
    parameters=(Parameter("name", "The name of the server.", example="library"),),
    error_statuses=(404,),
)
CONNECT_SERVER = OperationSpec(
    Tag.MCP,
    "Connect to an MCP server",
    {
        200: ResponseSpec(
            "The gateway is connected; the counts are those that the server reported.",
            ConnectServerResponse,
            {"message": "Connected to MCP server 'library'", "tools": 5, "resources": 3, "prompts": 2},
        )
    },
    description="From then on, jobs with built-in tools also have the tools of the server. After a restart the gateway "
    "connects again.",
    body=_SERVER_NAME_BODY,
    error_statuses=(404, 409, 503),
)
DISCONNECT_SERVER = OperationSpec(
    Tag.MCP,
    "Disconnect from an MCP server",
    {
        200: ResponseSpec(
            "The gateway is disconnected from the server.",
            McpActionResponse,
            {"message": "Disconnected from MCP server 'library'"},
        )
    },
    body=_SERVER_NAME_BODY,
    error_statuses=(404,),
)
GET_MCP_STATS = OperationSpec(
    Tag.MCP,
    "Count the MCP servers, connections and tools of the API key",
    {
        200: ResponseSpec(
            "The current counts.",
            McpStatsResponse,
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
)
