"""Slows down a key that sends very many requests, as long as other keys send some too. Pure.

The gateway works on all requests in one thread. A key that sends its next request as soon as the last one is answered
takes most of that thread, however quickly each of its requests is refused.
"""

from dataclasses import dataclass

from claude_gateway.offload.spending import Spending

# Costs are counted in requests. A body costs more: its bytes are copied several times on their way.
_BYTES_PER_REQUEST = 128 * 1024


@dataclass(frozen=True, slots=True)
class PacingLimits:
    """What a key may send while other keys send something too.

    Attributes:
        burst: Requests that are not slowed down.
        per_second: Requests a second beyond the burst.
        contended_seconds: Keys compete for so long after a request of another key.
        max_wait_seconds: A request that would have to wait longer is refused.
    """

    burst: float = 100.0
    per_second: float = 60.0
    contended_seconds: float = 10.0
    max_wait_seconds: float = 10.0


DEFAULT_PACING = PacingLimits()


class RequestPacer:
    """How long each request waits before the gateway begins with it.

    Times are in seconds of any clock that does not go back.
    """

    def __init__(self, limits: PacingLimits = DEFAULT_PACING) -> None:
        self.limits = limits
        # In requests.
        self._spending = Spending(limits.burst, limits.per_second)
        # The last key that sent something, and the last one before it that was another.
        self._latest = self._before = ("", float("-inf"))

    def wait(self, key: str, now: float) -> float:
        """Count a request, and return the seconds that it is to wait; more than the most where it is to be refused."""
        self._note(key, now)
        cost = self._spending.spent(key, now)
        if now - self._before[1] >= self.limits.contended_seconds:
            # A key that was alone may have sent any number. It does not pay for that later.
            self._spending.spend(key, min(1.0, self.limits.burst - cost), now)
            return 0.0
        seconds = max(0.0, cost - self.limits.burst) / self.limits.per_second
        if seconds <= self.limits.max_wait_seconds:
            self._spending.spend(key, 1.0, now)
        return seconds

    def add_body(self, key: str, size: int, now: float) -> None:
        """Count the bytes of a body that the key has sent."""
        self._spending.spend(key, size / _BYTES_PER_REQUEST, now)

    def _note(self, key: str, now: float) -> None:
        if self._latest[0] != key:
            self._before = self._latest
        self._latest = (key, now)
