"""A stream's messages on the wire: as server-sent events, or as the elements of one JSON array."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

# The name of a message, where its dialect gives one, and its data: JSON, of one line.
Sent = tuple[str | None, str]
# A longer text is encoded and sent in pieces.
PIECE_CHARS = 65_536
# orjson writes these raw. Clients that split a text into lines as Unicode does (Python's `str.splitlines`, httpx's
# `iter_lines`) end a line at each of them. The other characters of that kind stand below U+0020: JSON escapes those.
_LINE_ENDS = {"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def encode_frame(text: str) -> bytes:
    """Return the bytes of a piece of a stream, with no line end in its JSON that a client could split it at."""
    if not text.isascii():
        for character, escape in _LINE_ENDS.items():
            text = text.replace(character, escape)
    return text.encode()


def encode_in_pieces(text: str) -> Iterator[bytes]:
    """Yield the same bytes of a long text in pieces, each encoded when it is asked for."""
    for start in range(0, len(text), PIECE_CHARS):
        yield encode_frame(text[start : start + PIECE_CHARS])


class Framing(Protocol):
    """How the messages of a stream are written.

    `heartbeat` is what is sent into a stream that says nothing, to keep it alive: its readers must take it.
    """

    @property
    def content_type(self) -> str: ...
    @property
    def heartbeat(self) -> str: ...
    @property
    def opening(self) -> str: ...
    @property
    def closing(self) -> str: ...
    def frame(self, messages: Sequence[Sent]) -> str: ...

    def before_break(self, error: Sequence[Sent]) -> str | None:
        """Return what is sent before the connection breaks off; None where the stream ends with the error instead."""
        ...


@dataclass(frozen=True, slots=True)
class ServerSentEvents:
    """Server-sent events.

    Without a charset some clients (Python's `requests`) read `text/*` as ISO-8859-1. With `has_bare_errors` the error
    before a broken connection is bare JSON, no field of an event.
    """

    heartbeat: str = ": ping\n\n"
    content_type: str = "text/event-stream; charset=utf-8"
    opening: str = ""
    closing: str = ""
    has_bare_errors: bool = False

    def frame(self, messages: Sequence[Sent]) -> str:
        """Lines end with LF: some clients split on an empty line of LF alone. Google's want the space after `data:`."""
        return "".join(f"event: {name}\ndata: {data}\n\n" if name else f"data: {data}\n\n" for name, data in messages)

    def before_break(self, error: Sequence[Sent]) -> str:
        """Return nothing, or with `has_bare_errors` the error as bare JSON: Google's own programs look for that."""
        return "".join(f"{data}\n\n" for _, data in error) if self.has_bare_errors else ""


SERVER_SENT_EVENTS = ServerSentEvents()


class JsonArray:
    """For one response: it remembers whether a comma is due. Whitespace between elements means nothing to a parser."""

    heartbeat = "\n"
    content_type = "application/json"
    opening = "["
    closing = "]"

    def __init__(self) -> None:
        self._begun = False

    def frame(self, messages: Sequence[Sent]) -> str:
        text = ",\r\n".join(data for _, data in messages)
        if messages and self._begun:
            text = f",\r\n{text}"
        self._begun = self._begun or bool(messages)
        return text

    def before_break(self, error: Sequence[Sent]) -> None:
        """Return None: only the whole array can be read."""
