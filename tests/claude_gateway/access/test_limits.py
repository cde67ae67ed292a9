"""A limit is exact: so many at once, then one more at an even pace, and what a caller is told of it is true."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claude_gateway.access.keys import Key, Rates
from claude_gateway.access.limits import ANYBODY, Bucket, Buckets, Caller, Limits, Standing
from claude_gateway.errors import ApiError
from tests.claude_gateway.conftest import Clock

PER_MINUTE = {"chat": 10, "general": 30}
KEY = Key("one")
STORED = Key("5f0c2a91b7de")
# Of a machine that has just booted, and of others: the loop's clock is a float, which is coarser the larger it is.
MINUTE, YEAR = 60.0, 365 * 86_400.0
UPTIMES = [0.0, 5 * MINUTE, YEAR, 100 * YEAR]


async def counted(limits: Limits, key: Key = KEY, group: str = "chat", caller: Caller = ANYBODY) -> Standing:
    standing = await limits.count_key(key, group, caller)
    assert standing is not None
    return standing


async def full(limit: int, most_promises: int = 1_000) -> Bucket:
    """A bucket whose whole minute is spent."""
    bucket = Bucket(limit, most_promises)
    for _ in range(limit):
        await bucket.take()
    return bucket


async def test_so_many_are_let_in_at_once_each_told_how_many_are_left(clock: Clock) -> None:
    limits = Limits(PER_MINUTE)

    standings = [await counted(limits) for _ in range(12)]

    assert [one.remaining for one in standings] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0, 0]
    assert [one.retry is None for one in standings] == [True] * 10 + [False] * 2
    assert {one.limit for one in standings} == {10}
    assert standings[0].reset == 6.0
    assert standings[-1].reset == 60.0


@pytest.mark.parametrize("uptime", UPTIMES)
@pytest.mark.parametrize("limit", [1, 3, 7, 10, 60, 1_000])
async def test_a_caller_that_comes_back_when_it_was_told_to_is_let_in_and_not_before(
    clock: Clock, limit: int, uptime: float
) -> None:
    clock.now = uptime + 0.123456789
    bucket, retrying = await full(limit), Caller(1, is_retry=True)

    for _ in range(5):
        retry = (await bucket.take(retrying)).retry
        assert retry == pytest.approx(60 / limit, abs=2e-5)
        clock.now += retry - 0.001
        early = (await bucket.take(retrying)).retry
        assert early == pytest.approx(0.001, abs=2e-5)
        clock.now += early
        assert (await bucket.take(retrying)).retry is None


async def test_a_refusal_is_a_429_with_the_true_seconds(clock: Clock) -> None:
    limits = Limits({"chat": 1})
    await counted(limits)
    clock.now += 12.5

    with pytest.raises(ApiError) as raised:
        (await counted(limits)).check()

    error = raised.value
    assert (error.status, error.type, error.code) == (429, "rate_limit_exceeded", "too_many_requests")
    assert (error.retry_after, error.extra) == (48, {"retry_after": 48})
    assert error.message.startswith("Rate limit exceeded. Try again in 48 seconds. ")


@pytest.mark.parametrize(
    ("key", "group", "told"),
    [
        (KEY, "chat", ["This key", "1 requests a minute in the group chat", "raise RATE_LIMIT_CHAT_PER_MINUTE."]),
        (STORED, "chat", ["claude-gateway keys limit 5f0c2a91b7de --per-minute chat=N", "RATE_LIMIT_CHAT_PER_MINUTE"]),
        (KEY, "general", ["in the group general", "raise RATE_LIMIT_PER_MINUTE."]),
        (None, "health", ["This address without a key", "raise RATE_LIMIT_HEALTH_PER_MINUTE."]),
    ],
)
async def test_a_refusal_says_which_limit_it_was_and_how_to_raise_it(
    clock: Clock, key: Key | None, group: str, told: list[str]
) -> None:
    limits = Limits({group: 1})

    for _ in range(2):
        counting = limits.count_key(key, group) if key else limits.count_address("203.0.113.9", group)
        standing = await counting

    assert standing is not None
    with pytest.raises(ApiError) as raised:
        standing.check()
    assert all(words in raised.value.message for words in told)


async def test_those_refused_together_are_each_told_a_time_of_their_own_and_let_in_then(clock: Clock) -> None:
    limits = Limits(PER_MINUTE)
    at_once = [await counted(limits) for _ in range(14)]

    told = [one.retry for one in at_once if one.retry is not None]

    assert told == pytest.approx([6, 12, 18, 24])
    began = clock.now
    for retry in told:
        clock.now = began + math.ceil(retry)
        assert (await counted(limits)).retry is None


async def test_a_caller_that_was_promised_a_time_is_let_in_before_newcomers(clock: Clock) -> None:
    bucket, early, late = await full(10), Caller(1), Caller(2)
    promised = (await bucket.take(early)).retry
    assert promised == pytest.approx(6)

    clock.now += promised - 0.5
    before = (await bucket.take(late)).retry
    clock.now += 0.5
    at_that_moment = (await bucket.take(Caller(3))).retry

    # Neither just before the promised moment nor at it is there room for a newcomer.
    assert before == pytest.approx(6.5)
    assert at_that_moment == pytest.approx(12)
    assert (await bucket.take(early)).retry is None


async def test_a_promise_that_nobody_takes_up_is_forgotten_and_holds_up_nobody(clock: Clock) -> None:
    limits = Limits(PER_MINUTE)
    for _ in range(14):
        await counted(limits, caller=Caller(1))

    clock.now += 60

    standings = [await counted(limits, caller=Caller(2)) for _ in range(11)]
    assert [one.retry is None for one in standings] == [True] * 10 + [False]


async def test_a_retry_that_comes_too_early_keeps_its_place(clock: Clock) -> None:
    bucket, retrying = await full(10), Caller(1, is_retry=True)
    first = (await bucket.take(retrying)).retry

    clock.now += 1

    assert first == pytest.approx(6)
    assert [(await bucket.take(retrying)).retry for _ in range(50)] == pytest.approx([5] * 50)
    assert (await bucket.take(Caller(2))).retry == pytest.approx(11)


@pytest.mark.parametrize("limit", [1, 10, 1_000])
async def test_a_caller_that_does_not_wait_takes_bounded_room_and_leaves_some_to_others(
    clock: Clock, limit: int
) -> None:
    bucket, most = await full(limit, 100), min(2 * limit, 100)
    for _ in range(1_000):
        await bucket.take(Caller(1))

    assert bucket.promised == max(1, most // 2)
    for number in range(1_000):
        await bucket.take(Caller(number))
    assert bucket.promised == most


@given(
    uptime=st.sampled_from(UPTIMES) | st.floats(0, 100 * YEAR),
    limit=st.integers(1, 1_000),
    waits=st.lists(st.floats(0, 90) | st.sampled_from([0.0, 6.0, 60.0, 1 / 3]), max_size=30),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_at_any_uptime_no_more_are_let_in_than_the_limit_allows_and_none_is_lost(
    clock: Clock, uptime: float, limit: int, waits: list[float]
) -> None:
    clock.now = uptime
    bucket, part, sure = Bucket(limit), 60 / limit, 1e-4
    level = passed = 0.0
    for number, wait in enumerate(waits):
        clock.now += wait
        level, passed = max(0.0, level - (clock.now - uptime - passed)), clock.now - uptime
        had_promises = bucket.promised

        standing = await bucket.take(Caller(number))

        if level + part > 60 + sure:
            assert standing.retry is not None
        elif level + part <= 60 - sure and not had_promises:
            assert standing.retry is None
        level += part if standing.retry is None else 0
        assert standing.reset == pytest.approx(level, abs=sure)


async def test_a_refused_request_costs_nothing(clock: Clock) -> None:
    limits = Limits({"chat": 1})
    await counted(limits)

    resets = [(await counted(limits)).reset for _ in range(50)]

    assert set(resets) == {60.0}


@pytest.mark.parametrize("uptime", UPTIMES)
@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.3333333, 0.7])
async def test_after_a_quiet_while_all_are_to_be_had_again(clock: Clock, uptime: float, fraction: float) -> None:
    clock.now = uptime + fraction
    limits = Limits(PER_MINUTE)
    for _ in range(10):
        await counted(limits)

    clock.now += 60

    assert (await counted(limits)).remaining == 9


async def test_keys_and_groups_and_addresses_are_counted_apart(clock: Clock) -> None:
    limits = Limits({"chat": 1, "general": 1})
    await counted(limits)

    for standing in (
        await counted(limits, group="general"),
        await counted(limits, Key("another")),
        await limits.count_address("one", "chat"),
    ):
        assert standing is not None
        standing.check()
    with pytest.raises(ApiError):
        (await counted(limits)).check()


async def test_a_key_s_own_limit_goes_before_the_setting_in_its_group_alone() -> None:
    limits = Limits(PER_MINUTE)
    key = Key("one", rates=Rates({"chat": 500}))

    assert (await counted(limits, key)).limit == 500
    assert (await counted(limits, key, "general")).limit == 30


async def test_switched_off_nobody_is_counted() -> None:
    limits = Limits({})

    assert await limits.count_key(Key("one", rates=Rates({"chat": 1})), "chat") is None
    assert await limits.count_address("203.0.113.9", "chat") is None


async def test_addresses_by_the_million_take_no_more_room_than_some() -> None:
    buckets = Buckets(most=100)
    first = buckets.of("10.0.0.1", "general", 1)
    for number in range(1_000):
        buckets.of(f"2001:db8::{number:x}", "general", 1)
        assert buckets.of("10.0.0.1", "general", 1) is first  # who is still there is still counted

    assert len(buckets) == 100


async def test_a_bucket_that_nobody_uses_any_more_is_given_back(clock: Clock) -> None:
    buckets = Buckets()
    for number in range(1_000):
        buckets.of(f"2001:db8::{number:x}", "general", 1)
    clock.now += 500
    for _ in range(1_000):
        buckets.of("10.0.0.1", "general", 1)

    assert len(buckets) == 1
