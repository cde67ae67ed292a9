"""A turn as it is stored: JSON in the words of the Messages API. Pure."""

from typing import Any

import orjson

from workers.job import (
    Block,
    Document,
    Image,
    RedactedThought,
    ResultPart,
    SearchResult,
    Text,
    Thought,
    ToolResult,
    ToolUse,
    Turn,
)
from workers.protocol import block_frame

# No word of the Messages API's.
_URL = "fetched_from"


def dump(turn: Turn) -> bytes:
    return orjson.dumps({"role": turn.role, "content": [_stored(block) for block in turn.blocks]})


def load(stored: bytes) -> Turn:
    """Raises one of `damage.UNREADABLE` for what `dump` did not write."""
    value = orjson.loads(stored)
    role = value["role"]
    if role not in ("user", "assistant"):
        raise ValueError(f"a turn of {role!r:.40}")
    return Turn(role, tuple(_block(block) for block in value["content"]))


def _stored(block: Block) -> dict[str, Any]:
    """With the URL of what was fetched, by which it is known again."""
    frame = block_frame(block)
    if isinstance(block, ToolResult):
        return {**frame, "content": [_stored(part) for part in block.content]}
    return {**frame, _URL: block.url} if isinstance(block, Image | Document) and block.url else frame


def _block(stored: dict[str, Any]) -> Block:
    match stored:
        case {"type": "text", "text": str(text)}:
            return Text(text)
        case {"type": "image", "source": dict(source)}:
            return Image(source, stored.get(_URL, ""))
        case {"type": "document", **fields}:
            return Document(fields, fields.pop(_URL, ""))
        case {"type": "search_result", **fields}:
            return SearchResult(fields)
        case {"type": "thinking", "thinking": str(thinking), "signature": str(signature)}:
            return Thought(thinking, signature)
        case {"type": "redacted_thinking", "data": str(data)}:
            return RedactedThought(data)
        case {"type": "tool_use", "id": str(id_), "name": str(name), "input": dict(arguments)}:
            return ToolUse(id_, name, arguments)
        case {"type": "tool_result", "tool_use_id": str(id_), "content": list(content), "is_error": bool(is_error)}:
            parts = tuple(part for part in map(_block, content) if isinstance(part, ResultPart))
            return ToolResult(id_, parts, is_error)
    raise ValueError(f"a stored block of type {stored.get('type')!r:.40} is not known, or not whole")
