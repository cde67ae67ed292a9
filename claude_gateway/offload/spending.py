"""How much each key has spent lately, of CPU time or of anything else. Pure."""

import math
from dataclasses import dataclass

# Above this many, keys that owe nothing are forgotten.
_MAX_KEYS = 1_000


@dataclass(frozen=True, slots=True)
class _Spent:
    amount: float
    at: float


class Spending:
    """What a key has spent is forgiven with time: `share` of the unit that is spent, each second.

    Times are in seconds of any clock that does not go back.
    """

    def __init__(self, most: float, share: float) -> None:
        self._most = most
        self._share = share
        self._spent: dict[str, _Spent] = {}

    def spend(self, key: str, amount: float, now: float) -> None:
        self._spent[key] = _Spent(self.spent(key, now) + amount, now)
        if len(self._spent) > _MAX_KEYS:
            self._spent = {one: spent for one, spent in self._spent.items() if self.spent(one, now) > 0}

    def spent(self, key: str, now: float) -> float:
        """What the key still owes."""
        known = self._spent.get(key)
        return max(0.0, known.amount - (now - known.at) * self._share) if known else 0.0

    def wait(self, key: str, now: float) -> int:
        """Whole seconds until the key may spend again; 0 where it may."""
        over = self.spent(key, now) - self._most
        return max(1, math.ceil(over / self._share)) if over >= 0 else 0
