"""Convert the content of a chat message to blocks. No I/O.

The content may contain parts in OpenAI's format and blocks in Anthropic's format, because the editor Cursor mixes both
formats.
"""

from typing import Any

from claude_gateway.core.errors import bad_request
from claude_gateway.dialects.common.content import media
from claude_gateway.dialects.common.content.blocks import is_block_type, parse_block
from claude_gateway.dialects.openai_chat.schema import ChatMessage
from workers.core.job import Block, Text

# Values of `detail` for which there is no warning, because Claude always sees the whole image.
_DEFAULT_DETAILS = (None, "auto", "high", "original")


def parse_message_content(message: ChatMessage, field_path: str, notes: list[str]) -> list[Block]:
    """Convert the content of a message of any role to blocks. Add a warning for each part that the gateway omits."""
    refusal = [Text(message.refusal)] if message.refusal else []
    if message.content is None or isinstance(message.content, str):
        return [Text(message.content or ""), *refusal]
    blocks: list[Block] = []
    for index, part in enumerate(message.content):
        if (block := _parse_part(part.model_dump(), f"{field_path}.content.{index}", notes)) is not None:
            blocks.append(block)
    return [*blocks, *refusal]


def _parse_part(part: dict[str, Any], field_path: str, notes: list[str]) -> Block | None:
    match part:
        case {"type": "text", "text": str(text)} | {"type": "refusal", "refusal": str(text)}:
            return Text(text)
        case {"type": "image_url", "image_url": str(url) | {"url": str(url)} as image}:
            if isinstance(image, dict) and image.get("detail") not in _DEFAULT_DETAILS:
                notes.append(f"{field_path}.image_url.detail: ignored (Claude has no such choice)")
            return media.from_url(url, f"{field_path}.image_url")
        case {"type": "file", "file": {"file_data": str(data)} as file}:
            return media.from_file(
                data, f"{field_path}.file.file_data", media.build_document_fields(file.get("filename"))
            )
        case {"type": "file", "file": {"file_id": str()}}:
            raise bad_request(
                f"{field_path}.file.file_id",
                "the gateway does not store files; send the content of the file as file_data",
            )
        case {"type": str(kind)} if is_block_type(kind):
            return parse_block(part, field_path, notes)
        case {"type": "text" | "refusal" | "image_url" | "file" as kind}:
            raise bad_request(field_path, f"is not a complete part of type {kind}")
    raise bad_request(
        field_path, f"a part of type {str(part['type'])[:40]!r} is not supported; Claude accepts text, images and PDFs"
    )
