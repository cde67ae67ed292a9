"""The content of a message or of a tool's output: a string, or parts of several types. Pure."""

from collections.abc import Mapping
from typing import Any

from claude_gateway.prompt import media
from claude_gateway.prompt.conversation import bad
from claude_gateway.prompt.in_words import in_words
from workers.job import Document, Image, Text

Part = Text | Image | Document

_MOST_PARTS = 10_000


def read_content(content: Any, where: str) -> list[Part]:
    """Raises `ApiError` 400 naming the part at fault."""
    match content:
        case None:
            return []
        case str(text):
            return [Text(text)]
        case list(parts) if len(parts) <= _MOST_PARTS:
            return [_read_part(part, f"{where}.{index}") for index, part in enumerate(parts)]
    raise bad(where, f"must be a string or a list of at most {_MOST_PARTS} parts")


def read_run_output(item: Mapping[str, Any], where: str) -> list[Part]:
    """What a command, a patch or a computer gave back that the model had the client run."""
    match item.get("output"):
        case {"type": "computer_screenshot", "image_url": str(url)}:
            return [media.from_url(url, f"{where}.output.image_url")]
        case {"type": "computer_screenshot"}:
            raise bad(f"{where}.output", "uploaded files are not kept here; send the screenshot as a data: URL")
        case str(text):
            status = "failed\n" if item.get("status") == "failed" else ""
            return [Text(f"{status}{text}")]
        case list(parts):
            return [
                Text(text) for part in parts if (text := in_words("output", part if isinstance(part, dict) else {}))
            ]
    return [Text(str(item.get("status") or ""))]


def _read_part(part: Any, where: str) -> Part:
    match part:
        case str(text) | {"type": "input_text" | "output_text" | "text" | "summary_text", "text": str(text)}:
            return Text(text)
        case {"type": "refusal", "refusal": str(text)}:
            return Text(text)
        case {"type": "input_image", "image_url": str(url) | {"url": str(url)}}:
            return media.from_url(url, f"{where}.image_url")
        case {"type": "input_file", "file_data": str(data)}:
            return media.from_file(data, f"{where}.file_data", media.about(part.get("filename")))
        case {"type": "input_file", "file_url": str(url)}:
            return media.from_url(url, f"{where}.file_url", media.about(part.get("filename")))
        case {"type": "input_image" | "input_file"}:
            raise bad(where, "uploaded files are not kept here; send what is in it as a data: URL")
        case {"type": str(kind)}:
            raise bad(where, f"a part of type {kind[:40]!r} is not supported, or not whole")
    raise bad(where, "a part must be an object with a type")
