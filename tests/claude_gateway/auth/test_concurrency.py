"""Limit on concurrent jobs, and the retry times of rejected jobs."""

import pytest

from claude_gateway.auth.concurrency import ConcurrencyLimiter
from workers.core.errors import ErrorKind, WorkerError


def rejected_retry_after(limiter: ConcurrencyLimiter, key_id: str = "one") -> float:
    with pytest.raises(WorkerError) as raised, limiter.acquire(key_id):
        pass
    assert raised.value.kind is ErrorKind.CONCURRENCY_LIMIT
    assert raised.value.retry_after is not None
    return raised.value.retry_after


def test_rejects_job_over_the_limit_until_another_job_ends() -> None:
    limiter = ConcurrencyLimiter(lambda _: 2)

    with limiter.acquire("one"):
        with pytest.raises(ZeroDivisionError), limiter.acquire("one"), limiter.acquire("another"):
            1 / (rejected_retry_after(limiter) > 1_000)
        with limiter.acquire("one"):
            rejected_retry_after(limiter)


def test_never_rejects_without_a_limit() -> None:
    limiter = ConcurrencyLimiter(lambda key_id: None if key_id == "free" else 1)

    with limiter.acquire("free"), limiter.acquire("free"), limiter.acquire("one"):
        rejected_retry_after(limiter)


def test_estimates_wait_from_recent_job_durations() -> None:
    now = 0.0
    limiter = ConcurrencyLimiter(lambda _: 1, lambda: now)
    for _ in range(100):  # each takes twenty seconds
        with limiter.acquire("one"):
            now += 20

    with limiter.acquire("one"):
        now += 5
        assert rejected_retry_after(limiter) == 15
        now += 100
        assert rejected_retry_after(limiter) == 1


def test_concurrent_rejections_get_different_retry_times() -> None:
    now = 100.0
    limiter = ConcurrencyLimiter(lambda _: 2, lambda: now)
    with limiter.acquire("one"):
        now += 2
        with limiter.acquire("one"):
            # Without a finished job, the limiter assumes five seconds: the jobs end at 105 and 107.
            assert [rejected_retry_after(limiter) for _ in range(4)] == [3, 6, 9, 12]
            now += 13
            assert rejected_retry_after(limiter) == 1


def test_rejection_names_the_limit_and_how_to_raise_it() -> None:
    limiter = ConcurrencyLimiter(lambda _: 1)

    for key_id, words in (
        ("5f0c2a91b7de", "keys update 5f0c2a91b7de --max-concurrent-jobs N"),
        ("environment", "MAX_CONCURRENT_JOBS_PER_KEY"),
    ):
        with limiter.acquire(key_id), pytest.raises(WorkerError, match=words), limiter.acquire(key_id):
            pass


def test_lowered_limit_applies_to_waiters_in_order() -> None:
    limit = 3
    limiter = ConcurrencyLimiter(lambda _: limit)

    with limiter.acquire("one") as first, limiter.acquire("one") as second, limiter.acquire("one") as third:
        limit = 2
        first()
        second()
        with pytest.raises(WorkerError) as raised:
            third()
    assert raised.value.kind is ErrorKind.CONCURRENCY_LIMIT
