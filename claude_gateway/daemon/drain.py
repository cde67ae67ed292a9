"""The end of a gateway's work: what runs may finish, and nothing new begins."""

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager

from workers.errors import stopping

# Where the next gateway takes over the socket, who is connected to this one has not been told of it. So long, what his
# connection brings is still taken; whoever connects meanwhile waits in the kernel for the next.
_LAST_CALL_SECONDS = 1.0


class Drain:
    """Counts the requests that are being answered, and once it has begun lets no job begin. Times are of the loop's
    clock."""

    def __init__(self) -> None:
        self._until: float | None = None
        self._last_call = 0.0
        self._hands_over = False
        self._requests = 0
        self._none_left = asyncio.Event()
        self._none_left.set()

    @property
    def is_on(self) -> bool:
        return self._until is not None

    def begin(self, until: float, *, hands_over: bool) -> None:
        """What runs has until `until`. `hands_over`: another gateway answers whoever connects from now on."""
        self._until = until
        self._hands_over = hands_over
        self._last_call = _now() + (_LAST_CALL_SECONDS if hands_over else 0)

    def admit(self) -> None:
        """Raises `WorkerError` for a job that comes too late."""
        if self.is_on and _now() >= self._last_call:
            raise stopping(self.retry_after)

    @property
    def retry_after(self) -> float:
        """Seconds until somebody answers again, as far as that can be known."""
        left = 0.0 if self._until is None or self._hands_over else self._until - _now()
        return float(math.ceil(max(0.0, left)) + 1)

    @contextmanager
    def request(self) -> Iterator[None]:
        """A request is being answered, for the length of a `with`."""
        self._requests += 1
        self._none_left.clear()
        try:
            yield
        finally:
            self._requests -= 1
            if not self._requests:
                self._none_left.set()

    async def quiet(self) -> None:
        """Wait until every request has its answer and no new one may come."""
        await asyncio.sleep(max(0.0, self._last_call - _now()))
        while self._requests:
            await self._none_left.wait()


def _now() -> float:
    return asyncio.get_running_loop().time()
