"""Tools that the CLI has not, offered to it as an MCP server inside this process. Pure.

The CLI asks for the list over its control channel. A call is never answered here. Where the tools are the caller's own
the turn ends at the model's `tool_use`, and his result comes with a later job. Where they are carried out elsewhere the
answer follows once it is there.
"""

from collections.abc import Mapping
from typing import Any

from workers.frames import Frame
from workers.job import Image, RemoteResult, Text, Tool


def answer(tools: tuple[Tool, ...], message: Mapping[str, Any]) -> dict[str, Any] | None:
    """The JSON-RPC answer to one MCP message; None for a call, which stays open."""
    match message.get("method"):
        case "initialize":
            result: dict[str, Any] = {
                "protocolVersion": message["params"]["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "caller", "version": "1"},
            }
        case "tools/list":
            result = {"tools": [_listed(tool) for tool in tools]}
        case "tools/call":
            return None
        case _:
            result = {}
    return {"jsonrpc": "2.0", "id": message.get("id", 0), "result": result}


def call_answer(request: Frame, result: RemoteResult) -> Frame:
    """The frame that answers an open call."""
    content = [_content(block) for block in result.content]
    message = request["request"]["message"]
    reply = {"jsonrpc": "2.0", "id": message["id"], "result": {"content": content, "isError": result.is_error}}
    response = {"subtype": "success", "request_id": request["request_id"], "response": {"mcp_response": reply}}
    return {"type": "control_response", "response": response}


def _content(block: Text | Image) -> dict[str, Any]:
    match block:
        case Text(text):
            return {"type": "text", "text": text}
        case Image(source):
            return {"type": "image", "data": source["data"], "mimeType": source["media_type"]}


def _listed(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": tool.description,
        "inputSchema": {"type": "object", **tool.schema},
        # Otherwise the calls of one message come one by one; and a tool may hide behind the CLI's tool search.
        "annotations": {"readOnlyHint": True},
        "_meta": {"anthropic/alwaysLoad": True},
    }
