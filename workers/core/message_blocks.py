"""Converts blocks and turns to JSON objects in the format of the Messages API. No I/O."""

from collections.abc import Iterable
from typing import Any

from workers.core.job import (
    Block,
    Document,
    Image,
    RedactedThinkingBlock,
    SearchResult,
    Text,
    ThinkingBlock,
    ToolResult,
    ToolUse,
    Turn,
)

_EMPTY_REPLY_TEXT = "(no content)"


def encode_block(block: Block) -> dict[str, Any]:
    """Convert a block to a JSON object in the format of the Messages API."""
    match block:
        case Text(text):
            return {"type": "text", "text": text}
        case Image(source):
            return {"type": "image", "source": dict(source)}
        case Document(fields):
            return {**fields, "type": "document"}
        case SearchResult(fields):
            return {"type": "search_result", **fields}
        case ThinkingBlock(thinking, signature):
            return {"type": "thinking", "thinking": thinking, "signature": signature}
        case RedactedThinkingBlock(data):
            return {"type": "redacted_thinking", "data": data}
        case ToolUse(id_, name, input_):
            return {"type": "tool_use", "id": id_, "name": name, "input": dict(input_)}
        case ToolResult(tool_use_id, content, is_error):
            return {
                "type": "tool_result",
                "tool_use_id": tool_use_id,
                "content": [encode_block(part) for part in content],
                "is_error": is_error,
            }


def is_empty_reply_text(block: Block) -> bool:
    """Return whether a block is the text with which Claude Code replaces an empty reply.

    The CLI drops a message that begins with this text, even if the client sent the text or the model wrote it. This was
    observed with CLI 2.1.332.
    """
    return isinstance(block, Text) and block.text.strip() == _EMPTY_REPLY_TEXT


def _encode_assistant_block(block: Block) -> list[dict[str, Any]]:
    if isinstance(block, Text) and is_empty_reply_text(block):
        # Split the text into two blocks. Then the CLI does not drop the message, and the model reads the same text.
        split_index = block.text.index(" content")
        return [encode_block(Text(block.text[:split_index])), encode_block(Text(block.text[split_index:]))]
    return [encode_block(block)]


def encode_assistant_message(turn: Turn, model: str, id_: str) -> dict[str, Any]:
    """Convert an earlier reply of the model to a JSON object in the format of the Messages API."""
    return {
        "id": id_,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [frame for block in turn.blocks for frame in _encode_assistant_block(block)],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }


def is_plain_text(turns: Iterable[Turn]) -> bool:
    """Return whether the turns contain only texts, so that no step for media, tools or thinking changes them."""
    for turn in turns:
        for block in turn.blocks:
            if type(block) is not Text:
                return False
    return True
