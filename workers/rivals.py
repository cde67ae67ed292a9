"""Which keys compete for the queue. Pure: moments, in seconds of one clock, come in."""

from collections import OrderedDict


class Rivals:
    """Each key that came for a place in the queue, until it has had time to come back."""

    def __init__(self) -> None:
        self._until: OrderedDict[str, float] = OrderedDict()

    def came(self, key: str, now: float, back_by: float) -> bool:
        """Whether any other key competes with this one, which does so itself until `back_by`."""
        while self._until and next(iter(self._until.values())) <= now:
            self._until.popitem(last=False)
        self._until[key] = back_by
        self._until.move_to_end(key)
        return len(self._until) > 1
