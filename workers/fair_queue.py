"""Who is next: first come first served within a key, the keys in turns. Pure."""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """A key with a thousand waiting jobs delays another key's single job by one job at most."""

    def __init__(self) -> None:
        self._lanes: OrderedDict[str, deque[T]] = OrderedDict()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def push(self, key: str, item: T) -> None:
        self._lanes.setdefault(key, deque()).append(item)
        self._length += 1

    def pop(self) -> T:
        """The next item; its key goes to the end of the line. Raises `IndexError` when empty."""
        if not self._lanes:
            raise IndexError("pop from an empty queue")
        key, lane = self._lanes.popitem(last=False)
        item = lane.popleft()
        self._length -= 1
        if lane:
            self._lanes[key] = lane
        return item

    def count(self, key: str) -> int:
        """How many of its items wait."""
        return len(self._lanes.get(key, ()))

    def crowd_out(self, key: str, may_go: Callable[[T], bool]) -> T | None:
        """The newest item of the key that has most, where that is more than `key` would have with one more, and where
        the item may go."""
        most = max(self._lanes, key=lambda each: len(self._lanes[each]), default=key)
        lane = self._lanes.get(most, deque())
        if len(lane) <= self.count(key) + 1 or not may_go(lane[-1]):
            return None
        self._length -= 1
        return lane.pop()

    def remove(self, key: str, item: T) -> bool:
        """Take an item out of the middle; False when it is no longer there."""
        lane = self._lanes.get(key)
        if lane is None or item not in lane:
            return False
        lane.remove(item)
        self._length -= 1
        if not lane:
            del self._lanes[key]
        return True
