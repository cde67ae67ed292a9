"""Parser for the content blocks of the Messages API. Editors also send these blocks in other dialects. No I/O.

If a block is incomplete, or is not allowed at its position, the parser raises an `ApiError` 400 that names the field
path of the block. If Claude does not accept the type of a block, the parser converts the block to text. The parameter
`notes` of the functions is a list of warnings for the client.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from claude_gateway.core.errors import bad_request
from claude_gateway.dialects.common.content import media
from claude_gateway.dialects.common.content.block_text import render_as_text
from claude_gateway.dialects.common.content.conversation import HostedCallText
from claude_gateway.dialects.common.tools.call_arguments import parse_call_arguments
from claude_gateway.dialects.common.tools.deferred_tools import format_tool_reference
from workers.core.job import (
    Block,
    Document,
    Image,
    RedactedThinkingBlock,
    Role,
    SearchResult,
    Text,
    ThinkingBlock,
    ToolResult,
    ToolResultPart,
    ToolUse,
)

# Claude Code, as a client, sends a billing header as the first block of the system prompt. The gateway drops this
# block, because the CLI of the worker adds its own header.
_BILLING_HEADER_PREFIX = "x-anthropic-billing-header:"
_BLOCKS_BY_ROLE: Mapping[Role, tuple[type, ...]] = {
    "user": (Text, Image, Document, SearchResult, ToolResult),
    "assistant": (Text, ThinkingBlock, RedactedThinkingBlock, ToolUse),
}
_NATIVE_TYPES = ("text", "image", "document", "redacted_thinking", "tool_use", "tool_result")
# Block types for calls and results of hosted tools. This gateway also returns calls of built-in tools in these types.
_HOSTED_CALL_TYPES = re.compile(r"(server|mcp)_tool_use|\w+_tool_result")
_HOSTED_CALLS_NOTE = "messages: converted calls of hosted tools to text (unless a session holds them)"
_OTHER_TYPES = ("thinking", "search_result", "tool_reference", "container_upload", "compaction")
_MAX_NOTES = 200
_FILES_UNSUPPORTED = "the gateway does not store files; send the content of the file"


def parse_blocks(role: Role | None, content: Any, field_path: str, notes: list[str]) -> list[Block]:
    """Parse the content of a message into blocks. Add a note for each block that the gateway converts or omits.

    Args:
        role: Role of the message; None if the content belongs to a system prompt or a tool result.
        content: The content as the client sent it, which is a text or a list of blocks.
        field_path: Field path of the content.
        notes: List to which the function adds the notes.

    Raises:
        ApiError: 400 if a block is malformed, or not allowed in a message of this role.
    """
    if isinstance(content, str):
        return [Text(content)]
    if not isinstance(content, list):
        raise bad_request(field_path, "must be a string or a list of blocks")
    blocks = []
    for index, raw in enumerate(content):
        if (block := parse_block(raw, f"{field_path}.{index}", notes)) is not None:
            blocks.append(block if role is None else check_role(role, block, f"{field_path}.{index}"))
    return blocks


def check_role(role: Role, block: Block, field_path: str) -> Block:
    """Check that a message of this role may contain a block of this type, and return the block.

    Raises:
        ApiError: 400 if the message must not contain the block. The Messages API would reject the request, too.
    """
    if not isinstance(block, _BLOCKS_BY_ROLE[role]):
        raise bad_request(field_path, f"a message of the {role} must not contain a block of this type")
    return block


def is_block_type(kind: str) -> bool:
    """Return whether a block type exists only in the Messages API. The type `text` also exists in other dialects."""
    return kind in (*_NATIVE_TYPES[1:], *_OTHER_TYPES) or _HOSTED_CALL_TYPES.fullmatch(kind) is not None


def parse_block(block: Any, field_path: str, notes: list[str]) -> Block | None:
    """Parse one content block. Return None, and add a note, if the gateway omits the block.

    Raises:
        ApiError: 400 if the block is malformed.
    """
    match block:
        case {"type": "text", "text": str(text)}:
            return Text(text)
        case {"type": "image", "source": dict(source)}:
            return _parse_image(source, f"{field_path}.source")
        case {"type": "document", "source": dict(source)}:
            return _parse_document(block, source, field_path, notes)
        case {"type": "thinking", "thinking": str(thinking), "signature": str(signature)} if signature:
            return ThinkingBlock(thinking, signature)
        case {"type": "redacted_thinking", "data": str(data)}:
            return RedactedThinkingBlock(data)
        case {"type": "tool_use", "id": str(id_), "name": str(name)}:
            return ToolUse(id_, name, parse_call_arguments(block.get("input"), f"{field_path}.input", notes))
        case {"type": "tool_result", "tool_use_id": str(id_)}:
            content = _parse_result_content(block.get("content") or "", f"{field_path}.content", notes)
            return ToolResult(id_, content, is_error=bool(block.get("is_error")))
        case {"type": str(kind)} if kind in _NATIVE_TYPES:
            raise bad_request(field_path, f"is not a complete block of type {kind}")
        case {"type": "search_result"} if (result := _parse_search_result(block, field_path, notes)) is not None:
            return result
        case {"type": "tool_reference", "tool_name": str(name)} if name:
            return Text(format_tool_reference(name))
        case {"type": "thinking"}:
            notes.append(f"{field_path}: omitted a thinking block (it has no signature)")
            return None
        case {"type": str(kind)}:
            return _render_block(kind, block, field_path, notes)
    raise bad_request(field_path, "a content block must have a type")


def _render_block(kind: str, block: Mapping[str, Any], field_path: str, notes: list[str]) -> Text | None:
    text = render_as_text(kind[:60], block)
    if _HOSTED_CALL_TYPES.fullmatch(kind):
        if _HOSTED_CALLS_NOTE not in notes:
            notes.append(_HOSTED_CALLS_NOTE)
        return HostedCallText(f"\n{text}\n") if text else None
    note_conversion(kind, text, field_path, notes)
    return Text(text) if text else None


def note_conversion(kind: str, text: str, field_path: str, notes: list[str], noun: str = "a block") -> None:
    """Add a note that the gateway omits a block or converts the block to text. Claude does not accept its type.

    If the gateway converts several blocks of one type, the function adds a note only for the first of these blocks.

    Args:
        kind: Type of the block.
        text: The text that replaces the block; "" if the gateway omits the block.
        field_path: Field path of the block.
        notes: List to which the function adds the note.
        noun: The noun with which the note refers to the block. It is "an item" in the Responses dialect.
    """
    line = f"converted {noun} of type {kind[:40]!r} to text" if text else f"omitted {noun} of type {kind[:40]!r}"
    if len(notes) > _MAX_NOTES:
        return  # more notes would not help a client
    if not text or not any(note.endswith(line) for note in notes):
        notes.append(f"{field_path}: {line}")


def _parse_search_result(block: Mapping[str, Any], field_path: str, notes: list[str]) -> SearchResult | None:
    """Parse a search result block. Return None if the API would reject the block.

    The calling code then converts the block to text.
    """
    match block:
        case {"source": str(source), "title": str(title), "content": list(content)} if source.strip() and title.strip():
            parts = [{"type": "text", "text": text} for text in map(_get_part_text, content) if text.strip()]
        case _:
            return None
    if not parts or not all(isinstance(part, Mapping) and part.get("type") == "text" for part in content):
        return None
    match block.get("citations"):
        case {"enabled": True}:
            notes.append(f"{field_path}.citations: ignored (not supported by this version)")
    return SearchResult({"source": source, "title": title, "content": parts})


def _get_part_text(part: Any) -> str:
    text = part.get("text") if isinstance(part, Mapping) else None
    return text if isinstance(text, str) else ""


def join_system_text(system: Any, notes: list[str]) -> str:
    """Return a system prompt as one string. The client sends the prompt as a string or as a list of blocks."""
    if system is None or isinstance(system, str):
        return system if system and system.strip() else ""
    texts = [block.text for block in extract_texts(parse_blocks(None, system, "system", notes), "system", notes)]
    return "\n\n".join(text for text in texts if text.strip() and not text.startswith(_BILLING_HEADER_PREFIX))


def extract_texts(blocks: Sequence[Block], field_path: str, notes: list[str]) -> list[Text]:
    """Return the texts in a system prompt. If the prompt contains blocks without text, omit them and add a note."""
    texts = [text for block in blocks if (text := _as_text(block)) is not None]
    if len(texts) < len(blocks):
        notes.append(f"{field_path}: omitted everything but text (a system prompt can only contain text)")
    return texts


def _as_text(block: Block) -> Text | None:
    """Convert a text block or a search result to a text. Return None if the block has any other type."""
    if isinstance(block, SearchResult):
        return Text(render_as_text("search_result", block.fields))
    return Text(block.text) if isinstance(block, Text) else None


def check_result_parts(blocks: Sequence[Block], field_path: str) -> tuple[ToolResultPart, ...]:
    """Check the blocks in a tool result, and return them without blank texts, because the API rejects blank texts.

    Raises:
        ApiError: 400 if there is a block that a tool result must not contain.
    """
    parts: list[ToolResultPart] = []
    for index, block in enumerate(blocks):
        match block:
            case Text(text):
                parts += [Text(text)] if text.strip() else []
            case Image() | Document() | SearchResult():
                parts.append(block)
            case _:
                raise bad_request(
                    f"{field_path}.{index}",
                    "a tool result can only contain texts, images, documents and search results",
                )
    return tuple(parts)


def _parse_result_content(content: Any, field_path: str, notes: list[str]) -> tuple[ToolResultPart, ...]:
    return check_result_parts(parse_blocks(None, content, field_path, notes), field_path)


def _parse_image(source: Mapping[str, Any], field_path: str) -> Image:
    match source:
        case {"type": "base64", "data": str(data)}:
            image = media.from_base64(data, str(source.get("media_type") or ""), field_path)
        case {"type": "url", "url": str(url)}:
            return media.build_remote_image(url, field_path)
        case {"type": "file"}:
            raise bad_request(field_path, _FILES_UNSUPPORTED)
        case _:
            raise bad_request(field_path, "must be of type base64 with its data, or of type url with its url")
    if not isinstance(image, Image):
        raise bad_request(field_path, "is a document, not an image")
    return image


def _parse_document(
    block: Mapping[str, Any], source: Mapping[str, Any], field_path: str, notes: list[str]
) -> Document | Image:
    extra_fields = media.build_document_fields(block.get("title"), block.get("context"))
    match block.get("citations"):
        case {"enabled": True}:
            notes.append(f"{field_path}.citations: ignored (not supported by this version)")
    field_path = f"{field_path}.source"
    match source:
        case {"type": "url", "url": str(url)}:
            return media.build_remote_image(url, field_path, extra_fields)
        case {"type": "base64", "data": str(data)}:
            document = media.from_base64(data, str(source.get("media_type") or ""), field_path, extra_fields)
        case {"type": "text", "data": str(text)}:
            document = media.build_text_document(text, field_path, extra_fields)
        case {"type": "content", "content": str() | list() as content}:
            parts = _parse_content_source(content, f"{field_path}.content", notes)
            document = Document({"source": {"type": "content", "content": parts}, **extra_fields})
        case {"type": "file"}:
            raise bad_request(field_path, _FILES_UNSUPPORTED)
        case _:
            raise bad_request(field_path, "must be of type base64, text, content or url, with its data")
    if not isinstance(document, Document):
        raise bad_request(field_path, "is an image, not a document")
    return document


def _parse_content_source(content: str | list[Any], field_path: str, notes: list[str]) -> list[dict[str, Any]]:
    """Parse the blocks in a document. Such a document has a `source` of the type `content`.

    Returns:
        One JSON object for each block. There is at least one block, and each block is a text or an image.
    """
    encoded: list[dict[str, Any]] = []
    parts = _parse_result_content(content, field_path, notes)
    for index, part in enumerate(parts):
        match part:
            case Text() | SearchResult() if (text := _as_text(part)) is not None:
                encoded.append({"type": "text", "text": text.text})
            case Image({"type": "base64"} as source):
                encoded.append({"type": "image", "source": dict(source)})
            case _:
                raise bad_request(f"{field_path}.{index}", "a document can only contain texts and base64 images")
    if not encoded:
        raise bad_request(field_path, "the document is empty")
    return encoded
