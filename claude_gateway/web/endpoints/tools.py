"""Handlers for `/v1/tools`. They list built-in tools, manage a key's tool configuration, and return call counts."""

from typing import Any

from aiohttp import web

from claude_gateway.builtin_tools.catalog import (
    BUILTIN_TOOLS,
    BUILTIN_TOOLS_BY_NAME,
    DEFAULT_TOOLS,
    BuiltinTool,
    ToolChoices,
    first_allowed,
    first_disallowed,
    is_mcp_tool_name,
    parse_tool_names,
)
from claude_gateway.builtin_tools.choice_store import ALL_SESSIONS
from claude_gateway.openapi.resources.tools import ToolConfigRequest
from claude_gateway.sessions.service import check_session_id
from claude_gateway.web.context.state import API_KEY, STATE
from claude_gateway.web.request import body
from claude_gateway.web.responses.json_response import json_response


async def list_tools(request: web.Request) -> web.Response:
    """List the built-in tools."""
    no_commands_reason = request.app[STATE].builtin_tools.no_commands_reason
    tools = [_tool_to_json(tool, no_commands_reason if tool.name == "Bash" else "") for tool in BUILTIN_TOOLS]
    return json_response({"tools": tools, "total": len(tools)})


async def get_tool_config(request: web.Request) -> web.Response:
    """Return the tool configuration of the key, or of the session that the query parameter `session_id` names."""
    return await _respond_with_tool_config(request, request.query.get("session_id") or ALL_SESSIONS)


async def update_tool_config(request: web.Request) -> web.Response:
    """Store and return the tool configuration of the key, or of one of its sessions."""
    config = await body.read_small_body(request, ToolConfigRequest)
    if config.session_id:
        check_session_id(config.session_id)
    choices = ToolChoices(
        allowed=_parse_tool_names(config.allowed_tools, "allowed_tools"),
        disallowed=_parse_tool_names(config.disallowed_tools, "disallowed_tools"),
    )
    await request.app[STATE].builtin_tools.configure(request[API_KEY].id, config.session_id or ALL_SESSIONS, choices)
    return await _respond_with_tool_config(request, config.session_id or ALL_SESSIONS)


async def get_tool_stats(request: web.Request) -> web.Response:
    """Return how often jobs of the key have called each tool."""
    counts = request.app[STATE].builtin_tools.counters.counters_of(request[API_KEY].id)
    tools = {
        BUILTIN_TOOLS_BY_NAME[name].name if name in BUILTIN_TOOLS_BY_NAME else name: {
            "calls": count.call_count,
            "failed": count.failed_count,
            "denied": count.denied_count,
            "total_duration_ms": round(count.total_seconds * 1000),
            "mean_duration_ms": round(count.total_seconds * 1000 / count.call_count) if count.call_count else 0,
        }
        for name, count in counts.items()
    }
    total = {
        "total_calls": sum(count.call_count for count in counts.values()),
        "total_failed": sum(count.failed_count for count in counts.values()),
        "total_denied": sum(count.denied_count for count in counts.values()),
    }
    return json_response({"tools": tools, **total})


async def _respond_with_tool_config(request: web.Request, session_id: str) -> web.Response:
    builtin_tools, key_id = request.app[STATE].builtin_tools, request[API_KEY].id
    key_choices = await builtin_tools.choice_store.read(key_id, ALL_SESSIONS)
    session_choices = await builtin_tools.choice_store.read(key_id, session_id) if session_id else ToolChoices()
    choices = (session_choices, key_choices)
    configured = first_allowed(choices)
    allowed = DEFAULT_TOOLS if configured is None else configured
    disallowed = first_disallowed(choices)
    mcp_tools, _ = builtin_tools.select_mcp_tools(request[API_KEY], choices)
    return json_response(
        {
            "session_id": session_id or None,
            "allowed_tools": list(allowed),
            "disallowed_tools": list(disallowed),
            "effective_tools": [
                *(name for name in allowed if name not in disallowed and not is_mcp_tool_name(name)),
                *(tool.name for tool in mcp_tools),
            ],
            "is_default": choices == (ToolChoices(), ToolChoices()),
        }
    )


def _parse_tool_names(names: list[str] | None, field_path: str) -> tuple[str, ...] | None:
    return None if names is None else parse_tool_names(names, field_path)


def _tool_to_json(tool: BuiltinTool, commands_unavailable_reason: str) -> dict[str, Any]:
    unavailable_reason = tool.unavailable_reason or commands_unavailable_reason
    return {
        "name": tool.name,
        "description": tool.description,
        "category": tool.category,
        "parameters": {name: {"type": kind} for name, kind in tool.parameters.items()},
        "examples": [dict(tool.example)],
        "is_safe": tool.is_safe,
        "requires_network": tool.requires_network,
        "is_default": tool.name in DEFAULT_TOOLS,
        "is_available": not unavailable_reason,
        **({"unavailable_reason": unavailable_reason} if unavailable_reason else {}),
    }
