"""Frequency with which clients continue the conversations that processes hold. No I/O.

The pool uses this to decide which conversation to give up. Times are in seconds, by any clock that never goes back.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace

# The weight of the newest interval in the mean interval of a conversation.
_SMOOTHING_FACTOR = 0.5


@dataclass(frozen=True, slots=True)
class ConversationUse:
    """The use of one conversation by its client.

    Attributes:
        last_used_at: The end of the last job of the conversation.
        continued_count: The number of jobs that continued the conversation.
        mean_interval_seconds: The average time from the end of a job to the job that continued it.
    """

    last_used_at: float
    continued_count: int = 0
    mean_interval_seconds: float = 0.0

    def continue_at(self, now: float) -> "ConversationUse":
        """Return the use after one more job continued the conversation."""
        interval = max(0.0, now - self.last_used_at)
        mean = self.mean_interval_seconds
        mean = interval if not self.continued_count else mean + _SMOOTHING_FACTOR * (interval - mean)
        return ConversationUse(now, self.continued_count + 1, mean)

    def end_at(self, now: float) -> "ConversationUse":
        """Return the use after the job that runs now has ended."""
        return replace(self, last_used_at=now)

    def retention_rank(self, now: float) -> tuple[bool, float]:
        """Return a rank for the decision which conversation to give up. The lowest rank is given up first.

        A conversation that was never continued ranks lowest, because it is probably a single question. Among these, the
        oldest ranks lowest. Among the others, the one whose next job is expected last ranks lowest. A client that is
        late is expected to need as much time again.
        """
        if not self.continued_count:
            return False, self.last_used_at
        elapsed = now - self.last_used_at
        remaining = self.mean_interval_seconds - elapsed
        return True, -(remaining if remaining > 0 else elapsed)


class FormerConversations:
    """Remembers the use of conversations that no process holds any more, by their conversation keys.

    If a client continues such a conversation, it counts as continued, although the gateway must load it again.
    """

    def __init__(self, max_count: int) -> None:
        self._uses: OrderedDict[str, ConversationUse] = OrderedDict()
        self._max_count = max_count

    def add(self, conversation_key: str, use: ConversationUse) -> None:
        """Remember the use of a conversation. If there are too many, the oldest entry is dropped."""
        self._uses[conversation_key] = use
        self._uses.move_to_end(conversation_key)
        while len(self._uses) > self._max_count:
            self._uses.popitem(last=False)

    def __contains__(self, conversation_key: str) -> bool:
        return conversation_key in self._uses

    def pop(self, conversation_key: str) -> ConversationUse | None:
        """Remove and return the use of a conversation, or return None if the conversation is not known."""
        return self._uses.pop(conversation_key, None)
