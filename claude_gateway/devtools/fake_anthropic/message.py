"""Functions that encode scripted replies in the format of the Messages API. Does no I/O.

The functions encode a reply as a JSON body or as a stream of server-sent events.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from claude_gateway.devtools.fake_anthropic.exact_json import dumps
from claude_gateway.devtools.fake_anthropic.prompt_cache import PromptUsage
from claude_gateway.devtools.fake_anthropic.script import Script, ScriptedToolCall
from claude_gateway.devtools.fake_anthropic.thinking_signature import compute_thinking_signature
from claude_gateway.devtools.fake_anthropic.token_count import count_input_tokens

MessageObject = dict[str, Any]

_PROMPT_USAGE_NAMES = {"input", "cache_read", "cache_write"}
_WEB_SEARCH_PREFIX = "web_search_"
_FRAGMENT_PATTERN = re.compile(r".{1,16}", re.DOTALL)
# The stages at which a scripted fault takes effect: the server closes the connection (`broken`), ends the response body
# early (`ended`), or sends nothing more but keeps the connection open (`hanging`).
FAULT_STAGES = ("broken", "ended", "hanging")
# The result that the fake API returns for each web search.
SEARCH_RESULT = {"type": "web_search_result", "url": "https://example.com/found", "title": "The only result"}


@dataclass(frozen=True, slots=True)
class StreamStep:
    """One or more events that the server sends together in a stream.

    Attributes:
        stage: The stage that the stream reaches with these events, one of `script.STAGES` or `FAULT_STAGES`; "" if the
            stream reaches no new stage with these events.
        data: The encoded events.
        block_index: The index of the content block to which the events belong.
        is_delta: Whether the server waits for the scripted time before it sends the events.
    """

    stage: str
    data: bytes
    block_index: int = 0
    is_delta: bool = False


def build_message(body: dict[str, Any], script: Script, prompt_usage: PromptUsage | None = None) -> MessageObject:
    """Return the message object for a reply. This JSON object is the body of a response that is not a stream.

    For a stream, `stream_steps` converts the same object to events.

    Args:
        body: The request body.
        script: The script of the reply.
        prompt_usage: The numbers of prompt tokens; None to count all tokens in the prompt as uncached.
    """
    # The ids in the reply contain this number. It depends on all messages, so that two tool calls in one conversation
    # never have the same id.
    number = zlib.crc32(dumps(body["messages"]))
    content: list[dict[str, Any]] = []
    if script.thinking:
        content.append(
            {"type": "thinking", "thinking": script.thinking, "signature": compute_thinking_signature(script.thinking)}
        )
    if script.redacted_thinking:
        content.append({"type": "redacted_thinking", "data": script.redacted_thinking})
    if any(str(tool.get("type")).startswith(_WEB_SEARCH_PREFIX) for tool in body.get("tools", ())):
        content += _web_search_blocks(f"srvtoolu_{number}")
    if not script.omit_text:
        content.append({"type": "text", "text": script.text})
    content += [
        {"type": "tool_use", "id": f"toolu_{number}_{n}", "name": call.name, "input": dict(call.arguments)}
        for n, call in enumerate(script.tool_calls)
    ]
    return {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": content,
        "stop_reason": script.stop_reason or ("tool_use" if script.tool_calls else "end_turn"),
        "stop_sequence": script.stop_sequence or None,
        "usage": _usage_object(body, script, prompt_usage),
    }


def _usage_object(body: dict[str, Any], script: Script, prompt_usage: PromptUsage | None) -> dict[str, Any]:
    if prompt_usage is None or _PROMPT_USAGE_NAMES & script.usage.keys():
        prompt_usage = PromptUsage(
            cache_read_tokens=script.usage.get("cache_read", 0),
            cache_write_tokens=script.usage.get("cache_write", 0),
            cache_write_1h_tokens=0,
            uncached_tokens=script.usage.get("input", count_input_tokens(body)),
        )
    return {
        "input_tokens": prompt_usage.uncached_tokens,
        "output_tokens": script.usage.get("output", len(script.deltas)),
        "cache_read_input_tokens": prompt_usage.cache_read_tokens,
        "cache_creation_input_tokens": prompt_usage.cache_write_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": prompt_usage.cache_write_tokens - prompt_usage.cache_write_1h_tokens,
            "ephemeral_1h_input_tokens": prompt_usage.cache_write_1h_tokens,
        },
        "output_tokens_details": {"thinking_tokens": script.usage.get("thinking", 0)},
    }


def _web_search_blocks(id_: str) -> list[dict[str, Any]]:
    """Return the content blocks that the API adds to a reply for a web search.

    The CLI sends a separate request for each web search.
    """
    result = {**SEARCH_RESULT, "encrypted_content": "c2VhbGVk", "page_age": None}
    return [
        {"type": "server_tool_use", "id": id_, "name": "web_search", "input": {"query": "it"}},
        {"type": "web_search_tool_result", "tool_use_id": id_, "content": [result]},
    ]


def stream_steps(message: MessageObject, script: Script) -> Iterator[StreamStep]:
    """Yield the steps of a complete stream. Ignore faults in the script."""
    calls = iter(script.tool_calls)
    yield StreamStep("head", encode_message_start(message))
    for index, block in enumerate(message["content"]):
        match block["type"]:
            case "thinking":
                yield from _thinking_steps(index, block, script)
            case "server_tool_use":
                data = (
                    _encode_block_start(index, {**block, "input": {}})
                    + _encode_input_delta(index, _input_json(block))
                    + _encode_block_stop(index)
                )
                yield StreamStep("search", data, index)
            case "redacted_thinking" | "web_search_tool_result":
                yield StreamStep(
                    "search" if "search" in block["type"] else "redacted", _encode_block_start(index, block), index
                )
                yield StreamStep("", _encode_block_stop(index), index)
            case "text":
                yield StreamStep("text_start", _encode_block_start(index, {"type": "text", "text": ""}), index)
                for delta in script.deltas:
                    yield StreamStep("text", encode_text_delta(index, delta), index, is_delta=True)
                yield StreamStep("text_end", _encode_block_stop(index), index)
            case "tool_use":
                yield from _tool_call_steps(index, block, next(calls), script)
    yield StreamStep("content", b"")
    yield StreamStep("delta", _encode_message_delta(message))
    yield StreamStep("stop", _encode_event("message_stop"))


def stream_steps_until_fault(message: MessageObject, script: Script) -> Iterator[StreamStep]:
    """Yield the steps of a stream. If the script contains a fault, the stream ends with this fault.

    The last step then has one of the stages in `FAULT_STAGES`.
    """
    text_count = 0
    if script.is_interrupted_at("nothing"):
        yield _fault_step(script)
        return
    for step in stream_steps(message, script):
        if step.stage == "text":
            if text_count == script.disconnect_after:
                yield StreamStep("broken", b"")
                return
            if text_count == script.error_after:
                yield StreamStep("ended", _encode_overloaded())
                return
            text_count += 1
        yield step
        if script.is_interrupted_at(step.stage):
            yield _fault_step(script)
            return
        if script.hang and step.stage == "head":
            yield StreamStep("hanging", b"")


def _fault_step(script: Script) -> StreamStep:
    """Return the step that ends the stream early, according to the interruption in the script."""
    assert script.interruption is not None
    match script.interruption.kind:
        case "cut":
            return StreamStep("broken", b"")
        case "error":
            return StreamStep("ended", _encode_overloaded())
        case "end":
            return StreamStep("ended", b"")


def _encode_overloaded() -> bytes:
    return _encode_event("error", error={"type": "overloaded_error", "message": "Overloaded"})


def encode_message_start(message: MessageObject) -> bytes:
    """Encode the event `message_start`, with which the stream of a message begins."""
    usage = {**message["usage"], "output_tokens": 1}
    start = {**message, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    return _encode_event("message_start", message=start)


def encode_message_end(message: MessageObject) -> bytes:
    """Encode the events `message_delta` and `message_stop`, with which the stream of a message ends."""
    return _encode_message_delta(message) + _encode_event("message_stop")


def _encode_message_delta(message: MessageObject) -> bytes:
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": message["stop_sequence"]}
    usage = {name: message["usage"][name] for name in ("output_tokens", "output_tokens_details")}
    return _encode_event("message_delta", delta=delta, usage=usage)


def encode_text_delta(index: int, text: str) -> bytes:
    """Encode an event that adds text to a text block."""
    return _encode_block_delta(index, {"type": "text_delta", "text": text})


def _thinking_steps(index: int, block: dict[str, Any], script: Script) -> Iterator[StreamStep]:
    yield StreamStep(
        "thought_start", _encode_block_start(index, {"type": "thinking", "thinking": "", "signature": ""}), index
    )
    deltas = script.thinking_deltas or (
        _FRAGMENT_PATTERN.findall(script.thinking) if script.small_deltas else [script.thinking]
    )
    for delta in deltas:
        data = _encode_block_delta(index, {"type": "thinking_delta", "thinking": delta})
        yield StreamStep("thought", data, index, is_delta=script.small_deltas)
    yield StreamStep(
        "signature", _encode_block_delta(index, {"type": "signature_delta", "signature": block["signature"]}), index
    )
    yield StreamStep("thought_end", _encode_block_stop(index), index)


def _tool_call_steps(index: int, block: dict[str, Any], call: ScriptedToolCall, script: Script) -> Iterator[StreamStep]:
    yield StreamStep("call_start", _encode_block_start(index, {**block, "input": {}}), index)
    text = _input_json(block)
    fragments = call.fragments or (_FRAGMENT_PATTERN.findall(text) if script.small_deltas else (text,))
    if script.is_interrupted_at("call") and len(fragments) == 1:
        half = len(fragments[0]) // 2
        fragments = (fragments[0][:half], fragments[0][half:])
    for fragment in fragments:
        yield StreamStep("call", _encode_input_delta(index, fragment), index, is_delta=script.small_deltas)
    yield StreamStep("call_end", _encode_block_stop(index), index)


def _input_json(block: dict[str, Any]) -> str:
    return dumps(block["input"]).decode()


def _encode_block_start(index: int, block: dict[str, Any]) -> bytes:
    return _encode_event("content_block_start", index=index, content_block=block)


def _encode_block_delta(index: int, delta: dict[str, Any]) -> bytes:
    return _encode_event("content_block_delta", index=index, delta=delta)


def _encode_input_delta(index: int, fragment: str) -> bytes:
    return _encode_block_delta(index, {"type": "input_json_delta", "partial_json": fragment})


def _encode_block_stop(index: int) -> bytes:
    return _encode_event("content_block_stop", index=index)


def _encode_event(event_type: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event_type.encode(), dumps({"type": event_type, **fields}))
