"""Parser that converts blocks and deltas of the Messages API to events. No I/O."""

import json
from typing import Any

from workers.core.events import (
    BlockEnded,
    BlockEvent,
    BlockStarted,
    SignatureDelta,
    TextDelta,
    ThinkingDelta,
    ToolInputDelta,
)
from workers.core.job import RedactedThinkingBlock, Text, ThinkingBlock, ToolUse


def parse_block_start(block: dict[str, Any]) -> BlockStarted | None:
    """Parse the start of a block. Return None for a type that no dialect supports, such as `server_tool_use`."""
    match block:
        case {"type": "text"}:
            return BlockStarted(Text(""))
        case {"type": "thinking"}:
            return BlockStarted(ThinkingBlock("", ""))
        case {"type": "redacted_thinking", "data": str(data)}:
            return BlockStarted(RedactedThinkingBlock(data))
        case {"type": "tool_use", "id": str(id_), "name": str(name)}:
            return BlockStarted(ToolUse(id_, name, {}))
    return None


def parse_block_delta(raw: dict[str, Any]) -> BlockEvent | None:
    """Parse a delta of a block. Return None if the delta is empty or has an unknown type."""
    match raw:
        case {"type": "text_delta", "text": str(text)} if text:
            return TextDelta(text)
        case {"type": "thinking_delta", "thinking": str(text)} if text:
            return ThinkingDelta(text)
        case {"type": "input_json_delta", "partial_json": str(text)} if text:
            return ToolInputDelta(text)
        case {"type": "signature_delta", "signature": str(signature)}:
            return SignatureDelta(signature)
    return None


def parse_whole_block(block: dict[str, Any]) -> list[BlockEvent]:
    """Convert a whole block to the events that a streamed block would have had."""
    start = parse_block_start(block)
    if start is None:
        return []
    deltas: list[BlockEvent] = []
    match block:
        case {"type": "text", "text": text}:
            deltas = [TextDelta(text)] if text else []
        case {"type": "thinking", "thinking": text}:
            deltas = [ThinkingDelta(text)] if text else []
            deltas.append(SignatureDelta(block.get("signature") or ""))
        case {"type": "tool_use", "input": dict(arguments)}:
            deltas = [ToolInputDelta(json.dumps(arguments, ensure_ascii=False, separators=(",", ":")))]
    return [start, *deltas, BlockEnded()]
