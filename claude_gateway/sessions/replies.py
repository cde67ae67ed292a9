"""The newest answers that thought and then called a tool of the caller's, whole: many programs send back the call and
not the thought, without which most models may not think on. Kept in memory alone: who comes later goes on without.
"""

from collections import Counter, OrderedDict
from functools import partial

from claude_gateway.prompt.conversation import Recall, first_call, has_thoughts
from claude_gateway.stores.turns import dump
from workers.job import ChatJob, Turn

_MOST_BYTES = 32 * 2**20
# What the objects of a small answer take beside its text.
OVERHEAD_BYTES = 1_024


class Replies:
    """Each belongs to a key and to the model that gave it. Where there is no room, the oldest goes of the key that has
    the most: no key drives out what others have less of."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._kept: dict[str, OrderedDict[tuple[str, str], tuple[Turn, int]]] = {}
        self._bytes_of: Counter[str] = Counter()
        self._most_bytes = most_bytes

    def of(self, owner: str) -> Recall:
        return partial(self._find, owner)

    def add(self, job: ChatJob, reply: Turn | None) -> None:
        """What the job was answered; nothing is kept of an answer that a caller sends back whole anyway."""
        call = first_call(reply.blocks) if reply else None
        if reply is None or call is None or not has_thoughts(reply.blocks):
            return
        size = len(dump(reply)) + OVERHEAD_BYTES
        self._drop(job.owner, (job.model, call))
        self._kept.setdefault(job.owner, OrderedDict())[job.model, call] = reply, size
        self._bytes_of[job.owner] += size
        while self._bytes_of.total() > self._most_bytes:
            ((owner, _),) = self._bytes_of.most_common(1)
            self._drop(owner, next(iter(self._kept[owner])))

    def _find(self, owner: str, model: str, call: str) -> Turn | None:
        kept = self._kept.get(owner)
        found = kept.get((model, call)) if kept else None
        return found[0] if found else None

    def _drop(self, owner: str, key: tuple[str, str]) -> None:
        kept = self._kept.get(owner)
        if kept and key in kept:
            self._bytes_of[owner] -= kept.pop(key)[1]
            if not kept:
                del self._kept[owner], self._bytes_of[owner]
