"""An answer of the stand-in in the words of the Messages API: as one body, and as the events of a stream. Pure."""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from claude_gateway.demo.exact_json import dumps
from claude_gateway.demo.prompt_cache import PromptUsage
from claude_gateway.demo.script import Script, ToolCall
from claude_gateway.demo.thoughts import sign
from claude_gateway.demo.tokens import count

Message = dict[str, Any]

_PROMPT_NUMBERS = {"input", "cache_read", "cache_write"}
_SEARCH = "web_search_"
_FRAGMENT = re.compile(r".{1,16}", re.DOTALL)
# The connection is closed, the body ends, or nothing comes any more.
FAULTS = ("broken", "ended", "hanging")
# What is found, whatever is looked for.
FOUND = {"type": "web_search_result", "url": "https://example.com/found", "title": "The one page that is found"}


@dataclass(frozen=True, slots=True)
class Step:
    """A piece of the stream: the stage that is reached with it (one of `script.STAGES` or `FAULTS`), and its bytes.

    `index` is the block's number, `is_delta` is set for pieces that the stand-in sends at the scripted pace.
    """

    stage: str
    data: bytes
    index: int = 0
    is_delta: bool = False


def whole_message(body: dict[str, Any], script: Script, prompt: PromptUsage | None = None) -> Message:
    """The answer as a non-streaming request gets it; the stream is cut from the same.

    Without the usage of its prompt nothing of that was in the cache.
    """
    # Of the whole conversation, for two calls of one never have the same id.
    number = zlib.crc32(dumps(body["messages"]))
    content: list[dict[str, Any]] = []
    if script.thinking:
        content.append({"type": "thinking", "thinking": script.thinking, "signature": sign(script.thinking)})
    if script.redacted:
        content.append({"type": "redacted_thinking", "data": script.redacted})
    if any(str(tool.get("type")).startswith(_SEARCH) for tool in body.get("tools", ())):
        content += _search(f"srvtoolu_{number}")
    if not script.wordless:
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
        "stop_sequence": script.stop_sequence or None,
        "usage": _usage(body, script, prompt),
    }


def _usage(body: dict[str, Any], script: Script, prompt: PromptUsage | None) -> dict[str, Any]:
    if prompt is None or _PROMPT_NUMBERS & script.usage.keys():
        prompt = PromptUsage(
            read=script.usage.get("cache_read", 0),
            written=script.usage.get("cache_write", 0),
            written_for_an_hour=0,
            rest=script.usage.get("input", count(body)),
        )
    return {
        "input_tokens": prompt.rest,
        "output_tokens": script.usage.get("output", len(script.deltas)),
        "cache_read_input_tokens": prompt.read,
        "cache_creation_input_tokens": prompt.written,
        "cache_creation": {
            "ephemeral_5m_input_tokens": prompt.written - prompt.written_for_an_hour,
            "ephemeral_1h_input_tokens": prompt.written_for_an_hour,
        },
        "output_tokens_details": {"thinking_tokens": script.usage.get("thinking", 0)},
    }


def _search(id_: str) -> list[dict[str, Any]]:
    """The blocks of a search that the API itself carries out, which the CLI asks for in a request of its own."""
    found = {**FOUND, "encrypted_content": "c2VhbGVk", "page_age": None}
    return [
        {"type": "server_tool_use", "id": id_, "name": "web_search", "input": {"query": "it"}},
        {"type": "web_search_tool_result", "tool_use_id": id_, "content": [found]},
    ]


def steps(message: Message, script: Script) -> Iterator[Step]:
    """The stream of an answer, piece by piece."""
    calls = iter(script.tools)
    yield Step("head", head(message))
    for index, block in enumerate(message["content"]):
        match block["type"]:
            case "thinking":
                yield from _thought(index, block, script)
            case "server_tool_use":
                data = _opened(index, {**block, "input": {}}) + _arguments(index, _json_text(block)) + _closed(index)
                yield Step("search", data, index)
            case "redacted_thinking" | "web_search_tool_result":
                yield Step("search" if "search" in block["type"] else "redacted", _opened(index, block), index)
                yield Step("", _closed(index), index)
            case "text":
                yield Step("text_start", _opened(index, {"type": "text", "text": ""}), index)
                for piece in script.deltas:
                    yield Step("text", text_delta(index, piece), index, is_delta=True)
                yield Step("text_end", _closed(index), index)
            case "tool_use":
                yield from _call(index, block, next(calls), script)
    yield Step("content", b"")
    yield Step("delta", _stopped(message))
    yield Step("stop", _event("message_stop"))


def until_fault(message: Message, script: Script) -> Iterator[Step]:
    """The stream up to the fault that the script holds, whose step (one of `FAULTS`) comes last."""
    texts = 0
    if script.ends_at("nothing"):
        yield _fault(script)
        return
    for step in steps(message, script):
        if step.stage == "text":
            if texts == script.drop:
                yield Step("broken", b"")
                return
            if texts == script.broken:
                yield Step("ended", _overloaded())
                return
            texts += 1
        yield step
        if script.ends_at(step.stage):
            yield _fault(script)
            return
        if script.hang and step.stage == "head":
            yield Step("hanging", b"")


def _fault(script: Script) -> Step:
    """How the stream ends too early."""
    assert script.early is not None
    match script.early.how:
        case "cut":
            return Step("broken", b"")
        case "error":
            return Step("ended", _overloaded())
        case "end":
            return Step("ended", b"")


def _overloaded() -> bytes:
    return _event("error", error={"type": "overloaded_error", "message": "Overloaded"})


def head(message: Message) -> bytes:
    usage = {**message["usage"], "output_tokens": 1}
    begun = {**message, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    return _event("message_start", message=begun)


def end(message: Message) -> bytes:
    return _stopped(message) + _event("message_stop")


def _stopped(message: Message) -> bytes:
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": message["stop_sequence"]}
    usage = {name: message["usage"][name] for name in ("output_tokens", "output_tokens_details")}
    return _event("message_delta", delta=delta, usage=usage)


def text_delta(index: int, text: str) -> bytes:
    return _delta(index, {"type": "text_delta", "text": text})


def _thought(index: int, block: dict[str, Any], script: Script) -> Iterator[Step]:
    yield Step("thought_start", _opened(index, {"type": "thinking", "thinking": "", "signature": ""}), index)
    pieces = script.thinking_deltas or (_FRAGMENT.findall(script.thinking) if script.fine else [script.thinking])
    for piece in pieces:
        data = _delta(index, {"type": "thinking_delta", "thinking": piece})
        yield Step("thought", data, index, is_delta=script.fine)
    yield Step("signature", _delta(index, {"type": "signature_delta", "signature": block["signature"]}), index)
    yield Step("thought_end", _closed(index), index)


def _call(index: int, block: dict[str, Any], call: ToolCall, script: Script) -> Iterator[Step]:
    yield Step("call_start", _opened(index, {**block, "input": {}}), index)
    text = _json_text(block)
    fragments = call.fragments or (_FRAGMENT.findall(text) if script.fine else (text,))
    if script.ends_at("call") and len(fragments) == 1:
        half = len(fragments[0]) // 2
        fragments = (fragments[0][:half], fragments[0][half:])
    for fragment in fragments:
        yield Step("call", _arguments(index, fragment), index, is_delta=script.fine)
    yield Step("call_end", _closed(index), index)


def _json_text(call: dict[str, Any]) -> str:
    return dumps(call["input"]).decode()


def _opened(index: int, block: dict[str, Any]) -> bytes:
    return _event("content_block_start", index=index, content_block=block)


def _delta(index: int, delta: dict[str, Any]) -> bytes:
    return _event("content_block_delta", index=index, delta=delta)


def _arguments(index: int, fragment: str) -> bytes:
    return _delta(index, {"type": "input_json_delta", "partial_json": fragment})


def _closed(index: int) -> bytes:
    return _event("content_block_stop", index=index)


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), dumps({"type": kind, **fields}))
