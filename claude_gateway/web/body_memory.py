"""How many bytes the bodies of all requests may take in memory together. The next body waits until there is room."""

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field

# Smaller bodies are not counted: as many as there may be connections take no more than one large body does.
UNCOUNTED_BYTES = 16 * 1024


@dataclass(eq=False, slots=True)
class Held:
    """Room for one body, until it is released. Releasing it twice changes nothing."""

    memory: "BodyMemory"
    owner: str
    size: int

    def shrink(self, size: int) -> None:
        """Keep room for `size` bytes at most and give the rest back."""
        kept = min(size, self.size)
        self.memory.give_back(self.owner, self.size - kept)
        self.size = kept

    def release(self) -> None:
        self.shrink(0)


@dataclass(eq=False, slots=True)
class _Waiter:
    owner: str
    size: int
    granted: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class BodyMemory:
    """First come, first served. One key may hold half of it, so that a key with many large bodies leaves room for the
    others. A body that is larger than all of it is taken when nothing else is held."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._used = 0
        self._used_by: Counter[str] = Counter()
        self._waiters: deque[_Waiter] = deque()

    @property
    def used(self) -> int:
        return self._used

    @property
    def waiting(self) -> int:
        return len(self._waiters)

    async def hold(self, owner: str, size: int, timeout: float) -> Held:
        """Room for `size` bytes. Raises `TimeoutError` when there was none for `timeout` seconds."""
        if size <= UNCOUNTED_BYTES:
            return Held(self, owner, 0)
        waiter = _Waiter(owner, size)
        self._waiters.append(waiter)
        self._grant()
        try:
            async with asyncio.timeout(timeout):
                await waiter.granted
        except BaseException:
            if waiter.granted.done() and not waiter.granted.cancelled():
                self.give_back(owner, size)  # granted in the moment in which the client left
            else:
                self._waiters.remove(waiter)
                self._grant()
            raise
        return Held(self, owner, size)

    def give_back(self, owner: str, size: int) -> None:
        self._used -= size
        self._used_by[owner] -= size
        if not self._used_by[owner]:
            del self._used_by[owner]
        self._grant()

    def _grant(self) -> None:
        """To each waiter in turn, up to the first that does not fit. A key at its own share does not hold up others."""
        for waiter in list(self._waiters):
            if waiter.granted.done():
                continue  # it left, and is about to take itself off the list
            if self._used and self._used + waiter.size > self._total:
                return
            own = self._used_by.get(waiter.owner, 0)
            if own and own + waiter.size > self._total // 2:
                continue
            self._waiters.remove(waiter)
            self._used += waiter.size
            self._used_by[waiter.owner] += waiter.size
            waiter.granted.set_result(None)
