"""The newest answers that thought and then called a tool of the caller's, whole: many programs send back the call and
not the thought, without which most models may not think on. Kept in memory alone: who comes later goes on without.
"""

from collections import OrderedDict
from functools import partial

from claude_gateway.prompt.conversation import Recall, first_call, has_thoughts
from claude_gateway.stores.turns import dump
from workers.job import ChatJob, Turn

_MOST_BYTES = 32 * 2**20


class Replies:
    """Each belongs to a key and to the model that gave it; the oldest go first."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._kept: OrderedDict[tuple[str, str, str], tuple[Turn, int]] = OrderedDict()
        self._bytes = 0
        self._most_bytes = most_bytes

    def of(self, owner: str) -> Recall:
        return partial(self._find, owner)

    def add(self, job: ChatJob, reply: Turn | None) -> None:
        """What the job was answered; nothing is kept of an answer that a caller sends back whole anyway."""
        call = first_call(reply.blocks) if reply else None
        if reply is None or call is None or not has_thoughts(reply.blocks):
            return
        size = len(dump(reply))
        self._drop((job.owner, job.model, call))
        self._kept[job.owner, job.model, call] = reply, size
        self._bytes += size
        while self._bytes > self._most_bytes:
            self._drop(next(iter(self._kept)))

    def _find(self, owner: str, model: str, call: str) -> Turn | None:
        found = self._kept.get((owner, model, call))
        return found[0] if found else None

    def _drop(self, key: tuple[str, str, str]) -> None:
        if key in self._kept:
            self._bytes -= self._kept.pop(key)[1]
