"""Converts the tool definitions and tool results that MCP servers send to the form that the model receives. No I/O.

MCP servers are untrusted. The gateway turns their tool names into names that the Anthropic API accepts, skips tools
with an invalid schema, and limits the size of everything that it passes to the model.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from claude_gateway.core.errors import ApiError
from claude_gateway.dialects.common.content import media
from claude_gateway.dialects.common.tools.schema_meta import find_invalid_path
from claude_gateway.dialects.common.tools.tools import is_serializable
from claude_gateway.mcp_servers.limits import McpLimits
from workers.core.job import Image, RemoteToolResult, Text, ToolDefinition
from workers.core.surrogate_repair import replace_lone_surrogates

TOOL_NAME_PREFIX = "mcp__"
_MAX_NAME_CHARS = 128  # limit of the Anthropic API
_MAX_DESCRIPTION_CHARS = 64 * 1024
_MAX_SERVER_NAME_CHARS = 128
_INVALID_NAME_CHAR = re.compile(r"[^a-zA-Z0-9_-]")
_EMPTY_RESULT = Text("(The tool returned no content.)")


@dataclass(frozen=True, slots=True)
class McpTool:
    """A tool that an MCP server offers, with its name on the server and its definition for the model.

    Attributes:
        server_tool_name: Name of the tool on its server.
        tool: Definition of the tool for the model; `tool.name` is the name that the model uses.
    """

    server_tool_name: str
    tool: ToolDefinition


@dataclass(frozen=True, slots=True)
class ServerCatalog:
    """The tools that an MCP server offers, and the numbers of its resources and prompts.

    Attributes:
        tools: Tools that the model can use.
        resource_count: Number of resources that the server offers.
        prompt_count: Number of prompts that the server offers.
        skipped_tool_count: Number of tools that the gateway could not use.
    """

    tools: tuple[McpTool, ...] = ()
    resource_count: int = 0
    prompt_count: int = 0
    skipped_tool_count: int = 0


def parse_mcp_tools(
    server_name: str, tool_objects: Iterable[Mapping[str, Any]], limits: McpLimits
) -> tuple[tuple[McpTool, ...], int]:
    """Convert the tool objects in a `tools/list` result to tools for the model.

    Returns:
        The valid tools in the server's order, and the number of skipped tools. The function skips a tool if its name is
        invalid or already used, if its schema is invalid, or if it exceeds the limits.
    """
    tools: dict[str, McpTool] = {}
    skipped_count, bytes_left = 0, limits.max_catalog_bytes
    for tool_object in tool_objects:
        parsed = _parse_mcp_tool(server_name, tool_object)
        size = len(orjson.dumps(parsed.tool.schema)) + len(parsed.tool.description) if parsed else 0
        if parsed is None or parsed.tool.name in tools or len(tools) == limits.max_tools or size > bytes_left:
            skipped_count += 1
            continue
        bytes_left -= size
        tools[parsed.tool.name] = parsed
    return tuple(tools.values()), skipped_count


def _parse_mcp_tool(server_name: str, tool_object: Mapping[str, Any]) -> McpTool | None:
    name, schema = tool_object.get("name"), tool_object.get("inputSchema")
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > _MAX_SERVER_NAME_CHARS:
        return None
    if not isinstance(schema, dict) or schema.get("type", "object") != "object":
        return None
    if not is_serializable(schema) or find_invalid_path(schema) is not None:
        return None
    description = tool_object.get("description")
    text = description[:_MAX_DESCRIPTION_CHARS] if isinstance(description, str) else ""
    return McpTool(name, ToolDefinition(qualified_tool_name(server_name, name), replace_lone_surrogates(text), schema))


def qualified_tool_name(server_name: str, server_tool_name: str) -> str:
    """Return the name by which the model knows a tool. The name is stable and different for each tool.

    The name consists of a prefix, the name of the server and the server's name for the tool. If the server's name for
    the tool has invalid characters or makes the result too long, the function appends a hash of that name.
    """
    valid_name = f"{TOOL_NAME_PREFIX}{server_name}__{_INVALID_NAME_CHAR.sub('_', server_tool_name)}"
    if valid_name == f"{TOOL_NAME_PREFIX}{server_name}__{server_tool_name}" and len(valid_name) <= _MAX_NAME_CHARS:
        return valid_name
    suffix = hashlib.sha256(server_tool_name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{valid_name[: _MAX_NAME_CHARS - len(suffix) - 1]}_{suffix}"


def select_tools(tools: Sequence[ToolDefinition], names: Sequence[str]) -> tuple[ToolDefinition, ...]:
    """Return the tools that match any of the names.

    Each name is the name of one tool, or stands for all tools of a server (`mcp__server` or `mcp__server__*`).
    """
    servers = tuple(f"{name.removesuffix('__*')}__" for name in names)
    return tuple(tool for tool in tools if tool.name in names or tool.name.startswith(servers))


def parse_tool_result(result_object: Mapping[str, Any], limits: McpLimits) -> RemoteToolResult:
    """Convert the result of a tool call to blocks for the model. If the result is too large, return an error result."""
    content = result_object.get("content") or []
    blocks = [block for part in content if (block := _parse_block(part)) is not None]
    if not blocks and result_object.get("structuredContent") is not None:
        blocks = [Text(orjson.dumps(result_object["structuredContent"]).decode())]
    size = sum(len(block.text) if isinstance(block, Text) else len(block.source["data"]) for block in blocks)
    if size > limits.max_result_bytes:
        return error_result(
            f"The result of the tool has {size} bytes; at most {limits.max_result_bytes} are allowed. "
            "Request a smaller result."
        )
    return RemoteToolResult(tuple(blocks) or (_EMPTY_RESULT,), is_error=bool(result_object.get("isError")))


def error_result(reason: str) -> RemoteToolResult:
    """Return a tool result that reports an error to the model."""
    return RemoteToolResult((Text(reason),), is_error=True)


def _parse_block(part: Mapping[str, Any]) -> Text | Image | None:
    match part:
        case {"type": "text", "text": str(text)} | {"type": "resource", "resource": {"text": str(text)}}:
            return Text(replace_lone_surrogates(text)) if text.strip() else None
        case {"type": "image", "data": str(data), "mimeType": str(media_type)}:
            try:
                image = media.from_base64(data, media_type, "")
            except ApiError:
                return Text("(An image that is invalid or of an unsupported type.)")
            return image if isinstance(image, Image) else Text("(A file of an unsupported type.)")
        case {"type": "resource_link", "uri": str(uri)}:
            return Text(replace_lone_surrogates(f"(A link to the resource {uri[:2_000]})"))
    return Text(f"(Content of the unsupported type {str(part.get('type'))[:40]}.)")
