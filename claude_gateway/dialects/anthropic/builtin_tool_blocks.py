"""Convert calls of built-in tools to blocks of a Messages response. No I/O.

The API defines no blocks for the built-in tools of Claude Code. The official clients only know the blocks for hosted
tools, which are tools that Anthropic runs. Therefore the gateway uses the names of hosted tools. A shell command
becomes `bash_code_execution`, a file operation becomes `text_editor_code_execution`, a web search becomes `web_search`,
and a call of an MCP tool becomes `mcp_tool_use`. Every other call becomes `code_execution`, and the text of the call
becomes its code.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, assert_never

import orjson

from claude_gateway.core.json_text import encode_json
from workers.core.events import (
    BlockEnded,
    BlockStarted,
    Event,
    Finished,
    SignatureDelta,
    Started,
    StreamReset,
    TextDelta,
    ThinkingDelta,
    ToolCallFinished,
    ToolCallStarted,
    ToolInputDelta,
)

BlockObject = dict[str, Any]
ToolInput = Mapping[str, Any]

_SEARCH_TOOL = "WebSearch"
_MCP_TOOL_NAME = re.compile(r"mcp__(.+?)__(.+)")
_EXIT_CODE = re.compile(r"Exit code (\d{1,3})\n?")
_LINKS = re.compile(r"^Links: (\[.*\])$", re.MULTILINE)


class BuiltinToolBlocks:
    """Builds the blocks for calls of built-in tools from the events of a reply.

    A call may start or finish while another block of the response is open. The builder then returns the blocks for this
    call only after that other block has ended.
    """

    def __init__(self) -> None:
        # Maps the id of each unfinished call to the name of the tool and to the block that represents the call.
        self._open_calls: dict[str, tuple[str, BlockObject]] = {}
        self._pending_blocks: list[BlockObject] = []
        self._in_block = False
        self._search_count = 0

    @property
    def usage(self) -> dict[str, Any]:
        """Fields of the `usage` object that contain the number of successful web searches, if there were any."""
        requests = {"web_search_requests": self._search_count, "web_fetch_requests": 0}
        return {"server_tool_use": requests} if self._search_count else {}

    def feed(self, event: Event) -> list[BlockObject]:
        """Return the complete blocks that the response must contain directly after this event."""
        match event:
            case BlockStarted():
                self._in_block = True
            case BlockEnded():
                self._in_block = False
            case ToolCallStarted():
                call_block = _build_call_block(event)
                self._open_calls[event.id] = event.name, call_block
                self._pending_blocks.append(call_block)
            case ToolCallFinished(id_) if id_ in self._open_calls:
                name, call_block = self._open_calls.pop(id_)
                self._search_count += name == _SEARCH_TOOL and event.outcome == "ok"
                self._pending_blocks.append(_build_result_block(call_block, event))
            case ToolCallFinished():
                pass  # the call started before a `StreamReset`, so the response does not contain it
            case Started() | TextDelta() | ThinkingDelta() | ToolInputDelta() | SignatureDelta():
                pass
            case StreamReset() | Finished():
                pass
            case _:
                assert_never(event)
        if self._in_block:
            return []
        blocks, self._pending_blocks = self._pending_blocks, []
        return blocks


def _build_call_block(call: ToolCallStarted) -> BlockObject:
    if mcp_match := _MCP_TOOL_NAME.fullmatch(call.name):
        server, name = mcp_match.groups()
        return {
            "type": "mcp_tool_use",
            "id": _prefix_id("mcp", call.id),
            "name": name,
            "server_name": server,
            "input": dict(call.input),
        }
    name, arguments = _to_provider_call(call.name, call.input)
    return {"type": "server_tool_use", "id": _prefix_id("srv", call.id), "name": name, "input": arguments}


def _build_result_block(call_block: BlockObject, finished: ToolCallFinished) -> BlockObject:
    if call_block["type"] == "mcp_tool_use":
        content: Any = [{"type": "text", "text": finished.text}] if finished.text.strip() else []
        return {
            "type": "mcp_tool_result",
            "tool_use_id": call_block["id"],
            "is_error": finished.outcome != "ok",
            "content": content,
        }
    content = _CONTENT_BUILDERS[call_block["name"]](call_block["input"], finished)
    return {"type": f"{call_block['name']}_tool_result", "tool_use_id": call_block["id"], "content": content}


def _prefix_id(prefix: str, id_: str) -> str:
    return f"{prefix}toolu_{id_.removeprefix('toolu_')}"


def _to_provider_call(name: str, arguments: ToolInput) -> tuple[str, dict[str, Any]]:
    match name, arguments:
        case "Bash", {"command": command}:
            return "bash_code_execution", {"command": command}
        case "Read", {"file_path": path}:
            return "text_editor_code_execution", {"command": "view", "path": path}
        case "Write", {"file_path": path, "content": text}:
            return "text_editor_code_execution", {"command": "create", "path": path, "file_text": text}
        case "Edit", {"file_path": path, "old_string": old, "new_string": new}:
            edit = {"command": "str_replace", "path": path, "old_str": old, "new_str": new}
            return "text_editor_code_execution", edit
        case "WebSearch", {"query": query}:
            return "web_search", {"query": query}
    return "code_execution", {"code": f"{name} {encode_json(dict(arguments))}"}


def _build_code_content(kind: str) -> Callable[[ToolInput, ToolCallFinished], BlockObject]:
    def build_content(_: ToolInput, finished: ToolCallFinished) -> BlockObject:
        if finished.outcome == "denied":
            return {"type": f"{kind}_tool_result_error", "error_code": "unavailable"}
        failed = finished.outcome == "failed"
        exit_code = _EXIT_CODE.match(finished.text) if failed else None
        text = finished.text[exit_code.end() :] if exit_code else finished.text
        return {
            "type": f"{kind}_result",
            "stdout": "" if failed else text,
            "stderr": text if failed else "",
            "return_code": (int(exit_code[1]) if exit_code else 1) if failed else 0,
            "content": [],
        }

    return build_content


def _build_editor_content(arguments: ToolInput, finished: ToolCallFinished) -> BlockObject:
    kind = "text_editor_code_execution"
    if finished.outcome != "ok":
        code = "unavailable" if finished.outcome == "denied" else "invalid_tool_input"
        code = "file_not_found" if "does not exist" in finished.text else code
        return {"type": f"{kind}_tool_result_error", "error_code": code, "error_message": finished.text}
    match arguments["command"]:
        case "view":
            lines: BlockObject = dict.fromkeys(("num_lines", "start_line", "total_lines"))
            return {"type": f"{kind}_view_result", "file_type": "text", "content": finished.text, **lines}
        case "create":
            return {"type": f"{kind}_create_result", "is_file_update": not finished.text.startswith("File created")}
    lines = dict.fromkeys(("lines", "new_lines", "new_start", "old_lines", "old_start"))
    return {"type": f"{kind}_str_replace_result", **lines}


def _build_search_content(_: ToolInput, finished: ToolCallFinished) -> BlockObject | list[BlockObject]:
    """Convert the result text of a web search to one search result object for each link in the text.

    `encrypted_content` stays empty, because only Anthropic can fill this field.
    """
    if finished.outcome != "ok":
        return {"type": "web_search_tool_result_error", "error_code": "unavailable"}
    return [
        {"type": "web_search_result", "url": url, "title": title, "encrypted_content": "", "page_age": None}
        for links in _LINKS.findall(finished.text)
        for url, title in _parse_links(links)
    ]


def _parse_links(links: str) -> list[tuple[str, str]]:
    try:
        entries = orjson.loads(links)
    except orjson.JSONDecodeError:
        return []
    return [(str(entry.get("url", "")), str(entry.get("title", ""))) for entry in entries if isinstance(entry, dict)]


_CONTENT_BUILDERS: Mapping[str, Callable[[ToolInput, ToolCallFinished], BlockObject | list[BlockObject]]] = {
    "bash_code_execution": _build_code_content("bash_code_execution"),
    "code_execution": _build_code_content("code_execution"),
    "text_editor_code_execution": _build_editor_content,
    "web_search": _build_search_content,
}
