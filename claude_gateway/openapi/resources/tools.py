"""Descriptions of the operations with which clients list and select built-in tools (`web/endpoints/tools.py`)."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from claude_gateway.openapi.spec import (
    OperationSpec,
    OptionalField,
    Parameter,
    RequestBodySpec,
    ResponseModel,
    ResponseSpec,
    Tag,
)

ToolNames = Annotated[list[str], Field(max_length=100)]


class ToolConfigRequest(BaseModel):
    """A request that selects the tools for all jobs of the API key, or only for the jobs of one session."""

    model_config = ConfigDict(extra="allow", frozen=True)

    session_id: str | None = None
    allowed_tools: ToolNames | None = None
    disallowed_tools: ToolNames | None = None


class ToolInfo(ResponseModel):
    """A built-in tool of Claude Code. If the tool is not available, `unavailable_reason` says why."""

    name: str
    description: str
    category: str
    parameters: dict[str, dict[str, Any]]
    examples: list[dict[str, Any]]
    is_safe: bool
    requires_network: bool
    is_default: bool
    is_available: bool
    unavailable_reason: OptionalField[str] = None


class ToolListResponse(ResponseModel):
    """A list of all built-in tools of Claude Code."""

    tools: list[ToolInfo]
    total: int


class ToolConfigResponse(ResponseModel):
    """The tool configuration of the API key or of a session.

    `effective_tools` are the tools that the jobs can actually use.
    """

    session_id: str | None
    allowed_tools: list[str]
    disallowed_tools: list[str]
    effective_tools: list[str]
    is_default: bool


class ToolStats(ResponseModel):
    """The number of calls of one tool, and the time that these calls took."""

    calls: int
    failed: int
    denied: int
    total_duration_ms: int
    mean_duration_ms: int


class ToolStatsResponse(ResponseModel):
    """Statistics about the tool calls in the jobs of the API key."""

    tools: dict[str, ToolStats]
    total_calls: int
    total_failed: int
    total_denied: int


_CONFIG = {
    "session_id": None,
    "allowed_tools": ["Read", "Glob", "Grep"],
    "disallowed_tools": ["Glob"],
    "effective_tools": ["Read", "Grep"],
    "is_default": False,
}
_READ_TOOL = {
    "name": "Read",
    "description": "Reads a file in the workspace of the session.",
    "category": "file",
    "parameters": {"file_path": {"type": "string"}},
    "examples": [{"file_path": "notes.txt"}],
    "is_safe": True,
    "requires_network": False,
    "is_default": True,
    "is_available": True,
}

LIST_TOOLS = OperationSpec(
    Tag.TOOLS,
    "List the built-in tools",
    {
        200: ResponseSpec(
            "All built-in tools, with the reason why a tool is not available.",
            ToolListResponse,
            {"tools": [_READ_TOOL], "total": 1},
        )
    },
)
GET_TOOL_CONFIG = OperationSpec(
    Tag.TOOLS,
    "Get the selection of built-in tools",
    {200: ResponseSpec("The selection for the API key, or for one of its sessions.", ToolConfigResponse, _CONFIG)},
    parameters=(Parameter("session_id", "A session of the API key.", "query", example="project-123"),),
    error_statuses=(400,),
)
UPDATE_TOOL_CONFIG = OperationSpec(
    Tag.TOOLS,
    "Select the built-in tools",
    {200: ResponseSpec("The new selection.", ToolConfigResponse, _CONFIG)},
    body=RequestBodySpec(
        ToolConfigRequest,
        {
            "API key": {"allowed_tools": ["Read", "Glob", "Grep"], "disallowed_tools": ["Glob"]},
            "session": {"session_id": "project-123", "allowed_tools": ["Read", "Write", "Bash"]},
        },
    ),
    error_statuses=(403,),
)
GET_TOOL_STATS = OperationSpec(
    Tag.TOOLS,
    "Get statistics of the built-in tools",
    {
        200: ResponseSpec(
            "The calls of each tool by jobs of the API key since the start of the gateway.",
            ToolStatsResponse,
            {
                "tools": {
                    "Read": {
                        "calls": 3,
                        "failed": 0,
                        "denied": 0,
                        "total_duration_ms": 12,
                        "mean_duration_ms": 4,
                    }
                },
                "total_calls": 3,
                "total_failed": 0,
                "total_denied": 0,
            },
        )
    },
)
