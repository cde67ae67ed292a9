"""`/v1/tools`: Claude's own tools, which of them the calling key wants, and how they were used."""

from typing import Annotated, Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from claude_gateway.own_tools.built_in import (
    BY_NAME,
    CATALOGUE,
    USUAL,
    BuiltIn,
    ToolChoices,
    allowed_by,
    barred_by,
    is_remote,
    read_names,
)
from claude_gateway.sessions.register import check_id
from claude_gateway.stores.tool_choices import ALL
from claude_gateway.web import body
from claude_gateway.web.json_answer import json_answer
from claude_gateway.web.parts import CALLER, PARTS

Names = Annotated[list[str], Field(max_length=100)]


class ToolConfigRequest(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)

    session_id: str | None = None
    allowed_tools: Names | None = None
    disallowed_tools: Names | None = None


async def listed(request: web.Request) -> web.Response:
    no_commands = request.app[PARTS].toolbox.no_commands
    tools = [_tool(tool, no_commands if tool.name == "Bash" else "") for tool in CATALOGUE]
    return json_answer({"tools": tools, "total": len(tools)})


async def configuration(request: web.Request) -> web.Response:
    """What holds for the key, or with `?session_id=` for one session of it."""
    return await _shown(request, request.query.get("session_id") or ALL)


async def configured(request: web.Request) -> web.Response:
    asked = await body.read(request, ToolConfigRequest)
    if asked.session_id:
        check_id(asked.session_id)
    choices = ToolChoices(
        allowed=_names(asked.allowed_tools, "allowed_tools"),
        disallowed=_names(asked.disallowed_tools, "disallowed_tools"),
    )
    await request.app[PARTS].toolbox.configure(request[CALLER].id, asked.session_id or ALL, choices)
    return await _shown(request, asked.session_id or ALL)


async def stats(request: web.Request) -> web.Response:
    """Of the calling key."""
    counts = request.app[PARTS].toolbox.counts.of(request[CALLER].id)
    tools = {
        BY_NAME[name].name if name in BY_NAME else name: {
            "calls": count.calls,
            "failed": count.failed,
            "denied": count.denied,
            "total_duration_ms": round(count.seconds * 1000),
            "average_duration_ms": round(count.seconds * 1000 / count.calls) if count.calls else 0,
        }
        for name, count in counts.items()
    }
    total = {
        "total_calls": sum(count.calls for count in counts.values()),
        "total_failed": sum(count.failed for count in counts.values()),
        "total_denied": sum(count.denied for count in counts.values()),
    }
    return json_answer({"tools": tools, **total})


async def _shown(request: web.Request, session: str) -> web.Response:
    toolbox, owner = request.app[PARTS].toolbox, request[CALLER].id
    of_key = await toolbox.choices.read(owner, ALL)
    of_session = await toolbox.choices.read(owner, session) if session else ToolChoices()
    explicit = allowed_by((of_session, of_key))
    allowed = USUAL if explicit is None else explicit
    barred = barred_by((of_session, of_key))
    remote, _ = toolbox.remote(request[CALLER], (of_session, of_key))
    return json_answer(
        {
            "session_id": session or None,
            "allowed_tools": list(allowed),
            "disallowed_tools": list(barred),
            "effective_tools": [
                *(name for name in allowed if name not in barred and not is_remote(name)),
                *(tool.name for tool in remote),
            ],
            "is_default": (of_session, of_key) == (ToolChoices(), ToolChoices()),
        }
    )


def _names(names: list[str] | None, where: str) -> tuple[str, ...] | None:
    return None if names is None else read_names(names, where)


def _tool(tool: BuiltIn, no_commands: str) -> dict[str, Any]:
    missing = tool.missing or no_commands
    return {
        "name": tool.name,
        "description": tool.description,
        "category": tool.category,
        "parameters": {name: {"type": kind} for name, kind in tool.parameters.items()},
        "examples": [dict(tool.example)],
        "is_safe": tool.is_safe,
        "requires_network": tool.requires_network,
        "default": tool.name in USUAL,
        "available": not missing,
        **({"unavailable_reason": missing} if missing else {}),
    }
