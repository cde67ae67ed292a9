"""Content blocks of the Messages API, as callers of its own dialect send them and editors in others. Pure.

What a block lacks, and what cannot stand where it stands, is an `ApiError` 400 that names its place. What Claude takes
in no form of its own reaches it as text.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from claude_gateway.prompt import media
from claude_gateway.prompt.call_input import read_input
from claude_gateway.prompt.conversation import ProviderCall, bad
from claude_gateway.prompt.deferred_tools import reference
from claude_gateway.prompt.in_words import in_words
from workers.job import (
    Block,
    Document,
    Image,
    RedactedThought,
    ResultPart,
    Role,
    SearchResult,
    Text,
    Thought,
    ToolResult,
    ToolUse,
)

# Claude Code's first system block is no prompt but its own bill's mark; our worker writes one of its own.
_BILLING_MARK = "x-anthropic-billing-header:"
_OF_ROLE: Mapping[Role, tuple[type, ...]] = {
    "user": (Text, Image, Document, SearchResult, ToolResult),
    "assistant": (Text, Thought, RedactedThought, ToolUse),
}
_KNOWN = ("text", "image", "document", "redacted_thinking", "tool_use", "tool_result")
# What the provider's own tools did, and Claude's own, as this gateway tells of it.
_OWN_CALLS = re.compile(r"(server|mcp)_tool_use|\w+_tool_result")
_OWN_CALLS_NOTE = "messages: calls carried out by the provider are given to Claude as text, where no session knows them"
_OTHERS = ("thinking", "search_result", "tool_reference", "container_upload", "compaction")
_MOST_NOTES = 200
_NO_FILES = "files are not kept here; send what is in it"


def read_blocks(role: Role | None, content: Any, where: str, notes: list[str]) -> list[Block]:
    """The blocks of a turn, or of a system prompt (None); what is left out is noted."""
    if isinstance(content, str):
        return [Text(content)]
    if not isinstance(content, list):
        raise bad(where, "must be a text or a list of blocks")
    blocks = []
    for index, raw in enumerate(content):
        if (block := read_block(raw, f"{where}.{index}", notes)) is not None:
            blocks.append(block if role is None else check_role(role, block, f"{where}.{index}"))
    return blocks


def check_role(role: Role, block: Block, where: str) -> Block:
    """The block, where a turn of this role may hold it: the API refuses the others."""
    if not isinstance(block, _OF_ROLE[role]):
        raise bad(where, f"what stands here cannot be in a message of the {role}'s")
    return block


def is_block(kind: str) -> bool:
    """True for the types of the Messages API, but for text, which other dialects have too."""
    return kind in (*_KNOWN[1:], *_OTHERS) or _OWN_CALLS.fullmatch(kind) is not None


def read_block(block: Any, where: str, notes: list[str]) -> Block | None:
    match block:
        case {"type": "text", "text": str(text)}:
            return Text(text)
        case {"type": "image", "source": dict(source)}:
            return _image(source, f"{where}.source")
        case {"type": "document", "source": dict(source)}:
            return _document(block, source, where, notes)
        case {"type": "thinking", "thinking": str(thinking), "signature": str(signature)} if signature:
            return Thought(thinking, signature)
        case {"type": "redacted_thinking", "data": str(data)}:
            return RedactedThought(data)
        case {"type": "tool_use", "id": str(id_), "name": str(name)}:
            return ToolUse(id_, name, read_input(block.get("input"), f"{where}.input", notes))
        case {"type": "tool_result", "tool_use_id": str(id_)}:
            content = _result(block.get("content") or "", f"{where}.content", notes)
            return ToolResult(id_, content, is_error=bool(block.get("is_error")))
        case {"type": str(kind)} if kind in _KNOWN:
            raise bad(where, f"is no whole block of type {kind}")
        case {"type": "search_result"} if (found := _search_result(block, where, notes)) is not None:
            return found
        case {"type": "tool_reference", "tool_name": str(name)} if name:
            return Text(reference(name))
        case {"type": "thinking"}:
            notes.append(f"{where}: a thought without its signature was left out, Claude takes none")
            return None
        case {"type": str(kind)}:
            return _words(kind, block, where, notes)
    raise bad(where, "a content block must have a type")


def _words(kind: str, block: Mapping[str, Any], where: str, notes: list[str]) -> Text | None:
    words = in_words(kind[:60], block)
    if _OWN_CALLS.fullmatch(kind):
        if _OWN_CALLS_NOTE not in notes:
            notes.append(_OWN_CALLS_NOTE)
        return ProviderCall(f"\n{words}\n") if words else None
    note_words(kind, words, where, notes)
    return Text(words) if words else None


def note_words(kind: str, words: str, where: str, notes: list[str], thing: str = "a block") -> None:
    """Say what became of a block of a type that Claude has not: of many of one type the first is named."""
    done = "is given to Claude as text" if words else "was left out"
    line = f"{thing} of type {kind[:40]!r} {done}"
    if len(notes) > _MOST_NOTES:
        return  # no client is told of so many
    if not words or not any(note.endswith(line) for note in notes):
        notes.append(f"{where}: {line}")


def _search_result(block: Mapping[str, Any], where: str, notes: list[str]) -> SearchResult | None:
    """None where the API would refuse it; what can be read of it is given as text then."""
    match block:
        case {"source": str(source), "title": str(title), "content": list(content)} if source.strip() and title.strip():
            parts = [{"type": "text", "text": text} for text in map(_text_of, content) if text.strip()]
        case _:
            return None
    if not parts or not all(isinstance(part, Mapping) and part.get("type") == "text" for part in content):
        return None
    match block.get("citations"):
        case {"enabled": True}:
            notes.append(f"{where}.citations: not supported by this version")
    return SearchResult({"source": source, "title": title, "content": parts})


def _text_of(part: Any) -> str:
    text = part.get("text") if isinstance(part, Mapping) else None
    return text if isinstance(text, str) else ""


def system_text(system: Any, notes: list[str]) -> str:
    """A system prompt, a string or blocks, as one text."""
    if system is None or isinstance(system, str):
        return system if system and system.strip() else ""
    texts = [block.text for block in only_texts(read_blocks(None, system, "system", notes), "system", notes)]
    return "\n\n".join(text for text in texts if text.strip() and not text.startswith(_BILLING_MARK))


def only_texts(blocks: Sequence[Block], where: str, notes: list[str]) -> list[Text]:
    texts = [text for block in blocks if (text := _as_text(block)) is not None]
    if len(texts) < len(blocks):
        notes.append(f"{where}: only text was taken, a system prompt has nothing else")
    return texts


def _as_text(block: Block) -> Text | None:
    """A text, or a search result in words."""
    if isinstance(block, SearchResult):
        return Text(in_words("search_result", block.fields))
    return Text(block.text) if isinstance(block, Text) else None


def result_parts(blocks: Sequence[Block], where: str) -> tuple[ResultPart, ...]:
    """What can stand in the result of a tool call; blank texts go, the API takes none."""
    parts: list[ResultPart] = []
    for index, block in enumerate(blocks):
        match block:
            case Text(text):
                parts += [Text(text)] if text.strip() else []
            case Image() | Document() | SearchResult():
                parts.append(block)
            case _:
                raise bad(f"{where}.{index}", "a tool result holds texts, images, documents and search results")
    return tuple(parts)


def _result(content: Any, where: str, notes: list[str]) -> tuple[ResultPart, ...]:
    return result_parts(read_blocks(None, content, where, notes), where)


def _image(source: Mapping[str, Any], where: str) -> Image:
    match source:
        case {"type": "base64", "data": str(data)}:
            image = media.read(data, str(source.get("media_type") or ""), where)
        case {"type": "url", "url": str(url)}:
            return media.remote(url, where)
        case {"type": "file"}:
            raise bad(where, _NO_FILES)
        case _:
            raise bad(where, "must be of type base64 with its data, or of type url with its url")
    if not isinstance(image, Image):
        raise bad(where, "is a document, and no image")
    return image


def _document(block: Mapping[str, Any], source: Mapping[str, Any], where: str, notes: list[str]) -> Document | Image:
    more = media.about(block.get("title"), block.get("context"))
    match block.get("citations"):
        case {"enabled": True}:
            notes.append(f"{where}.citations: not supported by this version")
    where = f"{where}.source"
    match source:
        case {"type": "url", "url": str(url)}:
            return media.remote(url, where, more)
        case {"type": "base64", "data": str(data)}:
            document = media.read(data, str(source.get("media_type") or ""), where, more)
        case {"type": "text", "data": str(text)}:
            document = media.text_document(text, where, more)
        case {"type": "content", "content": str() | list() as content}:
            parts = _content_source(content, f"{where}.content", notes)
            document = Document({"source": {"type": "content", "content": parts}, **more})
        case {"type": "file"}:
            raise bad(where, _NO_FILES)
        case _:
            raise bad(where, "must be of type base64, text, content or url, with its data")
    if not isinstance(document, Document):
        raise bad(where, "is an image, and no document")
    return document


def _content_source(content: str | list[Any], where: str, notes: list[str]) -> list[dict[str, Any]]:
    """The blocks that a document is made of, as the API takes them: texts and images, and at least one."""
    raw: list[dict[str, Any]] = []
    parts = _result(content, where, notes)
    for index, part in enumerate(parts):
        match part:
            case Text() | SearchResult() if (text := _as_text(part)) is not None:
                raw.append({"type": "text", "text": text.text})
            case Image({"type": "base64"} as source):
                raw.append({"type": "image", "source": dict(source)})
            case _:
                raise bad(f"{where}.{index}", "a document is made of texts and base64 images")
    if not raw:
        raise bad(where, "the document is empty")
    return raw
