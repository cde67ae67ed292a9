"""What `web/tools.py` answers."""

from typing import Any

from claude_gateway.openapi.operation import Answer, Answered, Body, Group, Maybe, Operation, Parameter
from claude_gateway.web.tools import ToolConfigRequest


class ToolAnswer(Answered):
    name: str
    description: str
    category: str
    parameters: dict[str, dict[str, Any]]
    examples: list[dict[str, Any]]
    is_safe: bool
    requires_network: bool
    default: bool
    available: bool
    unavailable_reason: Maybe[str] = None


class ToolsAnswer(Answered):
    tools: list[ToolAnswer]
    total: int


class ToolConfigAnswer(Answered):
    session_id: str | None
    allowed_tools: list[str]
    disallowed_tools: list[str]
    effective_tools: list[str]
    is_default: bool


class ToolCount(Answered):
    calls: int
    failed: int
    denied: int
    total_duration_ms: int
    average_duration_ms: int


class ToolStatsAnswer(Answered):
    tools: dict[str, ToolCount]
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
_READ = {
    "name": "Read",
    "description": "Reads a file of the session's directory.",
    "category": "file",
    "parameters": {"file_path": {"type": "string"}},
    "examples": [{"file_path": "notes.txt"}],
    "is_safe": True,
    "requires_network": False,
    "default": True,
    "available": True,
}

OPERATIONS = (
    Operation(
        "get",
        "/v1/tools",
        Group.TOOLS,
        "Claude's own tools, and why one is not to be had",
        {200: Answer("The catalogue.", ToolsAnswer, {"tools": [_READ], "total": 1})},
    ),
    Operation(
        "get",
        "/v1/tools/config",
        Group.TOOLS,
        "Which of them jobs get",
        {200: Answer("What holds for the key, or for one session of it.", ToolConfigAnswer, _CONFIG)},
        parameters=(Parameter("session_id", "One session of the key.", "query", example="project-123"),),
        errors=(400,),
    ),
    Operation(
        "post",
        "/v1/tools/config",
        Group.TOOLS,
        "Say which of them jobs get",
        {200: Answer("What holds now.", ToolConfigAnswer, _CONFIG)},
        body=Body(
            ToolConfigRequest,
            {
                "of the key": {"allowed_tools": ["Read", "Glob", "Grep"], "disallowed_tools": ["Glob"]},
                "of a session": {"session_id": "project-123", "allowed_tools": ["Read", "Write", "Bash"]},
            },
        ),
        errors=(403,),
    ),
    Operation(
        "get",
        "/v1/tools/stats",
        Group.TOOLS,
        "How often the calling key used each of them",
        {
            200: Answer(
                "Since the start of the gateway.",
                ToolStatsAnswer,
                {
                    "tools": {
                        "Read": {
                            "calls": 3,
                            "failed": 0,
                            "denied": 0,
                            "total_duration_ms": 12,
                            "average_duration_ms": 4,
                        }
                    },
                    "total_calls": 3,
                    "total_failed": 0,
                    "total_denied": 0,
                },
            )
        },
    ),
)
