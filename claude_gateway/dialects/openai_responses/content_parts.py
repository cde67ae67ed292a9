"""Convert the content of a message or of a tool output, which is a string or a list of parts. No I/O.

If a part is invalid, the functions raise `ApiError` 400 with the field path of the part.
"""

from collections.abc import Mapping
from typing import Any

from claude_gateway.core.errors import bad_request
from claude_gateway.dialects.common.content import media
from claude_gateway.dialects.common.content.block_text import render_as_text
from workers.core.job import Document, Image, Text

ContentPart = Text | Image | Document

_MAX_PARTS = 10_000


def parse_content(content: Any, field_path: str) -> list[ContentPart]:
    """Convert the content of a message or of a tool output to texts, images and documents."""
    match content:
        case None:
            return []
        case str(text):
            return [Text(text)]
        case list(parts) if len(parts) <= _MAX_PARTS:
            return [_parse_part(part, f"{field_path}.{index}") for index, part in enumerate(parts)]
    raise bad_request(field_path, f"must be a string or a list of at most {_MAX_PARTS} parts")


def parse_action_output(item: Mapping[str, Any], field_path: str) -> list[ContentPart]:
    """Convert the output of an action that the client ran for the model to texts and images.

    The action is a shell command, the application of a patch, or an input to the computer such as a mouse click.
    """
    match item.get("output"):
        case {"type": "computer_screenshot", "image_url": str(url)}:
            return [media.from_url(url, f"{field_path}.output.image_url")]
        case {"type": "computer_screenshot"}:
            raise bad_request(
                f"{field_path}.output", "the gateway does not store files; send the screenshot as a data: URL"
            )
        case str(text):
            status = "failed\n" if item.get("status") == "failed" else ""
            return [Text(f"{status}{text}")]
        case list(parts):
            return [
                Text(text)
                for part in parts
                if (text := render_as_text("output", part if isinstance(part, dict) else {}))
            ]
    return [Text(str(item.get("status") or ""))]


def _parse_part(part: Any, field_path: str) -> ContentPart:
    match part:
        case str(text) | {"type": "input_text" | "output_text" | "text" | "summary_text", "text": str(text)}:
            return Text(text)
        case {"type": "refusal", "refusal": str(text)}:
            return Text(text)
        case {"type": "input_image", "image_url": str(url) | {"url": str(url)}}:
            return media.from_url(url, f"{field_path}.image_url")
        case {"type": "input_file", "file_data": str(data)}:
            return media.from_file(data, f"{field_path}.file_data", media.build_document_fields(part.get("filename")))
        case {"type": "input_file", "file_url": str(url)}:
            return media.from_url(url, f"{field_path}.file_url", media.build_document_fields(part.get("filename")))
        case {"type": "input_image" | "input_file"}:
            raise bad_request(
                field_path, "the gateway does not store files; send the content of the file as a data: URL"
            )
        case {"type": str(kind)}:
            raise bad_request(field_path, f"a part of type {kind[:40]!r} is not supported or not complete")
    raise bad_request(field_path, "a part must be an object with a type")
