"""MCP server inside the gateway, which offers client tools and remote tools to the CLI. No I/O.

The CLI requests the list of tools over its control channel. This module does not answer tool calls. If the model calls
a client tool, the turn ends at the `tool_use`, and the client sends the result with a later job. If the model calls a
remote tool, the worker sends the result later (`build_call_response`).
"""

from collections.abc import Mapping
from typing import Any

from workers.core.frame import Frame
from workers.core.job import Image, RemoteToolResult, Text, ToolDefinition


def handle_mcp_message(tools: tuple[ToolDefinition, ...], message: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the JSON-RPC response to an MCP message, or None for a tool call, which this module does not answer."""
    match message.get("method"):
        case "initialize":
            result: dict[str, Any] = {
                "protocolVersion": message["params"]["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "caller", "version": "1"},
            }
        case "tools/list":
            result = {"tools": [_encode_tool(tool) for tool in tools]}
        case "tools/call":
            return None
        case _:
            result = {}
    return {"jsonrpc": "2.0", "id": message.get("id", 0), "result": result}


def build_call_response(request: Frame, result: RemoteToolResult) -> Frame:
    """Return the frame with which the gateway sends the result of a tool call to the CLI."""
    content = [_encode_content(block) for block in result.content]
    message = request["request"]["message"]
    reply = {"jsonrpc": "2.0", "id": message["id"], "result": {"content": content, "isError": result.is_error}}
    response = {"subtype": "success", "request_id": request["request_id"], "response": {"mcp_response": reply}}
    return {"type": "control_response", "response": response}


def _encode_content(block: Text | Image) -> dict[str, Any]:
    match block:
        case Text(text):
            return {"type": "text", "text": text}
        case Image(source):
            return {"type": "image", "data": source["data"], "mimeType": source["media_type"]}


def _encode_tool(tool: ToolDefinition) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": tool.description,
        "inputSchema": {"type": "object", **tool.schema},
        # Without this hint, the CLI runs the calls of a message one after another.
        "annotations": {"readOnlyHint": True},
        # Without this entry, the model may only find the tool with the CLI's tool search.
        "_meta": {"anthropic/alwaysLoad": True},
    }
