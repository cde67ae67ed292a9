"""Bytes to JSON objects and back, one object a line, as the CLI speaks on stdin and stdout. No I/O."""

import json
from typing import Any

import orjson

from workers.unicode_repair import without_halves

Frame = dict[str, Any]

# A tool result or an image in a single line reaches tens of megabytes; the bound only stops a runaway.
LONGEST_LINE = 64 * 1024 * 1024
_SNIPPET = 120


class FrameError(Exception):
    """A line that is not a JSON object, or one past the bound. The stream cannot be trusted after it."""


class FrameDecoder:
    """Cuts a byte stream into frames, however the bytes were cut on the way. So many as `strays` lines may be none, and
    are passed over."""

    def __init__(self, longest_line: int = LONGEST_LINE, strays: int = 0) -> None:
        self._longest_line = longest_line
        self._strays = strays
        # A list, joined once: appending to one bytes object makes a 20 MB line cost quadratic time.
        self._partial: list[bytes] = []
        self._partial_size = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that `data` completes, oldest first. Raises `FrameError`."""
        head, newline, rest = data.partition(b"\n")
        self._keep(head)
        if not newline:
            return []
        lines = [b"".join(self._partial)]
        self._partial.clear()
        self._partial_size = 0
        *whole, last = rest.split(b"\n")
        self._keep(last)
        lines += whole
        return [frame for line in lines if line.strip() and (frame := self._read(line)) is not None]

    def _read(self, line: bytes) -> Frame | None:
        try:
            return _parse(line)
        except FrameError:
            self._strays -= 1
            if self._strays < 0:
                raise
            return None

    def _keep(self, piece: bytes) -> None:
        if not piece:
            return
        self._partial.append(piece)
        self._partial_size += len(piece)
        if self._partial_size > self._longest_line:
            raise FrameError(f"a line passed {self._longest_line} bytes without an end")


def encode(frame: Frame) -> bytes:
    """One frame as a line. Lone surrogates, legal in JSON but not in UTF-8, become U+FFFD."""
    try:
        return orjson.dumps(frame) + b"\n"
    except TypeError:
        return orjson.dumps(_without_halves(frame)) + b"\n"


def _parse(line: bytes) -> Frame:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        value = _with_half_characters(line, error)
    if not isinstance(value, dict):
        raise FrameError(f"not a JSON object: {line[:_SNIPPET]!r}")
    return value


def _with_half_characters(line: bytes, error: Exception) -> Any:
    """A line that names half of a surrogate pair, which JSON may and orjson refuses. The other half of a piece of an
    answer may be in the next frame, so the pieces are left as they are. Raises `FrameError`."""
    try:
        value = json.loads(line.decode())
    except (ValueError, RecursionError):
        raise FrameError(f"not JSON: {line[:_SNIPPET]!r}") from error
    whole = _without_halves(value)
    match value:
        case {"type": "stream_event", "event": {"delta": delta}}:
            whole["event"]["delta"] = delta
    return whole


def _without_halves(value: Any) -> Any:
    match value:
        case str():
            return without_halves(value)
        case dict():
            return {_without_halves(key): _without_halves(item) for key, item in value.items()}
        case list() | tuple():
            return [_without_halves(item) for item in value]
        case _:
            return value
