"""An answer of the stand-in in the words of the Messages API: as one body, and as the events of a stream. Pure."""

import zlib
from typing import Any

import orjson

from claude_gateway.demo.script import Script
from claude_gateway.demo.tokens import count

Message = dict[str, Any]

_SIGNATURE = "c2lnbmVk"
_SEARCH = "web_search_"
# What is found, whatever is looked for.
FOUND = {"type": "web_search_result", "url": "https://example.com/found", "title": "The one page that is found"}


def whole_message(body: dict[str, Any], script: Script) -> Message:
    """The answer as a non-streaming request gets it; the stream is cut from the same."""
    # Of the whole conversation, for two calls of one never have the same id.
    number = zlib.crc32(orjson.dumps(body["messages"]))
    content: list[dict[str, Any]] = []
    if script.thinking:
        content.append({"type": "thinking", "thinking": script.thinking, "signature": _SIGNATURE})
    if script.redacted:
        content.append({"type": "redacted_thinking", "data": script.redacted})
    if any(str(tool.get("type")).startswith(_SEARCH) for tool in body.get("tools", ())):
        content += _search(f"srvtoolu_{number}")
    content.append({"type": "text", "text": script.text})
    content += [
        {"type": "tool_use", "id": f"toolu_{number}_{n}", "name": call.name, "input": dict(call.arguments)}
        for n, call in enumerate(script.tools)
    ]
    return {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": content,
        "stop_reason": script.stop_reason or ("tool_use" if script.tools else "end_turn"),
        "stop_sequence": None,
        "usage": {
            "input_tokens": script.usage.get("input", count(body)),
            "output_tokens": script.usage.get("output", len(script.deltas)),
            "cache_read_input_tokens": script.usage.get("cache_read", 0),
            "cache_creation_input_tokens": script.usage.get("cache_write", 0),
            "output_tokens_details": {"thinking_tokens": script.usage.get("thinking", 0)},
        },
    }


def _search(id_: str) -> list[dict[str, Any]]:
    """The blocks of a search that the API itself carries out, which the CLI asks for in a request of its own."""
    found = {**FOUND, "encrypted_content": "c2VhbGVk", "page_age": None}
    return [
        {"type": "server_tool_use", "id": id_, "name": "web_search", "input": {"query": "it"}},
        {"type": "web_search_tool_result", "tool_use_id": id_, "content": [found]},
    ]


def head(message: Message) -> bytes:
    usage = {**message["usage"], "output_tokens": 1}
    return _event("message_start", message={**message, "content": [], "stop_reason": None, "usage": usage})


def blocks(message: Message) -> tuple[bytes, int, bytes]:
    """What comes before the deltas of the text block, that block's index, and what comes after them."""
    before = after = b""
    text_index = 0
    for index, block in enumerate(message["content"]):
        match block["type"]:
            case "thinking":
                empty = {"type": "thinking", "thinking": "", "signature": ""}
                before += (
                    _opened(index, empty)
                    + _delta(index, {"type": "thinking_delta", "thinking": block["thinking"]})
                    + _delta(index, {"type": "signature_delta", "signature": block["signature"]})
                    + _closed(index)
                )
            case "server_tool_use":
                before += _opened(index, {**block, "input": {}}) + _arguments(index, block) + _closed(index)
            case "redacted_thinking" | "web_search_tool_result":
                before += _opened(index, block) + _closed(index)
            case "text":
                text_index = index
                before += _opened(index, {"type": "text", "text": ""})
                after += _closed(index)
            case "tool_use":
                after += _opened(index, {**block, "input": {}}) + _arguments(index, block) + _closed(index)
    return before, text_index, after


def text_delta(index: int, text: str) -> bytes:
    return _delta(index, {"type": "text_delta", "text": text})


def end(message: Message) -> bytes:
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": message["stop_sequence"]}
    usage = {name: message["usage"][name] for name in ("output_tokens", "output_tokens_details")}
    return _event("message_delta", delta=delta, usage=usage) + _event("message_stop")


def error_event(kind: str, message: str) -> bytes:
    return _event("error", error={"type": kind, "message": message})


def _opened(index: int, block: dict[str, Any]) -> bytes:
    return _event("content_block_start", index=index, content_block=block)


def _delta(index: int, delta: dict[str, Any]) -> bytes:
    return _event("content_block_delta", index=index, delta=delta)


def _arguments(index: int, call: dict[str, Any]) -> bytes:
    return _delta(index, {"type": "input_json_delta", "partial_json": orjson.dumps(call["input"]).decode()})


def _closed(index: int) -> bytes:
    return _event("content_block_stop", index=index)


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps({"type": kind, **fields}))
