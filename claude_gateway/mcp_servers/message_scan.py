"""Checks the raw bytes of MCP messages against limits, before a library parses the messages. No I/O.

A JSON parser creates an object for every value. It would turn 8 MB of `[{},{},…]` into 15 GB of objects, and block the
event loop for a minute. The scanner reads the bytes a few times with functions that are written in C, and creates no
object for a value. It may count more values than a parser would create, but never fewer. If every JSON parser would
fail at some point in the message, the scanner ignores the brackets after this point.
"""

from collections.abc import Callable

from claude_gateway.mcp_servers.limits import McpLimits

_SLICE_BYTES = 64 * 1024
_OPENING_BRACKETS = frozenset(b"[{")
_DIGITS = b"0123456789"
_ALL_BYTES = bytes(range(256))
_NON_BRACKETS = bytes(set(_ALL_BYTES) - set(b"[]{}"))
_NON_DIGITS_TO_SPACES = bytes(byte if byte in _DIGITS else 0x20 for byte in _ALL_BYTES)

# Kinds of lines in an event stream. The scanner derives the kind from the part of the line that it has read.
_EMPTY_LINE, _COMMENT_LINE, _FIELD_LINE = range(3)

MESSAGE_TOO_LARGE = "the server sent invalid messages, or a message larger than MAX_MCP_MESSAGE_MIB"
TOO_MANY_MESSAGE_VALUES = "a message of the server has more than {0.max_message_values} values"
MESSAGE_TOO_DEEP = "a message of the server is nested more than {0.max_message_depth} levels deep"
NUMBER_TOO_LONG = "a message of the server has a number of more than {0.max_number_digits} digits"

OnLimitExceeded = Callable[[str], None]


class MessageScanner:
    """Checks JSON texts against limits. Call `feed` with each chunk of a text and `end_message` after each text.

    Args:
        limits: Limits for one message.
        on_limit_exceeded: Function that the scanner calls if a text exceeds a limit. The argument is the reason, as a
            template that contains attributes of `McpLimits`. The function must raise an error.
        count_values: Function that the scanner calls with the number of values in each chunk.
    """

    def __init__(
        self, limits: McpLimits, on_limit_exceeded: OnLimitExceeded, count_values: Callable[[int], None]
    ) -> None:
        self._limits = limits
        self._on_limit_exceeded = on_limit_exceeded
        self._count_values = count_values
        self.end_message()

    def end_message(self) -> None:
        """Record that the text has ended. The next chunk begins a new text."""
        self._byte_count = self._value_count = self._depth = 0
        self.end_string()

    def end_string(self) -> None:
        """Record that a line break has ended the string or the number at the end of the last chunk."""
        self._digit_count = 0
        self._in_string = False
        self._pending = b""

    def feed(self, data: bytes) -> None:
        """Scan the next chunk of the text. If the text exceeds a limit, raise the exception of `on_limit_exceeded`."""
        for start in range(0, len(data), _SLICE_BYTES):
            self._feed_slice(data[start : start + _SLICE_BYTES])

    def _feed_slice(self, data: bytes) -> None:
        self._byte_count += len(data)
        if self._byte_count > self._limits.max_message_bytes:
            self._on_limit_exceeded(MESSAGE_TOO_LARGE)
        outside = self._remove_strings(data)
        values = outside.count(b",") + outside.count(b"{") + outside.count(b"[")
        self._value_count += values
        self._count_values(values)
        if self._value_count > self._limits.max_message_values:
            self._on_limit_exceeded(TOO_MANY_MESSAGE_VALUES)
        self._track_depth(outside.translate(None, _NON_BRACKETS))
        self._track_digits(outside)

    def _remove_strings(self, data: bytes) -> bytes:
        """Return the bytes that are outside JSON strings.

        A comma or a bracket marks a value only if it is outside a string.
        """
        data = self._pending + data
        # A backslash at the end escapes the next byte, which is in the next chunk.
        backslashes = len(data) - len(data.rstrip(b"\\"))
        self._pending = b"\\" * (backslashes % 2)
        data = data[: len(data) - len(self._pending)]
        # Remove escapes from left to right, as a parser reads them. Outside strings, every parser fails at a backslash.
        parts = data.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        outside = b"".join(parts[self._in_string :: 2])
        self._in_string ^= len(parts) % 2 == 0
        return outside

    def _track_depth(self, brackets: bytes) -> None:
        for byte in brackets:
            if byte in _OPENING_BRACKETS:
                self._depth += 1
                if self._depth > self._limits.max_message_depth:
                    self._on_limit_exceeded(MESSAGE_TOO_DEEP)
            elif self._depth:
                self._depth -= 1
            else:
                return  # every parser fails at a closing bracket without an opening one

    def _track_digits(self, outside: bytes) -> None:
        """Check that no number has too many digits.

        The conversion of a long integer to text, for example for a log line, takes quadratic time.
        """
        runs = outside.translate(_NON_DIGITS_TO_SPACES).split(b" ")
        first, last = len(runs[0]), len(runs[-1])
        longest = max(self._digit_count + first, max(map(len, runs)))
        self._digit_count = last + (self._digit_count if len(runs) == 1 else 0)
        if longest > self._limits.max_number_digits:
            self._on_limit_exceeded(NUMBER_TOO_LONG)


class LineScanner:
    """Scanner for the output of stdio servers, in which each line is one message."""

    def __init__(
        self, limits: McpLimits, on_limit_exceeded: OnLimitExceeded, count_values: Callable[[int], None]
    ) -> None:
        self._scanner = MessageScanner(limits, on_limit_exceeded, count_values)

    def feed(self, data: bytes) -> None:
        """Scan the next chunk of output. Raises the exception that `on_limit_exceeded` raises."""
        *complete_lines, last = data.split(b"\n")
        for line in complete_lines:
            self._scanner.feed(line)
            self._scanner.end_message()
        self._scanner.feed(last)


class EventScanner:
    """Scanner for messages in a stream of server-sent events. An event has one or more lines and ends at an empty line.

    The scanner scans every line of an event except comments, even if the line contains no message. It assumes that a
    string ends at the end of its line, because a JSON string cannot contain a line break.
    """

    def __init__(
        self, limits: McpLimits, on_limit_exceeded: OnLimitExceeded, count_values: Callable[[int], None]
    ) -> None:
        self._scanner = MessageScanner(limits, on_limit_exceeded, count_values)
        self._pending = b""
        self._line_kind = _EMPTY_LINE

    def feed(self, data: bytes) -> None:
        """Scan the next chunk of the stream. Raises the exception that `on_limit_exceeded` raises."""
        data = self._pending + data
        self._pending = b"\r" if data.endswith(b"\r") else b""  # the other half of the line break may follow
        data = data[: len(data) - len(self._pending)]
        *complete_lines, last = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for line in complete_lines:
            self._feed_line_part(line)
            if self._line_kind == _EMPTY_LINE:
                self._scanner.end_message()
            elif self._line_kind == _FIELD_LINE:
                self._scanner.end_string()
            self._line_kind = _EMPTY_LINE
        self._feed_line_part(last)

    def _feed_line_part(self, data: bytes) -> None:
        if data and self._line_kind == _EMPTY_LINE:
            self._line_kind = _COMMENT_LINE if data.startswith(b":") else _FIELD_LINE
        if self._line_kind == _FIELD_LINE:
            self._scanner.feed(data)
