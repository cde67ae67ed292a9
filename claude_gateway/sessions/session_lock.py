"""Locks that let only one request at a time use a session.

Other requests for the session wait, and acquire the lock in the order in which they arrived.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from workers.core.errors import shutting_down

# Maximum number of requests that wait for one session. If more requests waited, the client of the last request would
# usually stop waiting before the request runs.
_MAX_WAITERS_PER_SESSION = 16


class SessionBusy(Exception):
    """Raised if a request cannot use a session.

    The reason is that too many other requests wait for the session, or that this request has waited too long.
    """


class _SessionLock:
    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.user_count = 0


class SessionLocks:
    """Locks for the sessions of all keys, one for each session.

    Args:
        max_waiting: Maximum number of waiting requests of one key, counted over all sessions of the key.
        timeout_seconds: Longest time that a request waits for a session.
    """

    def __init__(self, max_waiting: int, timeout_seconds: float) -> None:
        self._max_waiting = max_waiting
        self._timeout_seconds = timeout_seconds
        self._locks: dict[tuple[str, str], _SessionLock] = {}
        self._waiting_counts: Counter[str] = Counter()
        self._active_timeouts: set[asyncio.Timeout] = set()
        self._retry_after: float | None = None

    @property
    def waiting_count(self) -> int:
        """Number of requests that wait for a session."""
        return self._waiting_counts.total()

    def reject_waiters(self, retry_after: float) -> None:
        """Reject all requests that wait for a session now or later, because the gateway is shutting down.

        Requests that hold a lock continue.

        Args:
            retry_after: Number of seconds after which the clients should retry.
        """
        self._retry_after = retry_after
        for timeout in self._active_timeouts:
            if not timeout.expired():
                timeout.reschedule(0)

    @asynccontextmanager
    async def acquire(self, key_id: str, session_id: str) -> AsyncIterator[None]:
        """Hold the lock of a session while a `with` block runs.

        Raises:
            SessionBusy: Too many requests wait for the session, or the wait timed out.
            WorkerError: SHUTTING_DOWN if the gateway is shutting down and another request holds the lock.
        """
        session_lock = self._locks.setdefault((key_id, session_id), _SessionLock())
        session_lock.user_count += 1
        try:
            await self._wait(key_id, session_lock)
            try:
                yield
            finally:
                session_lock.lock.release()
        finally:
            session_lock.user_count -= 1
            if not session_lock.user_count:
                del self._locks[key_id, session_id]

    async def _wait(self, key_id: str, session_lock: _SessionLock) -> None:
        if session_lock.user_count == 1:
            await session_lock.lock.acquire()
            return
        has_too_many_waiters = (
            session_lock.user_count - 1 > _MAX_WAITERS_PER_SESSION or self._waiting_counts[key_id] >= self._max_waiting
        )
        if has_too_many_waiters or self._retry_after is not None:
            raise self._rejection_error()
        self._waiting_counts[key_id] += 1
        timeout = asyncio.timeout(self._timeout_seconds)
        try:
            async with timeout:
                self._active_timeouts.add(timeout)
                await session_lock.lock.acquire()
        except TimeoutError:
            raise self._rejection_error() from None
        finally:
            self._active_timeouts.discard(timeout)
            self._waiting_counts[key_id] -= 1
            if not self._waiting_counts[key_id]:
                del self._waiting_counts[key_id]

    def _rejection_error(self) -> Exception:
        if self._retry_after is None:
            return SessionBusy()
        return shutting_down(self._retry_after)
