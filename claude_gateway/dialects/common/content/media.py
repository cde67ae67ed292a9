"""Check and convert the images and documents that clients send in any dialect. No I/O.

The gateway checks the limits of the Messages API, and for images also the limits of version 2.1.330 of the Claude Code
CLI. The module `claude_gateway/devtools/cli_contract/media.py` checks that the CLI still has these limits.
"""

from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from claude_gateway.core.errors import ApiError, bad_request
from claude_gateway.dialects.common.content.file_sniffing import PDF_MEDIA_TYPE, sniff_image_size, sniff_media_type
from workers.conversation.media_limit import count_omitted_media, get_max_media_count, iter_media
from workers.core.job import Document, Image, Turn

_SUPPORTED_TYPES_TEXT = "Claude accepts JPEG, PNG, GIF and WebP images, PDFs and texts"
_MEDIA_TYPE_ALIASES = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png"}
_UNSPECIFIC_TYPES = ("", "application/octet-stream", "binary/octet-stream")
_TEXT_MEDIA_TYPES = (
    "application/json",
    "application/xml",
    "application/yaml",
    "application/x-yaml",
    "application/javascript",
)

_BASE64_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_URL_SAFE_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_MAX_TITLE_CHARS = 500
_MAX_URL_CHARS = 8_192
_MAX_DATA_URL_HEAD_CHARS = 1_000
# The number has a limit, because decoding a percent-encoded byte takes a hundred times as long as decoding a byte of
# base64.
_MAX_PERCENT_ESCAPES = 50_000

_MAX_SIDE_PIXELS = 8_000
_MAX_BASE64_CHARS = 5 * 1024 * 1024
_MAX_UNSCALED_SIDE_PIXELS = 2_000
_MAX_UNSCALED_BYTES = 512_000


DocumentFields = Mapping[str, str]
_NO_FIELDS: DocumentFields = {}


def from_base64(
    data: str, declared_type: str, field_path: str, extra_fields: DocumentFields = _NO_FIELDS
) -> Image | Document:
    """Convert base64 data to an image or a document. The gateway detects the type from the first bytes of the data.

    Args:
        data: The base64 text.
        declared_type: Media type that the client declares; "" if the client declares none.
        field_path: Field path of the data.
        extra_fields: Title and context of a document, from `build_document_fields`.

    Raises:
        ApiError: 400 if the base64 text is invalid, if Claude does not accept the type, or if the declared type is
            wrong.
    """
    data = _normalize_base64(data, field_path)
    declared_type = declared_type.strip().lower()
    declared_type = _MEDIA_TYPE_ALIASES.get(declared_type, declared_type)
    kind = sniff_media_type(data, declared_type)
    if kind is None and (declared_type.startswith("text/") or declared_type in _TEXT_MEDIA_TYPES):
        return build_text_document(_decode_utf8(b64decode(data), field_path), field_path, extra_fields)
    if kind is None or (declared_type not in _UNSPECIFIC_TYPES and declared_type != kind):
        actual = f"the first bytes are those of {kind}" if kind else "the first bytes are not those of a supported type"
        raise bad_request(
            field_path,
            f"the declared type is {declared_type[:60]!r}, but {actual}; {_SUPPORTED_TYPES_TEXT}"
            if declared_type
            else f"{actual}; {_SUPPORTED_TYPES_TEXT}",
        )
    source = {"type": "base64", "media_type": kind, "data": data}
    if kind == PDF_MEDIA_TYPE:
        return Document({"source": source, **extra_fields})
    try:
        pixels = sniff_image_size(data, kind)
    except ValueError:
        raise bad_request(field_path, f"is not a complete image of type {kind}") from None
    if pixels is not None and max(pixels) > _MAX_SIDE_PIXELS:
        raise bad_request(field_path, f"the image has more than {_MAX_SIDE_PIXELS} pixels on a side")
    return Image(source)


def from_url(url: str, field_path: str, extra_fields: DocumentFields = _NO_FIELDS) -> Image | Document:
    """Convert a URL to an image or a document.

    A `data:` URL contains the file itself. For an `https:` URL, the result is a placeholder for the remote file.
    """
    if url[:5].lower() != "data:":
        return build_remote_image(url, field_path, extra_fields)
    end = url.find(",", 0, _MAX_DATA_URL_HEAD_CHARS)
    if end < 0:
        raise bad_request(
            field_path,
            f"is not a complete data: URL; its type and options must not exceed {_MAX_DATA_URL_HEAD_CHARS} characters",
        )
    head, data = url[:end], url[end + 1 :]
    declared_type, *options = (part.strip().lower() for part in head[5:].split(";"))
    if "base64" in options:
        return from_base64(data, declared_type, field_path, extra_fields)
    if declared_type and not declared_type.startswith("text/") and declared_type not in _TEXT_MEDIA_TYPES:
        raise bad_request(field_path, f"the data: URL of type {declared_type[:60]!r} must be in base64")
    if data.count("%") > _MAX_PERCENT_ESCAPES:
        raise ApiError(
            413,
            "request_too_large",
            f"{field_path}: the data: URL has over {_MAX_PERCENT_ESCAPES} percent-encoded bytes; send it in base64",
            code="request_too_large",
            param=field_path,
        )
    return build_text_document(_decode_utf8(unquote_to_bytes(data), field_path), field_path, extra_fields)


def from_file(data: str, field_path: str, extra_fields: DocumentFields = _NO_FIELDS) -> Image | Document:
    """Convert the data of a file to an image or a document.

    The data is a `data:` URL, as in OpenAI's API, or plain base64, as some clients send it.
    """
    if ":" in data[:8]:
        return from_url(data, field_path, extra_fields)
    return from_base64(data, "", field_path, extra_fields)


def build_remote_image(url: str, field_path: str, extra_fields: DocumentFields = _NO_FIELDS) -> Image:
    """Return a placeholder for an image or a PDF at an `https:` URL.

    Before the job runs, the gateway fetches the file and replaces the placeholder with the file. The module
    `remote_media` contains the functions for this.
    """
    check_url(url, field_path)
    return Image({"type": "url", "url": url, "field_path": field_path, "extra_fields": extra_fields})


def check_url(url: str, field_path: str) -> None:
    """Check that a URL is an `https:` URL without a user name. The gateway fetches no other URLs.

    Raises:
        ApiError: 400 if the gateway does not fetch the URL.
    """
    if not _is_fetchable(url):
        raise bad_request(field_path, "must be a data: URL with base64, or an https: URL without a user name")


def _is_fetchable(url: str) -> bool:
    if len(url) > _MAX_URL_CHARS or not url.isprintable():  # must come before `urlsplit`, which caches the URL
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc


def build_text_document(text: str, field_path: str, extra_fields: DocumentFields = _NO_FIELDS) -> Document:
    """Return a document that contains the text.

    Raises:
        ApiError: 400 if the text is blank, because the API rejects blank documents.
    """
    if not text.strip():
        raise bad_request(field_path, "the document is empty")
    return Document({"source": {"type": "text", "media_type": "text/plain", "data": text}, **extra_fields})


def build_document_fields(title: Any = None, context: Any = None) -> DocumentFields:
    """Return the fields `title` and `context` of a document. Omit blank fields, and truncate the title."""
    fields = {"title": title[:_MAX_TITLE_CHARS] if isinstance(title, str) else None, "context": context}
    return {name: value for name, value in fields.items() if isinstance(value, str) and value.strip()}


def check_media(turns: Sequence[Turn], model: str) -> list[str]:
    """Return notes for the client about images and documents that Claude Code will omit or scale down.

    Raises:
        ApiError: 400 for an image that neither Claude Code nor the API accepts.
    """
    media = list(iter_media(turns))
    omitted_count = count_omitted_media(turns, model)
    media, count = media[omitted_count:], len(media)
    images = [(part.source, result) for part, result in media if isinstance(part, Image)]
    for source, result in images:
        if result is not None and len(source["data"]) > _MAX_BASE64_CHARS:
            raise bad_request("messages", f"an image in the result of {result.tool_use_id[:80]!r} is larger than 5 MiB")
    notes = []
    if omitted_count:
        notes.append(
            f"images: omitted the oldest {omitted_count} of {count} images and documents "
            f"(Claude accepts {get_max_media_count(model)} at most)"
        )
    scaled_count = sum(_is_downscaled(source) for source, result in images if result is None)
    if scaled_count:
        notes.append(
            f"images: changed {scaled_count} over {_MAX_UNSCALED_SIDE_PIXELS} pixels on a side or "
            f"{_MAX_UNSCALED_BYTES // 1000} kB (Claude Code scales them down)"
        )
    return notes


def _is_downscaled(source: Mapping[str, Any]) -> bool:
    data = source["data"]
    size = len(data) * 3 // 4 - data.count("=", -2)
    return (
        size > _MAX_UNSCALED_BYTES
        or max(sniff_image_size(data, source["media_type"]) or (0,)) > _MAX_UNSCALED_SIDE_PIXELS
    )


def _normalize_base64(data: str, field_path: str) -> str:
    """Convert base64 data to the standard alphabet with padding and without white space, as the API requires."""
    try:
        sent = raw = data.encode("ascii")
    except UnicodeEncodeError:
        raise bad_request(field_path, "the data is not valid base64") from None
    padding = raw.translate(None, _BASE64_ALPHABET)
    if padding.strip(b"="):
        raw = raw.translate(_URL_SAFE_TO_STANDARD, b" \t\r\n")
        padding = raw.translate(None, _BASE64_ALPHABET)
    char_count = len(raw) - len(padding)
    if not char_count:
        raise bad_request(field_path, "there is no data")
    if padding.strip(b"=") or len(padding) > 2 or not raw.endswith(padding) or char_count % 4 == 1:
        raise bad_request(field_path, "the data is not valid base64")
    padded = raw[:char_count] + b"=" * (-char_count % 4)
    return data if padded == sent else padded.decode()


def _decode_utf8(raw: bytes, field_path: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise bad_request(field_path, "the text is not in UTF-8") from None
