"""A limit is exact: so many at once, then one more at an even pace, and what a caller is told of it is true."""

import pytest

from claude_gateway.access.keys import Key, Rates
from claude_gateway.access.limits import Buckets, Limits, Standing
from claude_gateway.errors import ApiError
from tests.claude_gateway.conftest import Clock

PER_MINUTE = {"chat": 10, "general": 30}
KEY = Key("one")


async def counted(limits: Limits, key: Key = KEY, group: str = "chat") -> Standing:
    standing = await limits.count_key(key, group)
    assert standing is not None
    return standing


async def test_so_many_are_let_in_at_once_each_told_how_many_are_left(clock: Clock) -> None:
    limits = Limits(PER_MINUTE)

    standings = [await counted(limits) for _ in range(12)]

    assert [one.remaining for one in standings] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0, 0]
    assert [one.retry is None for one in standings] == [True] * 10 + [False] * 2
    assert {one.limit for one in standings} == {10}
    assert standings[0].reset == 6.0
    assert standings[-1].reset == 60.0


@pytest.mark.parametrize("limit", [1, 3, 7, 10, 60, 1_000])
async def test_who_comes_back_when_he_was_told_to_is_let_in_and_not_before(clock: Clock, limit: int) -> None:
    limits = Limits({"chat": limit})
    for _ in range(limit):
        (await counted(limits)).check()

    for _ in range(5):
        retry = (await counted(limits)).retry
        assert retry is not None
        clock.now += retry - 0.001
        assert (await counted(limits)).retry is not None
        clock.now += 0.001 + 1e-9
        assert (await counted(limits)).retry is None


async def test_a_refusal_is_a_429_with_the_true_seconds(clock: Clock) -> None:
    limits = Limits({"chat": 1})
    await counted(limits)
    clock.now += 12.5

    with pytest.raises(ApiError) as raised:
        (await counted(limits)).check()

    error = raised.value
    assert (error.status, error.type, error.code) == (429, "rate_limit_exceeded", "too_many_requests")
    assert (error.retry_after, error.extra) == (48, {"retry_after": 48})
    assert error.message == "Rate limit exceeded. Try again in 48 seconds."


async def test_a_refused_request_costs_nothing(clock: Clock) -> None:
    limits = Limits({"chat": 1})
    await counted(limits)

    resets = [(await counted(limits)).reset for _ in range(50)]

    assert set(resets) == {60.0}


async def test_after_a_quiet_while_all_are_to_be_had_again(clock: Clock) -> None:
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
