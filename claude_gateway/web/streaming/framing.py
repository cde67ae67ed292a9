"""Framing of the messages in a stream. The messages are server-sent events, or elements of one JSON array."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

# A message consists of its name and its data as JSON in one line. The name is None if the dialect has no names for
# messages.
StreamMessage = tuple[str | None, str]
# The gateway encodes and sends a longer text in chunks.
MAX_CHUNK_CHARS = 65_536
# Line ends of Unicode that orjson does not escape. Clients that split lines by the rules of Unicode (Python's
# `str.splitlines`, httpx's `iter_lines`) end a line at each of them. All other line ends of Unicode are below U+0020,
# and JSON escapes such characters.
_LINE_END_ESCAPES = {"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def encode_frame(text: str) -> bytes:
    """Encode a part of a stream as bytes. Escape the characters in its JSON at which a client could split a line."""
    if not text.isascii():
        for character, escape in _LINE_END_ESCAPES.items():
            text = text.replace(character, escape)
    return text.encode()


def encode_in_chunks(text: str) -> Iterator[bytes]:
    """Yield the bytes of a long text in chunks, so that only one encoded chunk at a time is in memory."""
    for start in range(0, len(text), MAX_CHUNK_CHARS):
        yield encode_frame(text[start : start + MAX_CHUNK_CHARS])


class Framing(Protocol):
    """Interface of a framing: the format of the messages in a stream."""

    @property
    def content_type(self) -> str:
        """The `Content-Type` of the response."""
        ...

    @property
    def heartbeat(self) -> str:
        """The text that the gateway sends to keep an idle stream open. Clients ignore it."""
        ...

    @property
    def opening(self) -> str:
        """The text before the first message."""
        ...

    @property
    def closing(self) -> str:
        """The text after the last message."""
        ...

    def frame(self, messages: Sequence[StreamMessage]) -> str:
        """Return the text of the stream for these messages."""
        ...

    def frame_interruption(self, error_messages: Sequence[StreamMessage]) -> str | None:
        """Return the text that the gateway sends before it closes the connection because of an error.

        The result is None if the gateway must not close the connection early. Then the error is the last message of the
        stream.
        """
        ...


@dataclass(frozen=True, slots=True)
class SseFraming:
    """Framing of messages as server-sent events.

    Attributes:
        heartbeat: The text that keeps an idle stream open.
        content_type: The `Content-Type` of the response. It names the charset, because some clients (Python's
            `requests`) read `text/*` as ISO-8859-1 without it.
        opening: The text before the first message.
        closing: The text after the last message.
        has_bare_errors: Whether the gateway sends an error as bare JSON, outside an event, before it interrupts the
            stream.
    """

    heartbeat: str = ": ping\n\n"
    content_type: str = "text/event-stream; charset=utf-8"
    opening: str = ""
    closing: str = ""
    has_bare_errors: bool = False

    def frame(self, messages: Sequence[StreamMessage]) -> str:
        """Return the server-sent events for these messages.

        Lines end with LF, because some clients find the end of an event only with LF. A space follows `data:`, because
        Google's clients require it.
        """
        return "".join(f"event: {name}\ndata: {data}\n\n" if name else f"data: {data}\n\n" for name, data in messages)

    def frame_interruption(self, error_messages: Sequence[StreamMessage]) -> str:
        """Return the error as bare JSON if `has_bare_errors` is True, otherwise an empty text.

        Google's clients look for an error in this form.
        """
        return "".join(f"{data}\n\n" for _, data in error_messages) if self.has_bare_errors else ""


SSE_FRAMING = SseFraming()


class JsonArrayFraming:
    """Framing of all messages of one response as one JSON array.

    Heartbeats are whitespace between the elements. JSON parsers ignore this whitespace.
    """

    heartbeat = "\n"
    content_type = "application/json"
    opening = "["
    closing = "]"

    def __init__(self) -> None:
        self._has_elements = False

    def frame(self, messages: Sequence[StreamMessage]) -> str:
        """Return the messages as elements of the array, separated by commas."""
        text = ",\r\n".join(data for _, data in messages)
        if messages and self._has_elements:
            text = f",\r\n{text}"
        self._has_elements = self._has_elements or bool(messages)
        return text

    def frame_interruption(self, error_messages: Sequence[StreamMessage]) -> None:
        """Return None. The gateway always completes the array, because clients cannot parse an incomplete one."""
