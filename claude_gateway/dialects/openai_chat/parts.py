"""The content of a chat message as blocks: OpenAI's own parts, and Anthropic's blocks as Cursor mixes them in. Pure."""

from typing import Any

from claude_gateway.dialects.openai_chat.wire import Message
from claude_gateway.prompt import media
from claude_gateway.prompt.blocks import is_block, read_block
from claude_gateway.prompt.conversation import bad
from workers.job import Block, Text

# What asks for nothing: Claude looks at every image in full.
_NO_DETAIL = (None, "auto", "high", "original")


def read_parts(message: Message, where: str, notes: list[str]) -> list[Block]:
    """The content, whatever the role; what is left out is noted."""
    refusal = [Text(message.refusal)] if message.refusal else []
    if message.content is None or isinstance(message.content, str):
        return [Text(message.content or ""), *refusal]
    blocks: list[Block] = []
    for index, part in enumerate(message.content):
        if (block := _part(part.model_dump(), f"{where}.content.{index}", notes)) is not None:
            blocks.append(block)
    return [*blocks, *refusal]


def _part(part: dict[str, Any], where: str, notes: list[str]) -> Block | None:
    match part:
        case {"type": "text", "text": str(text)} | {"type": "refusal", "refusal": str(text)}:
            return Text(text)
        case {"type": "image_url", "image_url": str(url) | {"url": str(url)} as image}:
            if isinstance(image, dict) and image.get("detail") not in _NO_DETAIL:
                notes.append(f"{where}.image_url.detail: Claude has no such choice")
            return media.from_url(url, f"{where}.image_url")
        case {"type": "file", "file": {"file_data": str(data)} as file}:
            return media.from_file(data, f"{where}.file.file_data", media.about(file.get("filename")))
        case {"type": "file", "file": {"file_id": str()}}:
            raise bad(f"{where}.file.file_id", "files are not kept here; send what is in it as file_data")
        case {"type": str(kind)} if is_block(kind):
            return read_block(part, where, notes)
        case {"type": "text" | "refusal" | "image_url" | "file" as kind}:
            raise bad(where, f"is no whole part of type {kind}")
    raise bad(where, f"a part of type {str(part['type'])[:40]!r} is not supported: Claude takes text, images and PDFs")
