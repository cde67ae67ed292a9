"""Detect the type of a file and the size of an image from the first bytes of base64 data. No I/O.

No library fits this purpose. The library `filetype` has had no release since 2022. The library `puremagic` takes 100
times as long as this module, and the library `imagesize` takes ten times as long. Also, `imagesize` gives the same
result for two kinds of images. The gateway rejects the first kind, which are images without a valid size. It accepts
the second kind, which are images that contain their size after the first bytes.
"""

import struct
from base64 import b64decode

PDF_MEDIA_TYPE = "application/pdf"
_MAGIC_BYTES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"%PDF-": PDF_MEDIA_TYPE,
}
# Numbers of base64 characters that the gateway decodes. The first number is enough to detect the type of a file. The
# second number is enough to find the size of a JPEG, unless a huge preview image comes before the size. The gateway
# does not decode the whole data, because this would block the event loop for longer.
_HEAD_BASE64_CHARS = 1_368
_JPEG_HEAD_BASE64_CHARS = 256 * 1024
# Cameras and editors write dozens of segments before the segment that contains the size.
_MAX_JPEG_SEGMENTS = 300


def sniff_media_type(data: str, declared_type: str = "") -> str | None:
    """Return the media type of base64 data, or None if Claude does not accept a file of this type.

    If the client declares the file as a PDF, other bytes may come before the PDF header.
    """
    head = b64decode(data[:_HEAD_BASE64_CHARS])
    for magic, kind in _MAGIC_BYTES.items():
        if head.startswith(magic):
            return kind
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    return PDF_MEDIA_TYPE if declared_type == PDF_MEDIA_TYPE and b"%PDF-" in head else None


def sniff_image_size(data: str, media_type: str) -> tuple[int, int] | None:
    """Return the width and height of an image in pixels, or None if the decoded first bytes do not contain them.

    Raises:
        ValueError: If the image is damaged and has no valid width and height. Claude Code would replace such an image
            with a text.
    """
    head = b64decode(data[: _JPEG_HEAD_BASE64_CHARS if media_type == "image/jpeg" else _HEAD_BASE64_CHARS])
    try:
        match media_type:
            case "image/png":
                width, height = struct.unpack_from(">II", head, 16)
            case "image/gif":
                width, height = struct.unpack_from("<HH", head, 6)
            case "image/webp":
                width, height = _parse_webp_size(head)
            case _ if (jpeg_size := _parse_jpeg_size(head)) is None:
                return None
            case _:
                width, height = jpeg_size
    except struct.error:
        width = height = 0
    if not width or not height:
        raise ValueError(f"no size in the head of {media_type}")
    return width, height


def _parse_webp_size(head: bytes) -> tuple[int, int]:
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


def _parse_jpeg_size(head: bytes) -> tuple[int, int] | None:
    """Return the width and height of a JPEG image, or None if they come after the decoded first bytes."""
    offset = 2
    for _ in range(_MAX_JPEG_SEGMENTS):
        if offset + 9 > len(head) == _JPEG_HEAD_BASE64_CHARS // 4 * 3:
            return None
        marker, code, length = struct.unpack_from(">BBH", head, offset)
        if marker != 0xFF:
            break
        if 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", head, offset + 5)
            return width, height
        # A fill byte may come before the marker.
        offset += 1 if code == 0xFF else 2 + length
    return 0, 0
