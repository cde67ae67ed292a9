"""Images and documents that callers send, in any dialect: what they really are, and whether Claude takes them. Pure.

The limits are those of the Messages API, and what CLI 2.1.330 does to images (claude_gateway/cli_facts/media.py).
"""

from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from claude_gateway.errors import ApiError
from claude_gateway.prompt.conversation import bad
from claude_gateway.prompt.first_bytes import PDF, kind_of, pixels_of
from workers.job import Document, Image, Turn
from workers.media_limit import count_oldest_media, max_media, media_of

_TAKEN = "Claude takes JPEG, PNG, GIF and WebP images, PDFs and texts"
_OTHER_NAMES = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png"}
_SAYS_NOTHING = ("", "application/octet-stream", "binary/octet-stream")
_TEXTS = ("application/json", "application/xml", "application/yaml", "application/x-yaml", "application/javascript")

_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_STANDARD = bytes.maketrans(b"-_", b"+/")
_LONGEST_TITLE = 500
_LONGEST_URL = 8_192
_MAX_DATA_URL_HEAD = 1_000
# A byte written as three costs a hundred times what a byte of base64 costs.
_MAX_ESCAPES = 50_000

_MOST_PIXELS = 8_000
_MOST_BASE64 = 5 * 1024 * 1024
_UNSCALED_PIXELS = 2_000
_UNSCALED_BYTES = 512_000


More = Mapping[str, str]
_NOTHING_MORE: More = {}


def read(data: str, said: str, where: str, more: More = _NOTHING_MORE) -> Image | Document:
    """What `data`, in base64, is by its first bytes; `said` is the type that the caller gives it, "" for none. `more`
    are the other fields of a document (`about`).

    Raises `ApiError` 400: broken base64, a type that Claude does not take, or one that is not what the bytes are.
    """
    data = _base64(data, where)
    said = said.strip().lower()
    said = _OTHER_NAMES.get(said, said)
    kind = kind_of(data, said)
    if kind is None and (said.startswith("text/") or said in _TEXTS):
        return text_document(_utf8(b64decode(data), where), where, more)
    if kind is None or (said not in _SAYS_NOTHING and said != kind):
        really = f"the first bytes are those of {kind}" if kind else "the first bytes are those of no such file"
        raise bad(where, f"the type is said to be {said[:60]!r}, but {really}; {_TAKEN}" if said else really)
    source = {"type": "base64", "media_type": kind, "data": data}
    if kind == PDF:
        return Document({"source": source, **more})
    try:
        pixels = pixels_of(data, kind)
    except ValueError:
        raise bad(where, f"is no whole image of type {kind}") from None
    if pixels is not None and max(pixels) > _MOST_PIXELS:
        raise bad(where, f"the image has more than {_MOST_PIXELS} pixels on a side")
    return Image(source)


def from_url(url: str, where: str, more: More = _NOTHING_MORE) -> Image | Document:
    """What a `data:` URL holds, or an image that must be fetched from an `https:` URL before the job can run."""
    if url[:5].lower() != "data:":
        return remote(url, where, more)
    end = url.find(",", 0, _MAX_DATA_URL_HEAD)
    if end < 0:
        raise bad(where, f"is no whole data: URL; its type and options may have {_MAX_DATA_URL_HEAD} characters")
    head, data = url[:end], url[end + 1 :]
    said, *options = (part.strip().lower() for part in head[5:].split(";"))
    if "base64" in options:
        return read(data, said, where, more)
    if said and not said.startswith("text/") and said not in _TEXTS:
        raise bad(where, f"the data: URL of type {said[:60]!r} must be in base64")
    if data.count("%") > _MAX_ESCAPES:
        raise ApiError(
            413,
            "request_too_large",
            f"{where}: the data: URL holds more than {_MAX_ESCAPES} percent-encoded bytes; send it in base64",
            code="request_too_large",
            param=where,
        )
    return text_document(_utf8(unquote_to_bytes(data), where), where, more)


def from_file(data: str, where: str, more: More = _NOTHING_MORE) -> Image | Document:
    """A `data:` URL, as OpenAI wants a file, or the bare base64 that some programs send."""
    if ":" in data[:8]:
        return from_url(data, where, more)
    return read(data, "", where, more)


def remote(url: str, where: str, more: More = _NOTHING_MORE) -> Image:
    """An image or a PDF at an `https:` URL. None of this reaches a process: before the job runs it is replaced by what
    was fetched (claude_gateway/remote_media.py)."""
    check_url(url, where)
    return Image({"type": "url", "url": url, "place": where, "more": more})


def check_url(url: str, where: str) -> None:
    """Raises `ApiError` 400 for a URL that is never fetched, whatever it leads to."""
    if not _is_fetched(url):
        raise bad(where, "must be a data: URL with base64, or an https: URL without a user name")


def _is_fetched(url: str) -> bool:
    if len(url) > _LONGEST_URL or not url.isprintable():  # before `urlsplit`, which remembers what it was given
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc


def text_document(text: str, where: str, more: More = _NOTHING_MORE) -> Document:
    """Raises `ApiError` 400 for a blank one, which the API refuses."""
    if not text.strip():
        raise bad(where, "the document is empty")
    return Document({"source": {"type": "text", "media_type": "text/plain", "data": text}, **more})


def about(title: Any = None, context: Any = None) -> More:
    """The fields of a document beside its source, where the API takes them: none that is blank, no very long title."""
    given = {"title": title[:_LONGEST_TITLE] if isinstance(title, str) else None, "context": context}
    return {name: value for name, value in given.items() if isinstance(value, str) and value.strip()}


def review(turns: Sequence[Turn], model: str) -> list[str]:
    """A line for what becomes of the images and documents of a whole conversation.

    Raises `ApiError` 400 for what neither Claude Code nor the API takes.
    """
    media = list(media_of(turns))
    oldest = count_oldest_media(turns, model)
    media, count = media[oldest:], len(media)
    images = [(part.source, result) for part, result in media if isinstance(part, Image)]
    for source, result in images:
        if result is not None and len(source["data"]) > _MOST_BASE64:
            raise bad("messages", f"an image in the result of {result.tool_use_id[:80]!r} is larger than 5 MiB")
    notes = []
    if oldest:
        notes.append(
            f"images: the oldest {oldest} of {count} images and documents are left out, "
            f"Claude is sent {max_media(model)} of them at most"
        )
    scaled = sum(_is_scaled(source) for source, result in images if result is None)
    if scaled:
        notes.append(
            f"images: {scaled} over {_UNSCALED_PIXELS} pixels on a side or {_UNSCALED_BYTES // 1000} kB, "
            "which Claude Code makes smaller before the model sees them"
        )
    return notes


def _is_scaled(source: Mapping[str, Any]) -> bool:
    data = source["data"]
    size = len(data) * 3 // 4 - data.count("=", -2)
    return size > _UNSCALED_BYTES or max(pixels_of(data, source["media_type"]) or (0,)) > _UNSCALED_PIXELS


def _base64(data: str, where: str) -> str:
    """As the API takes it: one alphabet, no line breaks, padded. Other programs send all of these."""
    try:
        sent = raw = data.encode("ascii")
    except UnicodeEncodeError:
        raise bad(where, "the data is no base64") from None
    padding = raw.translate(None, _LETTERS)
    if padding.strip(b"="):
        raw = raw.translate(_STANDARD, b" \t\r\n")
        padding = raw.translate(None, _LETTERS)
    letters = len(raw) - len(padding)
    if not letters:
        raise bad(where, "there is no data")
    if padding.strip(b"=") or len(padding) > 2 or not raw.endswith(padding) or letters % 4 == 1:
        raise bad(where, "the data is no base64")
    whole = raw[:letters] + b"=" * (-letters % 4)
    return data if whole == sent else whole.decode()


def _utf8(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise bad(where, "the text is not in UTF-8") from None
