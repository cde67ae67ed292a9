"""Rate limits are exact: a burst of `limit` requests, then an even rate; reported numbers are correct."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claude_gateway.auth.models import ApiKey, KeyLimits
from claude_gateway.auth.rate_limit import (
    NO_FINGERPRINT,
    LeakyBucket,
    LeakyBucketCache,
    RateLimiter,
    RateLimitState,
    RequestFingerprint,
)
from claude_gateway.core.errors import ApiError
from tests.claude_gateway.manual_clock import ManualClock

PER_MINUTE = {"chat": 10, "general": 30}
KEY = ApiKey("one")
STORED = ApiKey("5f0c2a91b7de")
# Seconds since boot. The clock of the event loop is a float, which becomes less precise the longer the machine runs.
MINUTE, YEAR = 60.0, 365 * 86_400.0
UPTIMES = [0.0, 5 * MINUTE, YEAR, 100 * YEAR]


async def count(
    limiter: RateLimiter, key: ApiKey = KEY, group: str = "chat", fingerprint: RequestFingerprint = NO_FINGERPRINT
) -> RateLimitState:
    state = await limiter.count_key(key, group, fingerprint)
    assert state is not None
    return state


async def spent_bucket(limit: int, max_reservations: int = 1_000) -> LeakyBucket:
    """A bucket whose whole minute is spent."""
    bucket = LeakyBucket(limit, max_reservations)
    for _ in range(limit):
        await bucket.take()
    return bucket


async def test_admits_up_to_the_limit_and_reports_the_remaining_count(clock: ManualClock) -> None:
    limiter = RateLimiter(PER_MINUTE)

    states = [await count(limiter) for _ in range(12)]

    assert [state.remaining for state in states] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0, 0]
    assert [state.retry_after_seconds is None for state in states] == [True] * 10 + [False] * 2
    assert {state.limit for state in states} == {10}
    assert states[0].reset_seconds == 6.0
    assert states[-1].reset_seconds == 60.0


@pytest.mark.parametrize("uptime", UPTIMES)
@pytest.mark.parametrize("limit", [1, 3, 7, 10, 60, 1_000])
async def test_admits_client_exactly_at_its_retry_time(clock: ManualClock, limit: int, uptime: float) -> None:
    clock.now = uptime + 0.123456789
    bucket, retrying = await spent_bucket(limit), RequestFingerprint(1, is_retry=True)

    for _ in range(5):
        retry = (await bucket.take(retrying)).retry_after_seconds
        assert retry == pytest.approx(60 / limit, abs=2e-5)
        clock.now += retry - 0.001
        early = (await bucket.take(retrying)).retry_after_seconds
        assert early == pytest.approx(0.001, abs=2e-5)
        clock.now += early
        assert (await bucket.take(retrying)).retry_after_seconds is None


async def test_rejection_has_status_429_and_exact_retry_seconds(clock: ManualClock) -> None:
    limiter = RateLimiter({"chat": 1})
    await count(limiter)
    clock.now += 12.5

    with pytest.raises(ApiError) as raised:
        (await count(limiter)).check_allowed()

    error = raised.value
    assert (error.status, error.type, error.code) == (429, "rate_limit_exceeded", "too_many_requests")
    assert (error.retry_after, error.extra) == (48, {"retry_after": 48})
    assert error.message.startswith("Rate limit exceeded. Try again in 48 seconds. ")


@pytest.mark.parametrize(
    ("key", "group", "expected_words"),
    [
        (KEY, "chat", ["This key", "1 requests a minute in the group chat", "raise RATE_LIMIT_CHAT_PER_MINUTE."]),
        (
            STORED,
            "chat",
            ["claude-gateway keys update 5f0c2a91b7de --requests-per-minute chat=N", "RATE_LIMIT_CHAT_PER_MINUTE"],
        ),
        (KEY, "general", ["in the group general", "raise RATE_LIMIT_PER_MINUTE."]),
        (None, "health", ["This address without a key", "raise RATE_LIMIT_HEALTH_PER_MINUTE."]),
    ],
)
async def test_rejection_names_the_limit_and_how_to_raise_it(
    clock: ManualClock, key: ApiKey | None, group: str, expected_words: list[str]
) -> None:
    limiter = RateLimiter({group: 1})

    for _ in range(2):
        counting = limiter.count_key(key, group) if key else limiter.count_address("203.0.113.9", group)
        state = await counting

    assert state is not None
    with pytest.raises(ApiError) as raised:
        state.check_allowed()
    assert all(words in raised.value.message for words in expected_words)


async def test_concurrent_rejections_get_separate_retry_times_and_are_admitted_then(clock: ManualClock) -> None:
    limiter = RateLimiter(PER_MINUTE)
    at_once = [await count(limiter) for _ in range(14)]

    retry_times = [state.retry_after_seconds for state in at_once if state.retry_after_seconds is not None]

    assert retry_times == pytest.approx([6, 12, 18, 24])
    started_at = clock.now
    for retry_after in retry_times:
        clock.now = started_at + math.ceil(retry_after)
        assert (await count(limiter)).retry_after_seconds is None


async def test_reserved_retry_is_admitted_before_new_requests(clock: ManualClock) -> None:
    bucket, early, late = await spent_bucket(10), RequestFingerprint(1), RequestFingerprint(2)
    retry_after = (await bucket.take(early)).retry_after_seconds
    assert retry_after == pytest.approx(6)

    clock.now += retry_after - 0.5
    before = (await bucket.take(late)).retry_after_seconds
    clock.now += 0.5
    at_that_moment = (await bucket.take(RequestFingerprint(3))).retry_after_seconds

    # A new request is rejected both just before the reserved time and at it.
    assert before == pytest.approx(6.5)
    assert at_that_moment == pytest.approx(12)
    assert (await bucket.take(early)).retry_after_seconds is None


async def test_unused_reservation_expires_and_frees_its_capacity(clock: ManualClock) -> None:
    limiter = RateLimiter(PER_MINUTE)
    for _ in range(14):
        await count(limiter, fingerprint=RequestFingerprint(1))

    clock.now += 60

    states = [await count(limiter, fingerprint=RequestFingerprint(2)) for _ in range(11)]
    assert [state.retry_after_seconds is None for state in states] == [True] * 10 + [False]


async def test_early_retry_keeps_its_reservation(clock: ManualClock) -> None:
    bucket, retrying = await spent_bucket(10), RequestFingerprint(1, is_retry=True)
    first = (await bucket.take(retrying)).retry_after_seconds

    clock.now += 1

    assert first == pytest.approx(6)
    assert [(await bucket.take(retrying)).retry_after_seconds for _ in range(50)] == pytest.approx([5] * 50)
    assert (await bucket.take(RequestFingerprint(2))).retry_after_seconds == pytest.approx(11)


@pytest.mark.parametrize("limit", [1, 10, 1_000])
async def test_client_that_retries_too_often_holds_limited_reservations(clock: ManualClock, limit: int) -> None:
    bucket, max_reservations = await spent_bucket(limit, 100), min(2 * limit, 100)
    for _ in range(1_000):
        await bucket.take(RequestFingerprint(1))

    assert bucket.reservation_count == max(1, max_reservations // 2)
    for number in range(1_000):
        await bucket.take(RequestFingerprint(number))
    assert bucket.reservation_count == max_reservations


@given(
    uptime=st.sampled_from(UPTIMES) | st.floats(0, 100 * YEAR),
    limit=st.integers(1, 1_000),
    waits=st.lists(st.floats(0, 90) | st.sampled_from([0.0, 6.0, 60.0, 1 / 3]), max_size=30),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_admits_exactly_the_limit_at_any_uptime(
    clock: ManualClock, uptime: float, limit: int, waits: list[float]
) -> None:
    clock.now = uptime
    bucket, request_seconds, tolerance = LeakyBucket(limit), 60 / limit, 1e-4
    level = passed = 0.0
    for number, wait in enumerate(waits):
        clock.now += wait
        level, passed = max(0.0, level - (clock.now - uptime - passed)), clock.now - uptime
        had_reservations = bucket.reservation_count

        state = await bucket.take(RequestFingerprint(number))

        if level + request_seconds > 60 + tolerance:
            assert state.retry_after_seconds is not None
        elif level + request_seconds <= 60 - tolerance and not had_reservations:
            assert state.retry_after_seconds is None
        level += request_seconds if state.retry_after_seconds is None else 0
        assert state.reset_seconds == pytest.approx(level, abs=tolerance)


async def test_rejected_request_costs_nothing(clock: ManualClock) -> None:
    limiter = RateLimiter({"chat": 1})
    await count(limiter)

    resets = [(await count(limiter)).reset_seconds for _ in range(50)]

    assert set(resets) == {60.0}


@pytest.mark.parametrize("uptime", UPTIMES)
@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.3333333, 0.7])
async def test_full_limit_is_available_again_after_a_minute(clock: ManualClock, uptime: float, fraction: float) -> None:
    clock.now = uptime + fraction
    limiter = RateLimiter(PER_MINUTE)
    for _ in range(10):
        await count(limiter)

    clock.now += 60

    assert (await count(limiter)).remaining == 9


async def test_counts_keys_groups_and_addresses_separately(clock: ManualClock) -> None:
    limiter = RateLimiter({"chat": 1, "general": 1})
    await count(limiter)

    for state in (
        await count(limiter, group="general"),
        await count(limiter, ApiKey("another")),
        await limiter.count_address("one", "chat"),
    ):
        assert state is not None
        state.check_allowed()
    with pytest.raises(ApiError):
        (await count(limiter)).check_allowed()


async def test_key_limit_overrides_the_setting_in_its_group_only() -> None:
    limiter = RateLimiter(PER_MINUTE)
    key = ApiKey("one", limits=KeyLimits({"chat": 500}))

    assert (await count(limiter, key)).limit == 500
    assert (await count(limiter, key, "general")).limit == 30


async def test_disabled_limiter_counts_nothing() -> None:
    limiter = RateLimiter({})

    assert await limiter.count_key(ApiKey("one", limits=KeyLimits({"chat": 1})), "chat") is None
    assert await limiter.count_address("203.0.113.9", "chat") is None


async def test_millions_of_addresses_use_bounded_memory() -> None:
    buckets = LeakyBucketCache(max_buckets=100)
    first = buckets.get("10.0.0.1", "general", 1)
    for number in range(1_000):
        buckets.get(f"2001:db8::{number:x}", "general", 1)
        assert buckets.get("10.0.0.1", "general", 1) is first  # a bucket in use is not evicted

    assert len(buckets) == 100


async def test_forgets_unused_buckets(clock: ManualClock) -> None:
    buckets = LeakyBucketCache()
    for number in range(1_000):
        buckets.get(f"2001:db8::{number:x}", "general", 1)
    clock.now += 500
    for _ in range(1_000):
        buckets.get("10.0.0.1", "general", 1)

    assert len(buckets) == 1
