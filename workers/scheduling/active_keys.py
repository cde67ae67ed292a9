"""List of the API keys that have recently sent jobs to the queue. No I/O."""

from collections import OrderedDict


class ActiveKeys:
    """Remembers each API key that has sent a job to the queue, for as long as a client may need to send the job again.

    Times are in seconds, by any clock that never goes back.
    """

    def __init__(self) -> None:
        self._active_until: OrderedDict[str, float] = OrderedDict()

    def touch(self, key_id: str, now: float, active_until: float) -> bool:
        """Record that a key is active until `active_until`. Return True if another key is active too."""
        while self._active_until and next(iter(self._active_until.values())) <= now:
            self._active_until.popitem(last=False)
        self._active_until[key_id] = active_until
        self._active_until.move_to_end(key_id)
        return len(self._active_until) > 1
