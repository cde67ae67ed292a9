"""Cache of recent replies that contain thinking and a call to a client tool. No I/O.

Many clients send the tool call back without the thinking, but most models cannot continue their thinking if it is
missing. Therefore the gateway adds the thinking from this cache to the request. The cache is only in memory. If the
cache no longer contains a reply, the gateway sends the request without the thinking.
"""

from collections import Counter, OrderedDict
from functools import partial

from claude_gateway.dialects.common.content.conversation import ReplyLookup, get_first_call_id, has_thinking
from claude_gateway.sessions.turn_codec import encode_turn
from workers.core.job import ChatJob, Turn

_MAX_BYTES = 32 * 2**20
# Memory that the Python objects of a small reply need, in addition to the memory for the text of the reply.
ENTRY_OVERHEAD_BYTES = 1_024


class ThinkingCache:
    """Stores complete replies, each under the id of its key, its model and the id of its first tool call.

    If the cache is full, it removes the oldest reply of the key that uses the most memory. Therefore many replies of
    one key cannot push the replies of other keys out of the cache.

    Args:
        max_bytes: Maximum size of the cache.
    """

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        self._replies: dict[str, OrderedDict[tuple[str, str], tuple[Turn, int]]] = {}
        self._bytes_by_key: Counter[str] = Counter()
        self._max_bytes = max_bytes

    def lookup_for_key(self, key_id: str) -> ReplyLookup:
        """Return a function that finds a reply of the key, given a model and the id of the reply's first tool call."""
        return partial(self._find, key_id)

    def add(self, job: ChatJob, reply: Turn | None) -> None:
        """Store the reply to a job in the cache if the reply contains thinking and a tool call."""
        call_id = get_first_call_id(reply.blocks) if reply else None
        if reply is None or call_id is None or not has_thinking(reply.blocks):
            return
        size = len(encode_turn(reply)) + ENTRY_OVERHEAD_BYTES
        self._remove(job.key_id, (job.model, call_id))
        self._replies.setdefault(job.key_id, OrderedDict())[job.model, call_id] = reply, size
        self._bytes_by_key[job.key_id] += size
        while self._bytes_by_key.total() > self._max_bytes:
            ((largest_key_id, _),) = self._bytes_by_key.most_common(1)
            self._remove(largest_key_id, next(iter(self._replies[largest_key_id])))

    def _find(self, key_id: str, model: str, call_id: str) -> Turn | None:
        entries = self._replies.get(key_id)
        entry = entries.get((model, call_id)) if entries else None
        return entry[0] if entry else None

    def _remove(self, key_id: str, model_and_call: tuple[str, str]) -> None:
        entries = self._replies.get(key_id)
        if entries and model_and_call in entries:
            self._bytes_by_key[key_id] -= entries.pop(model_and_call)[1]
            if not entries:
                del self._replies[key_id], self._bytes_by_key[key_id]
