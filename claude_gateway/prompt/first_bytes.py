"""What a file in base64 is by its first bytes: its type, and how large an image is. Pure."""

import struct
from base64 import b64decode

PDF = "application/pdf"
_BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"%PDF-": PDF,
}
# How much of the base64 is looked at: enough for the type, and for a JPEG's size behind all but a huge preview.
# Decoding the rest would cost the loop more.
_HEAD = 1_368
_HEAD_OF_A_JPEG = 256 * 1024
# Cameras and editors write some dozens before the one with the size.
_MAX_SEGMENTS = 300


def kind_of(data: str, said: str = "") -> str | None:
    """The type, where it is one that Claude takes as a file. What is said to be a PDF may have something before it."""
    head = b64decode(data[:_HEAD])
    for beginning, kind in _BEGINNINGS.items():
        if head.startswith(beginning):
            return kind
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    return PDF if said == PDF and b"%PDF-" in head else None


def pixels_of(data: str, kind: str) -> tuple[int, int] | None:
    """Width and height of an image, None where they lie too far behind. Raises `ValueError` for an image that has
    none: Claude Code would put a text in its place."""
    head = b64decode(data[: _HEAD_OF_A_JPEG if kind == "image/jpeg" else _HEAD])
    try:
        match kind:
            case "image/png":
                width, height = struct.unpack_from(">II", head, 16)
            case "image/gif":
                width, height = struct.unpack_from("<HH", head, 6)
            case "image/webp":
                width, height = _webp(head)
            case _ if (found := _jpeg(head)) is None:
                return None
            case _:
                width, height = found
    except struct.error:
        width = height = 0
    if not width or not height:
        raise ValueError(f"no size in the head of {kind}")
    return width, height


def _webp(head: bytes) -> tuple[int, int]:
    match head[12:16]:
        case b"VP8 ":
            width, height = struct.unpack_from("<HH", head, 26)
            return width & 0x3FFF, height & 0x3FFF
        case b"VP8L":
            (bits,) = struct.unpack_from("<I", head, 21)
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            low, high, low2, high2 = struct.unpack_from("<HBHB", head, 24)
            return (high << 16 | low) + 1, (high2 << 16 | low2) + 1
    return 0, 0


def _jpeg(head: bytes) -> tuple[int, int] | None:
    """From segment to segment until the one that begins a frame; None where that lies beyond the first bytes."""
    place = 2
    for _ in range(_MAX_SEGMENTS):
        if place + 9 > len(head) == _HEAD_OF_A_JPEG // 4 * 3:
            return None
        mark, code, length = struct.unpack_from(">BBH", head, place)
        if mark != 0xFF:
            break
        if 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", head, place + 5)
            return width, height
        # A byte of filling may stand before the mark itself.
        place += 1 if code == 0xFF else 2 + length
    return 0, 0
