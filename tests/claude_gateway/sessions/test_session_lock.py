"""Locks of sessions: one holder, the order of waiters, and limits of waiting."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from claude_gateway.sessions.session_lock import SessionBusy, SessionLocks
from tests.workers.helpers import TIMEOUT_SECONDS, wait_until, with_timeout
from workers.core.errors import ErrorKind, WorkerError


class LockHolder:
    """A request that waits for a lock and holds it until `release` is set."""

    def __init__(self, locks: SessionLocks, key_id: str = "ann", name: str = "s") -> None:
        self.acquired = asyncio.Event()
        self.release = asyncio.Event()
        self.task = asyncio.create_task(self._hold(locks, key_id, name))

    async def _hold(self, locks: SessionLocks, key_id: str, name: str) -> None:
        async with locks.acquire(key_id, name):
            self.acquired.set()
            await self.release.wait()


@asynccontextmanager
async def run_holders(
    locks: SessionLocks, count: int, key_id: str = "ann", name: str = "s"
) -> AsyncIterator[list[LockHolder]]:
    """Start holders of one lock. The first one holds the lock while the others wait; all are cancelled at the end."""
    holders = [LockHolder(locks, key_id, name) for _ in range(count)]
    try:
        await with_timeout(holders[0].acquired.wait())
        yield holders
    finally:
        for holder in holders:
            holder.task.cancel()
        await asyncio.gather(*(holder.task for holder in holders), return_exceptions=True)


async def test_next_waiter_acquires_the_released_lock() -> None:
    locks = SessionLocks(max_waiting=10, timeout_seconds=TIMEOUT_SECONDS)
    async with run_holders(locks, 3) as (first, second, third):
        assert not second.acquired.is_set()
        first.release.set()
        await with_timeout(second.acquired.wait())
        assert not third.acquired.is_set()
        second.release.set()
        await with_timeout(third.acquired.wait())


async def test_other_sessions_and_other_keys_do_not_wait() -> None:
    locks = SessionLocks(max_waiting=0, timeout_seconds=TIMEOUT_SECONDS)
    async with run_holders(locks, 1), run_holders(locks, 1, name="other"), run_holders(locks, 1, key_id="bob"):
        pass


async def test_cancelled_waiter_blocks_no_other_request() -> None:
    locks = SessionLocks(max_waiting=10, timeout_seconds=TIMEOUT_SECONDS)
    async with run_holders(locks, 3) as (first, second, third):
        second.task.cancel()
        first.release.set()
        await with_timeout(third.acquired.wait())


async def test_waiter_times_out() -> None:
    locks = SessionLocks(max_waiting=10, timeout_seconds=0.01)
    async with run_holders(locks, 1) as (first,):
        with pytest.raises(SessionBusy):
            await with_timeout(LockHolder(locks).task)
        assert not first.task.done()


async def test_number_of_waiters_is_limited() -> None:
    locks = SessionLocks(max_waiting=100, timeout_seconds=TIMEOUT_SECONDS)
    async with run_holders(locks, 17) as holders:
        with pytest.raises(SessionBusy):
            await with_timeout(LockHolder(locks).task)
        assert not any(holder.task.done() for holder in holders)


async def test_waiters_of_a_key_are_limited_over_all_its_sessions() -> None:
    locks = SessionLocks(max_waiting=2, timeout_seconds=TIMEOUT_SECONDS)
    async with run_holders(locks, 2), run_holders(locks, 2, name="other"), run_holders(locks, 1, name="third"):
        with pytest.raises(SessionBusy):
            await with_timeout(LockHolder(locks, name="third").task)
        async with run_holders(locks, 2, key_id="bob"):
            pass


async def test_no_request_overtakes_a_waiter() -> None:
    locks = SessionLocks(max_waiting=1, timeout_seconds=TIMEOUT_SECONDS)
    async with locks.acquire("ann", "s"):
        second = LockHolder(locks)
        await wait_until(lambda: vars(locks)["_waiting_counts"]["ann"] == 1)
    # The second request has the lock, but its task has not run yet.
    with pytest.raises(SessionBusy):
        await locks.acquire("ann", "s").__aenter__()
    await with_timeout(second.acquired.wait())
    second.release.set()
    await with_timeout(second.task)


async def test_forgets_locks_without_holder_and_waiters() -> None:
    locks = SessionLocks(max_waiting=1, timeout_seconds=0.01)
    async with run_holders(locks, 1):
        for _ in range(3):
            with pytest.raises(SessionBusy):
                await with_timeout(LockHolder(locks).task)
    assert vars(locks)["_locks"] == {}
    async with run_holders(locks, 1):
        pass
    await wait_until(lambda: not vars(locks)["_locks"])


async def test_shutdown_rejects_waiters_immediately_and_keeps_holders() -> None:
    locks = SessionLocks(max_waiting=10, timeout_seconds=TIMEOUT_SECONDS)
    async with run_holders(locks, 3) as (first, second, third):
        await wait_until(lambda: vars(locks)["_waiting_counts"]["ann"] == 2)
        locks.reject_waiters(7)
        for waiting in (second, third, LockHolder(locks)):
            with pytest.raises(WorkerError) as caught:
                await with_timeout(waiting.task)
            assert (caught.value.kind, caught.value.retry_after) == (ErrorKind.SHUTTING_DOWN, 7)
        assert not first.task.done()
        async with locks.acquire("ann", "another"):
            pass
    assert vars(locks)["_active_timeouts"] == set()
