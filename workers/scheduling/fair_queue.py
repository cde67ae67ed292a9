"""Queue that serves API keys in turn (round-robin), and the items of each key in the order of their arrival. No I/O."""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """A round-robin queue.

    One key with a thousand waiting jobs delays the only job of another key by at most one job.
    """

    def __init__(self) -> None:
        self._items_by_key: OrderedDict[str, deque[T]] = OrderedDict()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def push(self, key: str, item: T) -> None:
        """Add an item after the other items of its key."""
        self._items_by_key.setdefault(key, deque()).append(item)
        self._length += 1

    def pop(self) -> T:
        """Remove and return the next item. The other keys are then served before this key.

        Raises:
            IndexError: The queue is empty.
        """
        if not self._items_by_key:
            raise IndexError("pop from an empty queue")
        key, items = self._items_by_key.popitem(last=False)
        item = items.popleft()
        self._length -= 1
        if items:
            self._items_by_key[key] = items
        return item

    def count(self, key: str) -> int:
        """Return the number of waiting items of a key."""
        return len(self._items_by_key.get(key, ()))

    def evict_newest(self, key: str, is_evictable: Callable[[T], bool]) -> T | None:
        """Remove and return the newest item of the key that has the most items, to make room for an item of `key`.

        Return None if that key has no more items than `key` would have with the new item. Also return None if the
        newest item is not evictable.
        """
        largest_key = max(self._items_by_key, key=lambda other: len(self._items_by_key[other]), default=key)
        items = self._items_by_key.get(largest_key, deque())
        if len(items) <= self.count(key) + 1 or not is_evictable(items[-1]):
            return None
        self._length -= 1
        return items.pop()

    def remove(self, key: str, item: T) -> bool:
        """Remove an item at any position. Return False if the item is no longer in the queue."""
        items = self._items_by_key.get(key)
        if items is None or item not in items:
            return False
        items.remove(item)
        self._length -= 1
        if not items:
            del self._items_by_key[key]
        return True
