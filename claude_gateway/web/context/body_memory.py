"""Limit on the memory for all request bodies. A request waits until there is enough memory for its body."""

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field

# Bodies up to this size do not count toward the limit, because such bodies on all possible connections together take
# less memory than one large body.
MAX_UNCOUNTED_BYTES = 16 * 1024


@dataclass(eq=False, slots=True)
class BodyReservation:
    """Memory that the gateway has reserved for one request body. A second release has no effect."""

    memory: "BodyMemory"
    key_id: str
    size_bytes: int

    def shrink(self, size_bytes: int) -> None:
        """Keep at most `size_bytes` of the memory, and release the remaining memory."""
        new_size_bytes = min(size_bytes, self.size_bytes)
        self.memory.release(self.key_id, self.size_bytes - new_size_bytes)
        self.size_bytes = new_size_bytes

    def release(self) -> None:
        """Release the whole memory."""
        self.shrink(0)


@dataclass(eq=False, slots=True)
class _Waiter:
    key_id: str
    size_bytes: int
    granted: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class BodyMemory:
    """Memory for all request bodies. Requests that wait for memory get it in the order in which they arrived.

    The bodies of one key together may hold at most half of the memory, unless the key has only one body. This leaves
    memory for the other keys. If a body is larger than the whole memory, its request waits until no other body holds
    memory.

    Args:
        max_bytes: The bytes that all bodies together may take.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._used_bytes = 0
        self._used_bytes_by_key: Counter[str] = Counter()
        self._waiters: deque[_Waiter] = deque()

    @property
    def used_bytes(self) -> int:
        """The number of bytes that all bodies hold."""
        return self._used_bytes

    @property
    def waiter_count(self) -> int:
        """The number of requests that wait for memory."""
        return len(self._waiters)

    async def reserve(self, key_id: str, size_bytes: int, timeout: float) -> BodyReservation:
        """Wait until there is enough memory for a body, and reserve it.

        Args:
            key_id: The id of the request's key.
            size_bytes: The largest size that the body can have.
            timeout: The longest wait in seconds.

        Raises:
            TimeoutError: The memory did not become free in time.
        """
        if size_bytes <= MAX_UNCOUNTED_BYTES:
            return BodyReservation(self, key_id, 0)
        waiter = _Waiter(key_id, size_bytes)
        self._waiters.append(waiter)
        self._grant_waiters()
        try:
            async with asyncio.timeout(timeout):
                await waiter.granted
        except BaseException:
            if waiter.granted.done() and not waiter.granted.cancelled():
                self.release(key_id, size_bytes)  # the request got the memory just as its client disconnected
            else:
                self._waiters.remove(waiter)
                self._grant_waiters()
            raise
        return BodyReservation(self, key_id, size_bytes)

    def release(self, key_id: str, size_bytes: int) -> None:
        """Release memory that a body of this key held."""
        self._used_bytes -= size_bytes
        self._used_bytes_by_key[key_id] -= size_bytes
        if not self._used_bytes_by_key[key_id]:
            del self._used_bytes_by_key[key_id]
        self._grant_waiters()

    def _grant_waiters(self) -> None:
        """Give memory to waiting requests in the order of their arrival, up to the first one whose body does not fit.

        Skip a request if its key would hold more than half of the memory, so that it does not block other keys.
        """
        for waiter in list(self._waiters):
            if waiter.granted.done():
                continue  # the client disconnected, and `reserve` is about to remove this waiter
            if self._used_bytes and self._used_bytes + waiter.size_bytes > self._max_bytes:
                return
            used_by_key = self._used_bytes_by_key.get(waiter.key_id, 0)
            if used_by_key and used_by_key + waiter.size_bytes > self._max_bytes // 2:
                continue
            self._waiters.remove(waiter)
            self._used_bytes += waiter.size_bytes
            self._used_bytes_by_key[waiter.key_id] += waiter.size_bytes
            waiter.granted.set_result(None)
