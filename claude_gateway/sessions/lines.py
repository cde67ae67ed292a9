"""Waiting lines: one at a time for each name, the others behind it in the order they came."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from workers.errors import stopping

# Whoever came behind these would wait for longer than anybody reads on.
_MOST_BEHIND_ONE = 16


class LineTooLong(Exception):
    """Too many wait already, or the wait took too long."""


class _Line:
    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.present = 0


class Lines:
    """A line for each (owner, name). An owner has at most `most_waiting` waiting in all of his together; each waits
    for at most `patience` seconds."""

    def __init__(self, most_waiting: int, patience: float) -> None:
        self._most_waiting = most_waiting
        self._patience = patience
        self._lines: dict[tuple[str, str], _Line] = {}
        self._waiting: Counter[str] = Counter()
        self._waits: set[asyncio.Timeout] = set()
        self._retry_after: float | None = None

    @property
    def waiting(self) -> int:
        return self._waiting.total()

    def refuse_waiting(self, retry_after: float) -> None:
        """The gateway stops: who waits will not be served, nor who would have to. Who has his turn is not touched."""
        self._retry_after = retry_after
        for wait in self._waits:
            if not wait.expired():
                wait.reschedule(0)

    @asynccontextmanager
    async def turn(self, owner: str, name: str) -> AsyncIterator[None]:
        """The turn of whoever comes, for the length of a `with`. Raises `LineTooLong`, `WorkerError` STOPPING."""
        line = self._lines.setdefault((owner, name), _Line())
        line.present += 1
        try:
            await self._wait(owner, line)
            try:
                yield
            finally:
                line.turn.release()
        finally:
            line.present -= 1
            if not line.present:
                del self._lines[owner, name]

    async def _wait(self, owner: str, line: _Line) -> None:
        if line.present == 1:
            await line.turn.acquire()
            return
        too_long = line.present - 1 > _MOST_BEHIND_ONE or self._waiting[owner] >= self._most_waiting
        if too_long or self._retry_after is not None:
            raise self._refusal()
        self._waiting[owner] += 1
        wait = asyncio.timeout(self._patience)
        try:
            async with wait:
                self._waits.add(wait)
                await line.turn.acquire()
        except TimeoutError:
            raise self._refusal() from None
        finally:
            self._waits.discard(wait)
            self._waiting[owner] -= 1

    def _refusal(self) -> Exception:
        if self._retry_after is None:
            return LineTooLong()
        return stopping(self._retry_after)
