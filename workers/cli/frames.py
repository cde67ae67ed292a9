"""Decoder for the output of the CLI, in which each line is a JSON object. No I/O."""

import json
from typing import Any

import orjson

from workers.core.frame import Frame
from workers.core.surrogate_repair import replace_in_json

# A line with a tool result or an image may have tens of megabytes. The limit only stops lines without an end.
MAX_LINE_BYTES = 64 * 1024 * 1024
_MAX_SNIPPET_BYTES = 120


class FrameError(Exception):
    """A line is not a JSON object, or is too long. The output after this line is unreliable."""


class FrameDecoder:
    """Decodes frames from bytes that arrive in chunks of any size.

    Args:
        max_line_bytes: The maximum length of a line.
        max_invalid_lines: The number of invalid lines that the decoder skips before it raises an error.
    """

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES, max_invalid_lines: int = 0) -> None:
        self._max_line_bytes = max_line_bytes
        self._invalid_lines_left = max_invalid_lines
        # The chunks are joined only once, because appending to one bytes object would take quadratic time for a line of
        # 20 MB.
        self._partial_chunks: list[bytes] = []
        self._partial_bytes = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Decode the next bytes, and return the frames that are now complete, in the order in which they arrived.

        Raises:
            FrameError: A line is invalid or too long.
        """
        *lines, partial_line = data.split(b"\n")
        if lines:
            self._append(lines[0])
            lines[0] = b"".join(self._partial_chunks)
            self._partial_chunks.clear()
            self._partial_bytes = 0
        if partial_line:
            self._append(partial_line)
        frames: list[Frame] = []
        for line in lines:
            try:
                frame = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                if line.strip():
                    self._parse_unusual_line(line, error, frames)
                continue
            if isinstance(frame, dict):
                frames.append(frame)
            else:
                self._handle_invalid_line(_not_an_object(line))
        return frames

    def _parse_unusual_line(self, line: bytes, error: Exception, frames: list[Frame]) -> None:
        """Parse a line that orjson does not accept, and append its frame."""
        try:
            value = _parse_with_lone_surrogates(line, error)
            if not isinstance(value, dict):
                raise _not_an_object(line)
        except FrameError as frame_error:
            self._handle_invalid_line(frame_error)
        else:
            frames.append(value)

    def _handle_invalid_line(self, error: FrameError) -> None:
        self._invalid_lines_left -= 1
        if self._invalid_lines_left < 0:
            raise error

    def _append(self, chunk: bytes) -> None:
        self._partial_chunks.append(chunk)
        self._partial_bytes += len(chunk)
        if self._partial_bytes > self._max_line_bytes:
            raise FrameError(f"a line is longer than {self._max_line_bytes} bytes")


def _not_an_object(line: bytes) -> FrameError:
    return FrameError(f"not a JSON object: {line[:_MAX_SNIPPET_BYTES]!r}")


def _parse_with_lone_surrogates(line: bytes, error: Exception) -> Any:
    """Parse a line that contains lone surrogates, which JSON allows and orjson rejects.

    A lone surrogate in a delta stays, because the other half may be in the next frame. All others become U+FFFD.

    Raises:
        FrameError: The line is not JSON.
    """
    try:
        value = json.loads(line.decode())
    except (ValueError, RecursionError):
        raise FrameError(f"not JSON: {line[:_MAX_SNIPPET_BYTES]!r}") from error
    repaired = replace_in_json(value)
    match value:
        case {"type": "stream_event", "event": {"delta": delta}}:
            repaired["event"]["delta"] = delta
    return repaired
