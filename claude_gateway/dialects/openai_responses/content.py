"""The content of a message or of a tool's output: a string, or parts of several types. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from claude_gateway.conversation import bad
from workers.job import Document, Image, Text

Part = Text | Image | Document

_MOST_PARTS = 10_000
_IMAGE = re.compile(r"data:(image/(?:jpeg|png|gif|webp));base64,(.+)", re.DOTALL)
_PDF = re.compile(r"data:(application/pdf);base64,(.+)", re.DOTALL)


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


def _read_part(part: Any, where: str) -> Part:
    match part:
        case str(text) | {"type": "input_text" | "output_text" | "text" | "summary_text", "text": str(text)}:
            return Text(text)
        case {"type": "refusal", "refusal": str(text)}:
            return Text(text)
        case {"type": "input_image", "image_url": str(url) | {"url": str(url)}}:
            return _image(url, where)
        case {"type": "input_file", "file_data": str(data)}:
            return _document(data, part, where)
        case {"type": "input_image" | "input_file"}:
            raise bad(where, "uploaded files and addresses are not read; send the content itself as a data: URL")
        case {"type": str(kind)}:
            raise bad(where, f"a part of type {kind[:40]!r} is not supported, or not whole")
    raise bad(where, "a part must be an object with a type")


def _image(url: str, where: str) -> Image:
    if (match := _IMAGE.fullmatch(url)) is None:
        raise bad(where, "an image must be a data: URL of JPEG, PNG, GIF or WebP in base64")
    return Image({"type": "base64", "media_type": match[1], "data": match[2]})


def _document(data: str, part: Mapping[str, Any], where: str) -> Document:
    if (match := _PDF.fullmatch(data)) is None:
        raise bad(where, "a file must be a data: URL of a PDF in base64")
    title = part.get("filename")
    source = {"type": "base64", "media_type": match[1], "data": match[2]}
    return Document({"source": source, **({"title": title} if isinstance(title, str) and title else {})})
