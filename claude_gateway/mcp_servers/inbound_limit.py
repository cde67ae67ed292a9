"""Limits the data that MCP servers may send within a time window. No I/O. The clock is a parameter.

Without a limit, a server could send so much data that reading it alone would keep the gateway busy.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from claude_gateway.mcp_servers.limits import McpLimits

_WINDOW_TEXT = "within {0.inbound_window_seconds:g} seconds, alone or with other servers of its key"
_TOO_MUCH_DATA = (
    f"the server sent more than {{0.max_inbound_lines}} lines or {{0.max_inbound_bytes}} bytes {_WINDOW_TEXT}"
)
_TOO_MANY_VALUES = f"the server sent more than {{0.max_inbound_values}} values {_WINDOW_TEXT}"


class InboundLimitExceeded(Exception):
    """Raised if a server exceeds an inbound limit.

    The gateway then stops reading from the server. The text of the error names the limit.
    """


@dataclass(slots=True, weakref_slot=True)
class InboundVolume:
    """Amount of data that one server, or all servers of a key together, sent since the start of a time window.

    Attributes:
        window_start: Start of the window, in seconds of the limiter's clock.
        line_count: Number of line breaks.
        byte_count: Number of bytes.
        value_count: Number of JSON values.
    """

    window_start: float
    line_count: int = 0
    byte_count: int = 0
    value_count: int = 0

    def reset_if_expired(self, now: float, window_seconds: float) -> None:
        """Start a new window if the current one is over."""
        if now - self.window_start >= window_seconds:
            self.window_start, self.line_count, self.byte_count, self.value_count = now, 0, 0, 0


class InboundLimiter:
    """Limits the data that a server sends within a time window, on all streams of one connection together.

    The limiter counts bytes, lines and JSON values. It counts lines because each message takes time to process, even if
    the message is small, and consists of at least one line.

    Args:
        limits: Limits for one server. The same limits apply to all servers of a key together.
        clock: Returns the current time in seconds.
        on_limit_exceeded: Called once, with the reason, when the server exceeds a limit.
        key_volume: Amount of data that all servers of the key sent. If this amount is too large, the limiter stops only
            servers that sent more than the limit divided by `max_servers`. Therefore a server that sends too much data
            does not end the connections to other servers.
    """

    def __init__(
        self,
        limits: McpLimits,
        clock: Callable[[], float],
        on_limit_exceeded: Callable[[str], None],
        key_volume: InboundVolume | None = None,
    ) -> None:
        self.limits = limits
        self._clock = clock
        self._on_limit_exceeded = on_limit_exceeded
        self._server_volume = InboundVolume(clock())
        self._key_volume = key_volume or InboundVolume(clock())
        self._exceeded_reason = ""

    def count_data(self, data: bytes) -> None:
        """Count received bytes and lines. Raises `InboundLimitExceeded` once the server has exceeded a limit."""
        if self._exceeded_reason:
            raise InboundLimitExceeded(self._exceeded_reason)
        lines = data.count(b"\n") + data.count(b"\r")
        for volume in (self._server_volume, self._key_volume):
            volume.reset_if_expired(self._clock(), self.limits.inbound_window_seconds)
            volume.line_count += lines
            volume.byte_count += len(data)
        if self._is_over_limit(
            self._server_volume.line_count, self._key_volume.line_count, self.limits.max_inbound_lines
        ) or self._is_over_limit(
            self._server_volume.byte_count, self._key_volume.byte_count, self.limits.max_inbound_bytes
        ):
            self.raise_exceeded(_TOO_MUCH_DATA)

    def count_values(self, value_count: int) -> None:
        """Add a number of received JSON values to the counts. Raises `InboundLimitExceeded`."""
        self._server_volume.value_count += value_count
        self._key_volume.value_count += value_count
        if self._is_over_limit(
            self._server_volume.value_count, self._key_volume.value_count, self.limits.max_inbound_values
        ):
            self.raise_exceeded(_TOO_MANY_VALUES)

    def raise_exceeded(self, reason_template: str) -> NoReturn:
        """Record that the server has exceeded a limit, and raise `InboundLimitExceeded`.

        Args:
            reason_template: Template for the reason. The method inserts the values of the `McpLimits`.

        Raises:
            InboundLimitExceeded: Always.
        """
        if not self._exceeded_reason:
            self._exceeded_reason = reason_template.format(self.limits)
            self._on_limit_exceeded(self._exceeded_reason)
        raise InboundLimitExceeded(self._exceeded_reason)

    def _is_over_limit(self, server_total: int, key_total: int, maximum: int) -> bool:
        return server_total > maximum or (
            key_total > maximum and server_total * max(self.limits.max_servers, 1) > maximum
        )
