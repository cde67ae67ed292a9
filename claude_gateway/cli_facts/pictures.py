"""Images and PDFs made on the spot, so that no binary file need be kept."""

import random
import struct
import zlib
from base64 import b64encode


def base64(raw: bytes) -> str:
    return b64encode(raw).decode()


def png(width: int = 1, height: int = 1, *, colour: int = 255, size: int = 0) -> bytes:
    """A picture of one colour, with noise in a chunk that nobody reads until it is `size` bytes long."""
    rows = (b"\0" + bytes([colour, 0, 0]) * width) * height
    head = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    rest = _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")
    missing = size - len(head) - len(rest) - 12
    noise = _chunk(b"prVt", random.Random(1).randbytes(missing)) if missing > 0 else b""  # noqa: S311 - noise
    return head + noise + rest


def gif(width: int = 1, height: int = 1) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes([255, 0, 0, 0, 0, 0])
    return head + b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x44\x01\x00\x3b"


def webp(width: int = 1, height: int = 1) -> bytes:
    """Its head alone is right, in the lossless form."""
    body = b"VP8L" + struct.pack("<IBI", 5, 0x2F, (width - 1) | (height - 1) << 14) + b"\0"
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def jpeg(width: int = 1, height: int = 1, *, before: bytes = b"") -> bytes:
    """Its head alone is right; `before` is what stands before the segment with the size."""
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\x01\x11\x00"
    return b"\xff\xd8\xff\xe0\x00\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0" + before + frame + b"\xff\xd9"


def segment(length: int, code: int = 0xE1) -> bytes:
    """A part of a JPEG that is not its picture: a preview, a colour profile."""
    return bytes([0xFF, code]) + struct.pack(">H", length + 2) + bytes(length)


def pdf(pages: int = 1) -> bytes:
    kids = b" ".join(b"%d 0 R" % (number + 3) for number in range(pages))
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [%b] /Count %d >>" % (kids, pages)]
    objects += [b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 72 72] >>"] * pages
    out = b"%PDF-1.4\n"
    places = []
    for number, one in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, one)
    table = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    table += b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(out))
    return out + table + end


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
