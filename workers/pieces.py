"""Blocks and deltas of the Messages API as pieces of an answer. Pure."""

import json
from typing import Any

from workers.events import BlockEnded, BlockStarted, InputDelta, Piece, Signed, TextDelta, ThinkingDelta
from workers.job import RedactedThought, Text, Thought, ToolUse


def start(block: dict[str, Any]) -> BlockStarted | None:
    """The start of a block; None for a kind that no caller of ours knows (a server tool's, say)."""
    match block:
        case {"type": "text"}:
            return BlockStarted(Text(""))
        case {"type": "thinking"}:
            return BlockStarted(Thought("", ""))
        case {"type": "redacted_thinking", "data": str(data)}:
            return BlockStarted(RedactedThought(data))
        case {"type": "tool_use", "id": str(id_), "name": str(name)}:
            return BlockStarted(ToolUse(id_, name, {}))
    return None


def delta(raw: dict[str, Any]) -> Piece | None:
    """A piece of a block; None for an empty one."""
    match raw:
        case {"type": "text_delta", "text": str(text)} if text:
            return TextDelta(text)
        case {"type": "thinking_delta", "thinking": str(text)} if text:
            return ThinkingDelta(text)
        case {"type": "input_json_delta", "partial_json": str(text)} if text:
            return InputDelta(text)
        case {"type": "signature_delta", "signature": str(signature)}:
            return Signed(signature)
    return None


def whole(block: dict[str, Any]) -> list[Piece]:
    """A whole block as the pieces in which it would have been streamed."""
    opening = start(block)
    if opening is None:
        return []
    deltas: list[Piece] = []
    match block:
        case {"type": "text", "text": text}:
            deltas = [TextDelta(text)] if text else []
        case {"type": "thinking", "thinking": text}:
            deltas = [ThinkingDelta(text)] if text else []
            deltas.append(Signed(block.get("signature") or ""))
        case {"type": "tool_use", "input": dict(arguments)}:
            deltas = [InputDelta(json.dumps(arguments, ensure_ascii=False, separators=(",", ":")))]
    return [opening, *deltas, BlockEnded()]
