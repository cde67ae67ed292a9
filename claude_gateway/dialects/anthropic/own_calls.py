"""Calls of Claude's own tools as blocks of a Messages answer: each under the provider's name for what it does. Pure.

The API has no blocks for tools that Claude Code brings, and the official clients' types know only those of the
provider's own. So a command is `bash_code_execution`, work on a file `text_editor_code_execution`, what an MCP server
does `mcp_tool_use`, and what has no counterpart `code_execution`, its code being the call.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from workers.events import BlockEnded, BlockStarted, Event, ToolBegan, ToolEnded

Block = dict[str, Any]
Input = Mapping[str, Any]

_SEARCH = "WebSearch"
_REMOTE = re.compile(r"mcp__(.+?)__(.+)")
_EXIT_CODE = re.compile(r"Exit code (\d{1,3})\n?")
_LINKS = re.compile(r"^Links: (\[.*\])$", re.MULTILINE)


class OwnCalls:
    """Feed it the events of an answer; each gives the blocks that come behind it. `usage` is what of them is counted.

    A result may come while a block of the answer is still open, and waits for its end.
    """

    def __init__(self) -> None:
        # Of each call that has no result yet: Claude's tool, and the block that told of it.
        self._begun: dict[str, tuple[str, Block]] = {}
        self._waiting: list[Block] = []
        self._in_block = False
        self._searches = 0

    @property
    def usage(self) -> dict[str, Any]:
        requests = {"web_search_requests": self._searches, "web_fetch_requests": 0}
        return {"server_tool_use": requests} if self._searches else {}

    def feed(self, event: Event) -> list[Block]:
        match event:
            case BlockStarted():
                self._in_block = True
            case BlockEnded():
                self._in_block = False
            case ToolBegan():
                use = _use(event)
                self._begun[event.id] = event.name, use
                self._waiting.append(use)
            case ToolEnded(id_) if id_ in self._begun:
                name, use = self._begun.pop(id_)
                self._searches += name == _SEARCH and event.outcome == "ok"
                self._waiting.append(_result(use, event))
        if self._in_block:
            return []
        blocks, self._waiting = self._waiting, []
        return blocks


def _use(call: ToolBegan) -> Block:
    if remote := _REMOTE.fullmatch(call.name):
        server, name = remote.groups()
        return {
            "type": "mcp_tool_use",
            "id": _id("mcp", call.id),
            "name": name,
            "server_name": server,
            "input": dict(call.input),
        }
    name, arguments = _as_provider_s(call.name, call.input)
    return {"type": "server_tool_use", "id": _id("srv", call.id), "name": name, "input": arguments}


def _result(use: Block, end: ToolEnded) -> Block:
    if use["type"] == "mcp_tool_use":
        content: Any = [{"type": "text", "text": end.text}] if end.text.strip() else []
        return {
            "type": "mcp_tool_result",
            "tool_use_id": use["id"],
            "is_error": end.outcome != "ok",
            "content": content,
        }
    content = _CONTENT[use["name"]](use["input"], end)
    return {"type": f"{use['name']}_tool_result", "tool_use_id": use["id"], "content": content}


def _id(prefix: str, id_: str) -> str:
    return f"{prefix}toolu_{id_.removeprefix('toolu_')}"


def _as_provider_s(name: str, sent: Input) -> tuple[str, dict[str, Any]]:
    match name, sent:
        case "Bash", {"command": command}:
            return "bash_code_execution", {"command": command}
        case "Read", {"file_path": path}:
            return "text_editor_code_execution", {"command": "view", "path": path}
        case "Write", {"file_path": path, "content": text}:
            return "text_editor_code_execution", {"command": "create", "path": path, "file_text": text}
        case "Edit", {"file_path": path, "old_string": old, "new_string": new}:
            more = {"command": "str_replace", "path": path, "old_str": old, "new_str": new}
            return "text_editor_code_execution", more
        case "WebSearch", {"query": query}:
            return "web_search", {"query": query}
    return "code_execution", {"code": f"{name} {orjson.dumps(dict(sent)).decode()}"}


def _ran(kind: str) -> Callable[[Input, ToolEnded], Block]:
    def content(_: Input, end: ToolEnded) -> Block:
        if end.outcome == "denied":
            return {"type": f"{kind}_tool_result_error", "error_code": "unavailable"}
        failed = end.outcome == "failed"
        said = _EXIT_CODE.match(end.text) if failed else None
        text = end.text[said.end() :] if said else end.text
        return {
            "type": f"{kind}_result",
            "stdout": "" if failed else text,
            "stderr": text if failed else "",
            "return_code": (int(said[1]) if said else 1) if failed else 0,
            "content": [],
        }

    return content


def _edited(sent: Input, end: ToolEnded) -> Block:
    kind = "text_editor_code_execution"
    if end.outcome != "ok":
        code = "unavailable" if end.outcome == "denied" else "invalid_tool_input"
        code = "file_not_found" if "does not exist" in end.text else code
        return {"type": f"{kind}_tool_result_error", "error_code": code, "error_message": end.text}
    match sent["command"]:
        case "view":
            lines: Block = dict.fromkeys(("num_lines", "start_line", "total_lines"))
            return {"type": f"{kind}_view_result", "file_type": "text", "content": end.text, **lines}
        case "create":
            return {"type": f"{kind}_create_result", "is_file_update": not end.text.startswith("File created")}
    lines = dict.fromkeys(("lines", "new_lines", "new_start", "old_lines", "old_start"))
    return {"type": f"{kind}_str_replace_result", **lines}


def _searched(_: Input, end: ToolEnded) -> Block | list[Block]:
    """What was found is in the text that Claude reads; nothing of it is sealed, as the provider's own is."""
    if end.outcome != "ok":
        return {"type": "web_search_tool_result_error", "error_code": "unavailable"}
    return [
        {"type": "web_search_result", "url": url, "title": title, "encrypted_content": "", "page_age": None}
        for links in _LINKS.findall(end.text)
        for url, title in _read_links(links)
    ]


def _read_links(links: str) -> list[tuple[str, str]]:
    try:
        found = orjson.loads(links)
    except orjson.JSONDecodeError:
        return []
    return [(str(one.get("url", "")), str(one.get("title", ""))) for one in found if isinstance(one, dict)]


_CONTENT: Mapping[str, Callable[[Input, ToolEnded], Block | list[Block]]] = {
    "bash_code_execution": _ran("bash_code_execution"),
    "code_execution": _ran("code_execution"),
    "text_editor_code_execution": _edited,
    "web_search": _searched,
}
