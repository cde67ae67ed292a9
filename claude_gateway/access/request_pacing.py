"""Slows down a key that sends very many requests, as long as other keys send some too. Pure.

The gateway works on all requests in one thread. A key that sends its next request as soon as the last one is answered
takes most of that thread, however quickly each of its requests is refused.
"""

from dataclasses import dataclass, field

# Costs are counted in requests. A body costs more: its bytes are copied several times on their way.
_BYTES_PER_REQUEST = 128 * 1024
# Above this many, keys that have cost nothing lately are forgotten.
_MAX_KEYS = 1_000


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


@dataclass(slots=True)
class RequestPacer:
    """How long each request waits before the gateway begins with it.

    Times are in seconds of any clock that does not go back.
    """

    limits: PacingLimits = DEFAULT_PACING
    _cost: dict[str, tuple[float, float]] = field(default_factory=dict)
    # The last key that sent something, and the last one before it that was another.
    _latest: tuple[str, float] = ("", float("-inf"))
    _before: tuple[str, float] = ("", float("-inf"))

    def wait(self, key: str, now: float) -> float:
        """Count a request, and return the seconds that it is to wait; more than the most where it is to be refused."""
        self._note(key, now)
        cost = self._cost_of(key, now)
        if not self._is_contended(key, now):
            # A key that was alone may have sent any number. It does not pay for that later.
            self._set(key, min(cost + 1, self.limits.burst), now)
            return 0.0
        seconds = max(0.0, cost - self.limits.burst) / self.limits.per_second
        if seconds <= self.limits.max_wait_seconds:
            self._set(key, cost + 1, now)
        return seconds

    def add_body(self, key: str, size: int, now: float) -> None:
        """Count the bytes of a body that the key has sent."""
        self._set(key, self._cost_of(key, now) + size / _BYTES_PER_REQUEST, now)

    def _note(self, key: str, now: float) -> None:
        if self._latest[0] != key:
            self._before = self._latest
        self._latest = (key, now)

    def _is_contended(self, key: str, now: float) -> bool:
        _, other_at = self._before if self._latest[0] == key else self._latest
        return now - other_at < self.limits.contended_seconds

    def _cost_of(self, key: str, now: float) -> float:
        cost, at = self._cost.get(key, (0.0, now))
        return max(0.0, cost - (now - at) * self.limits.per_second)

    def _set(self, key: str, cost: float, now: float) -> None:
        self._cost[key] = (cost, now)
        if len(self._cost) > _MAX_KEYS:
            self._cost = {one: known for one, known in self._cost.items() if self._cost_of(one, now) > 0}
