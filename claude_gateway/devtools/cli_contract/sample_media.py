"""Functions that make small images and PDFs, so that the repository need not contain binary files."""

import random
import struct
import zlib
from base64 import b64encode


def encode_base64(data: bytes) -> str:
    """Encode bytes as Base64 text."""
    return b64encode(data).decode()


def make_png(width: int = 1, height: int = 1, *, red: int = 255, size_bytes: int = 0) -> bytes:
    """Make a PNG image in which all pixels have the same colour.

    Args:
        width: The width in pixels.
        height: The height in pixels.
        red: The red value of the colour, from 0 to 255.
        size_bytes: The minimum size of the file. A smaller image gets an additional chunk of random bytes, which
            decoders ignore.
    """
    rows = (b"\0" + bytes([red, 0, 0]) * width) * height
    head = b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    rest = _png_chunk(b"IDAT", zlib.compress(rows)) + _png_chunk(b"IEND", b"")
    missing = size_bytes - len(head) - len(rest) - 12
    noise = _png_chunk(b"prVt", random.Random(1).randbytes(missing)) if missing > 0 else b""  # noqa: S311 - noise
    return head + noise + rest


def make_gif(width: int = 1, height: int = 1) -> bytes:
    """Make a GIF image of this width and height in pixels."""
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes([255, 0, 0, 0, 0, 0])
    return head + b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x44\x01\x00\x3b"


def make_webp(width: int = 1, height: int = 1) -> bytes:
    """Make a file with the header of a lossless WebP image of this size. The file contains no valid picture."""
    body = b"VP8L" + struct.pack("<IBI", 5, 0x2F, (width - 1) | (height - 1) << 14) + b"\0"
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def make_jpeg(width: int = 1, height: int = 1, *, segments: bytes = b"") -> bytes:
    """Make a file with the header of a JPEG image of this size. The file contains no valid picture.

    Args:
        width: The width in pixels.
        height: The height in pixels.
        segments: Segments that the file contains before the segment with the width and the height.
    """
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\x01\x11\x00"
    return b"\xff\xd8\xff\xe0\x00\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0" + segments + frame + b"\xff\xd9"


def make_jpeg_segment(payload_bytes: int, marker: int = 0xE1) -> bytes:
    """Make a JPEG segment that contains other data than the picture, such as a preview or a colour profile."""
    return bytes([0xFF, marker]) + struct.pack(">H", payload_bytes + 2) + bytes(payload_bytes)


def make_pdf(page_count: int = 1) -> bytes:
    """Make a PDF in which all pages are empty."""
    kids = b" ".join(b"%d 0 R" % (number + 3) for number in range(page_count))
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [%b] /Count %d >>" % (kids, page_count)]
    objects += [b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 72 72] >>"] * page_count
    out = b"%PDF-1.4\n"
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    table += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    end = b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(out))
    return out + table + end


def _png_chunk(chunk_type: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + chunk_type + data + struct.pack(">I", zlib.crc32(chunk_type + data))
