"""Delays the requests of a key that sends very many of them while other keys also send requests. No I/O.

The gateway handles all requests in one thread. A client that sends its next request as soon as it has received the last
response occupies most of that thread, even if the gateway rejects each of its requests quickly.
"""

from dataclasses import dataclass

from claude_gateway.offload.spending_meter import SpendingMeter

# The pacer counts this many bytes of a request body as one more request, because the gateway copies the bytes several
# times.
_BYTES_PER_REQUEST = 128 * 1024


@dataclass(frozen=True, slots=True)
class PacingLimits:
    """Limits on the requests of one key while other keys send requests too.

    Attributes:
        burst: Number of requests in a row that the gateway does not delay.
        per_second: Requests a second that the gateway handles after the burst.
        contended_seconds: Time after a request of another key during which these limits apply.
        max_wait_seconds: Longest delay. The gateway rejects a request that would have to wait longer.
    """

    burst: float = 100.0
    per_second: float = 60.0
    contended_seconds: float = 10.0
    max_wait_seconds: float = 10.0


DEFAULT_PACING = PacingLimits()


class RequestPacer:
    """Computes the time that each request waits before the gateway handles it.

    All times are seconds of a monotonic clock.
    """

    def __init__(self, limits: PacingLimits = DEFAULT_PACING) -> None:
        self.limits = limits
        # The costs of each key id, counted in requests.
        self._spending = SpendingMeter(limits.burst, limits.per_second)
        # Each is a key id and a time. The first is the last request, and the second is the last request of a different
        # key before it.
        self._last_request = self._last_other_request = ("", float("-inf"))

    def wait_seconds(self, key_id: str, now: float) -> float:
        """Count a request and return the seconds for which the gateway must delay it.

        If the result is greater than `max_wait_seconds`, the gateway rejects the request.
        """
        self._note(key_id, now)
        cost = self._spending.spent(key_id, now)
        if now - self._last_other_request[1] >= self.limits.contended_seconds:
            # A key may send any number of requests while it is the only active key. Those requests do not delay its
            # later requests.
            self._spending.spend(key_id, min(1.0, self.limits.burst - cost), now)
            return 0.0
        seconds = max(0.0, cost - self.limits.burst) / self.limits.per_second
        if seconds <= self.limits.max_wait_seconds:
            self._spending.spend(key_id, 1.0, now)
        return seconds

    def add_body(self, key_id: str, size_bytes: int, now: float) -> None:
        """Count the bytes of a body that the key has sent."""
        self._spending.spend(key_id, size_bytes / _BYTES_PER_REQUEST, now)

    def _note(self, key_id: str, now: float) -> None:
        if self._last_request[0] != key_id:
            self._last_other_request = self._last_request
        self._last_request = (key_id, now)
