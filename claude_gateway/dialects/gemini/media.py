"""Inline data of a Gemini part as a block. Pure; raises `ApiError` 400 naming the part at fault."""

import base64
import binascii

from claude_gateway.conversation import bad
from claude_gateway.dialects.gemini.wire import Blob
from workers.job import Document, Image

IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_PDF = "application/pdf"
_URL_SAFE = str.maketrans("-_", "+/")


def read_blob(blob: Blob, where: str) -> Image | Document:
    kind = blob.mime_type.lower()
    if kind not in (*IMAGE_TYPES, _PDF):
        raise bad(where, f"a {blob.mime_type[:40]!r} cannot be read; Claude takes {', '.join(IMAGE_TYPES)} and {_PDF}")
    source = {"type": "base64", "media_type": kind, "data": _standard_base64(blob.data, where)}
    return Document({"source": source}) if kind == _PDF else Image(source)


def _standard_base64(text: str, where: str) -> str:
    """Google's Python client writes the URL-safe alphabet, which the upstream does not take."""
    standard = text.translate(_URL_SAFE)
    try:
        if base64.b64decode(standard, validate=True):
            return standard
    except (binascii.Error, ValueError):
        pass
    raise bad(f"{where}.data", "must be base64 of something")
