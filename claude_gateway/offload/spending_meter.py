"""Meter of the amount that each key has recently used, in CPU seconds, requests or any other unit. No I/O."""

import math
from dataclasses import dataclass

# If the meter stores the used amounts of more keys than this, it removes the keys whose used amount has fallen to zero.
_MAX_KEYS = 1_000


@dataclass(frozen=True, slots=True)
class _Spent:
    amount: float
    updated_at: float


class SpendingMeter:
    """Adds up the amount that each key uses, and reduces the used amount by `refill_rate` every second.

    Times are in seconds of any clock that does not go back.

    Args:
        burst: The used amount from which on a key has to wait.
        refill_rate: The amount that becomes available to a key again in each second.
    """

    def __init__(self, burst: float, refill_rate: float) -> None:
        self._burst = burst
        self._refill_rate = refill_rate
        self._spent_by_key: dict[str, _Spent] = {}

    def spend(self, key_id: str, amount: float, now: float) -> None:
        """Add an amount to the used amount of a key."""
        self._spent_by_key[key_id] = _Spent(self.spent(key_id, now) + amount, now)
        if len(self._spent_by_key) > _MAX_KEYS:
            self._spent_by_key = {
                known_id: spent for known_id, spent in self._spent_by_key.items() if self.spent(known_id, now) > 0
            }

    def spent(self, key_id: str, now: float) -> float:
        """Return the amount that a key has used, minus the part that has become available to the key again."""
        known = self._spent_by_key.get(key_id)
        return max(0.0, known.amount - (now - known.updated_at) * self._refill_rate) if known else 0.0

    def wait_seconds(self, key_id: str, now: float) -> int:
        """Return the number of whole seconds after which the key may use an amount again; 0 if it may do so now."""
        over = self.spent(key_id, now) - self._burst
        return max(1, math.ceil(over / self._refill_rate)) if over >= 0 else 0
