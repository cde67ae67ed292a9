"""Functions that encode turns for the database, as JSON in the format of the Messages API. No I/O."""

from typing import Any

import orjson

from workers.core.job import (
    Block,
    Document,
    Image,
    RedactedThinkingBlock,
    SearchResult,
    Text,
    ThinkingBlock,
    ToolResult,
    ToolResultPart,
    ToolUse,
    Turn,
)
from workers.core.message_blocks import encode_block

# Name of a field that this module adds to blocks. The Messages API does not define this field.
_URL_FIELD = "fetched_from"


def encode_turn(turn: Turn) -> bytes:
    """Encode a turn for the database."""
    return orjson.dumps({"role": turn.role, "content": [_encode_block(block) for block in turn.blocks]})


def decode_turn(stored: bytes) -> Turn:
    """Decode a stored turn.

    Raises:
        One of `row_reader.READ_ERRORS`: The stored data is damaged.
    """
    value = orjson.loads(stored)
    role = value["role"]
    if role not in ("user", "assistant"):
        raise ValueError(f"a turn of {role!r:.40}")
    return Turn(role, tuple(_decode_block(block) for block in value["content"]))


def _encode_block(block: Block) -> dict[str, Any]:
    """Encode a block as a JSON object.

    If the gateway fetched an image or document from a URL, the object also contains the URL. By this URL, the gateway
    recognizes the image or document in later requests.
    """
    frame = encode_block(block)
    if isinstance(block, ToolResult):
        return {**frame, "content": [_encode_block(part) for part in block.content]}
    return {**frame, _URL_FIELD: block.url} if isinstance(block, Image | Document) and block.url else frame


def _decode_block(stored: dict[str, Any]) -> Block:
    match stored:
        case {"type": "text", "text": str(text)}:
            return Text(text)
        case {"type": "image", "source": dict(source)}:
            return Image(source, stored.get(_URL_FIELD, ""))
        case {"type": "document", **fields}:
            return Document(fields, fields.pop(_URL_FIELD, ""))
        case {"type": "search_result", **fields}:
            return SearchResult(fields)
        case {"type": "thinking", "thinking": str(thinking), "signature": str(signature)}:
            return ThinkingBlock(thinking, signature)
        case {"type": "redacted_thinking", "data": str(data)}:
            return RedactedThinkingBlock(data)
        case {"type": "tool_use", "id": str(id_), "name": str(name), "input": dict(arguments)}:
            return ToolUse(id_, name, arguments)
        case {"type": "tool_result", "tool_use_id": str(id_), "content": list(content), "is_error": bool(is_error)}:
            parts = tuple(part for part in map(_decode_block, content) if isinstance(part, ToolResultPart))
            return ToolResult(id_, parts, is_error)
    raise ValueError(f"a stored block of type {stored.get('type')!r:.40} is unknown or incomplete")
