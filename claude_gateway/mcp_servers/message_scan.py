"""Bounds of an MCP message, checked on its raw bytes before a library parses it. Pure.

A JSON parser makes an object of every value: 8 MB of `[{},{},…]` become 15 GB and hold the event loop for a minute. The
scan costs a few passes over the bytes, each of them in C, and remembers only where it stands. It may count more than a
parser would make, never less: whatever follows a point at which every JSON parser gives up does not matter.
"""

from collections.abc import Callable

from claude_gateway.mcp_servers.bounds import Bounds

_SLICE_BYTES = 64 * 1024
_OPEN = frozenset(b"[{")
_DIGITS = b"0123456789"
_ALL_BYTES = bytes(range(256))
_NOT_A_BRACKET = bytes(set(_ALL_BYTES) - set(b"[]{}"))
_NO_DIGIT_TO_SPACE = bytes(byte if byte in _DIGITS else 0x20 for byte in _ALL_BYTES)

# What a line of a stream of events is so far.
_EMPTY, _COMMENT, _FIELD = range(3)

TOO_LARGE = "it wrote what is no message, or one larger than MCP_MESSAGE_MIB"
TOO_MANY_VALUES = "one of its messages has more than {0.message_values} values"
TOO_DEEP = "one of its messages is nested more than {0.message_depth} deep"
TOO_LONG_A_NUMBER = "one of its messages has a number of more than {0.number_digits} digits"

Refuse = Callable[[str], None]


class MessageScan:
    """One JSON text after another, in pieces of any size: `take` a piece, `end` a text.

    Args:
        bounds: What one message may be.
        refuse: Called with the reason, a template of `Bounds`, when a text is beyond the bounds. It must raise.
        count: Called with the number of values of each piece.
    """

    def __init__(self, bounds: Bounds, refuse: Refuse, count: Callable[[int], None]) -> None:
        self._bounds = bounds
        self._refuse = refuse
        self._count = count
        self.end()

    def end(self) -> None:
        """The next piece begins another text."""
        self._size = self._values = self._depth = 0
        self.end_string()

    def end_string(self) -> None:
        """A line break that no string and no number goes on behind."""
        self._digits = 0
        self._in_string = False
        self._held = b""

    def take(self, data: bytes) -> None:
        """Whatever `refuse` raises."""
        for start in range(0, len(data), _SLICE_BYTES):
            self._take(data[start : start + _SLICE_BYTES])

    def _take(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._bounds.message_bytes:
            self._refuse(TOO_LARGE)
        outside = self._outside_strings(data)
        values = outside.count(b",") + outside.count(b"{") + outside.count(b"[")
        self._values += values
        self._count(values)
        if self._values > self._bounds.message_values:
            self._refuse(TOO_MANY_VALUES)
        self._follow_depth(outside.translate(None, _NOT_A_BRACKET))
        self._follow_digits(outside)

    def _outside_strings(self, data: bytes) -> bytes:
        """What stands in no string. Only there a comma or a bracket makes a value."""
        data = self._held + data
        # A backslash at the end belongs to the byte that comes next.
        backslashes = len(data) - len(data.rstrip(b"\\"))
        self._held = b"\\" * (backslashes % 2)
        data = data[: len(data) - len(self._held)]
        # From left to right, as a parser reads them; outside strings a backslash ends every parser.
        parts = data.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        outside = b"".join(parts[self._in_string :: 2])
        self._in_string ^= len(parts) % 2 == 0
        return outside

    def _follow_depth(self, brackets: bytes) -> None:
        for byte in brackets:
            if byte in _OPEN:
                self._depth += 1
                if self._depth > self._bounds.message_depth:
                    self._refuse(TOO_DEEP)
            elif self._depth:
                self._depth -= 1
            else:
                return  # one that closes nothing ends every parser

    def _follow_digits(self, outside: bytes) -> None:
        """Turning long integers into text takes quadratic time, and what logs a message does that."""
        runs = outside.translate(_NO_DIGIT_TO_SPACE).split(b" ")
        first, last = len(runs[0]), len(runs[-1])
        longest = max(self._digits + first, max(map(len, runs)))
        self._digits = last + (self._digits if len(runs) == 1 else 0)
        if longest > self._bounds.number_digits:
            self._refuse(TOO_LONG_A_NUMBER)


class LineScan:
    """Messages that are a line each, as programs write them."""

    def __init__(self, bounds: Bounds, refuse: Refuse, count: Callable[[int], None]) -> None:
        self._scan = MessageScan(bounds, refuse, count)

    def take(self, data: bytes) -> None:
        """Whatever `refuse` raises."""
        *whole, last = data.split(b"\n")
        for line in whole:
            self._scan.take(line)
            self._scan.end()
        self._scan.take(last)


class EventScan:
    """Messages that are server-sent events: lines, and an empty one after each event.

    Every line of an event is scanned but comments, also those that hold no message. A string ends with its line, for no
    JSON string goes on behind a line break.
    """

    def __init__(self, bounds: Bounds, refuse: Refuse, count: Callable[[int], None]) -> None:
        self._scan = MessageScan(bounds, refuse, count)
        self._held = b""
        self._line = _EMPTY

    def take(self, data: bytes) -> None:
        """Whatever `refuse` raises."""
        data = self._held + data
        self._held = b"\r" if data.endswith(b"\r") else b""  # the other half of the line break may follow
        data = data[: len(data) - len(self._held)]
        *whole, last = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for line in whole:
            self._take(line)
            if self._line == _EMPTY:
                self._scan.end()
            elif self._line == _FIELD:
                self._scan.end_string()
            self._line = _EMPTY
        self._take(last)

    def _take(self, piece: bytes) -> None:
        if piece and self._line == _EMPTY:
            self._line = _COMMENT if piece.startswith(b":") else _FIELD
        if self._line == _FIELD:
            self._scan.take(piece)
