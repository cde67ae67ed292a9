"""Frames, the JSON objects that the CLI reads from stdin and writes to stdout. Each frame is one line. No I/O."""

from collections.abc import Iterator
from typing import Any

from workers.core.json_chunks import iter_json_chunks

Frame = dict[str, Any]


def iter_line_chunks(frame: Frame) -> Iterator[bytes]:
    """Encode a frame as a line, and yield the line in chunks.

    A small frame is one chunk. The function replaces lone surrogates (halves of UTF-16 pairs) by U+FFFD.
    """
    yield from iter_json_chunks(frame)
    yield b"\n"


def encode_line(frame: Frame) -> bytes:
    """Encode a frame as a line. Replace lone surrogates (halves of UTF-16 pairs) by U+FFFD."""
    return b"".join(iter_line_chunks(frame))
