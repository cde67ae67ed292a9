"""Tools that the CLI has not, offered to it as an MCP server inside this process. Pure.

The CLI asks for the list over its control channel. A call is never answered here. Where the tools are the caller's own
the turn ends at the model's `tool_use`, and his result comes with a later job. Where they are carried out elsewhere the
answer follows once it is there.
"""

import hashlib
import operator
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from workers.events import BlockStarted, Event
from workers.frames import Frame
from workers.job import Block, ChatJob, Image, RemoteResult, Text, Tool, ToolResult, ToolUse, Turn

_SAFE_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_SAFE_ID = re.compile(r"[a-zA-Z0-9_-]{1,128}")
# The CLI keeps this one name for itself: a tool of the caller's that bears it would never be called.
_TAKEN = frozenset({"ToolSearch"})


class Names:
    """The tool names and call ids of one job, as the API takes them, and back."""

    def __init__(self, job: ChatJob) -> None:
        self._back = {_safe_name(tool.name): tool.name for tool in job.tools}

    def outward(self, event: Event) -> Event:
        """An event with the caller's own name of the tool."""
        match event:
            case BlockStarted(ToolUse(id_, name, arguments)) if name in self._back:
                return BlockStarted(ToolUse(id_, self._back[name], arguments))
        return event


def inward(job: ChatJob) -> ChatJob:
    """The job with names and ids that the API takes; the same ones each time, so that a history stays the same. What
    needs no change is not copied: most jobs are of words alone."""
    turns = tuple(map(_safe_turn, job.turns))
    tools = tuple(replace(tool, name=_safe_name(tool.name)) for tool in job.tools)
    tuning, choice = job.tuning, job.tuning.tool_choice
    if choice is not None and choice.name:
        tuning = replace(tuning, tool_choice=replace(choice, name=_safe_name(choice.name)))
    if not tools and tuning is job.tuning and all(map(operator.is_, turns, job.turns)):
        return job
    return replace(job, turns=turns, tools=tools, tuning=tuning)


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


def _safe_turn(turn: Turn) -> Turn:
    if not any(isinstance(block, ToolUse | ToolResult) for block in turn.blocks):
        return turn
    return replace(turn, blocks=tuple(map(_safe_block, turn.blocks)))


def _safe_block(block: Block) -> Block:
    match block:
        case ToolUse(id_, name, arguments):
            return ToolUse(_safe(id_, _SAFE_ID, "call"), _safe_name(name), arguments)
        case ToolResult(id_, content, is_error):
            return ToolResult(_safe(id_, _SAFE_ID, "call"), content, is_error)
    return block


def _safe_name(name: str) -> str:
    return _safe("" if name in _TAKEN else name, _SAFE_NAME, "tool", name)


def _safe(text: str, pattern: re.Pattern[str], prefix: str, original: str | None = None) -> str:
    if pattern.fullmatch(text):
        return text
    return f"{prefix}_{hashlib.sha256((original or text).encode('utf-8', 'surrogatepass')).hexdigest()[:24]}"
