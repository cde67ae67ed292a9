"""The log of a stream: whole from any event on, a page at a time, and one copy for all who follow it."""

import random
import zlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import orjson
import pytest

from claude_gateway.responses.event_log import EventLog, Sent

PAGE = 64 * 1024


def event(number: int, length: int = 0) -> Sent:
    data = {"type": f"kind.{number % 3}", "sequence_number": number, "text": "é" * length}
    return data["type"], orjson.dumps(data).decode()  # type: ignore[return-value]


def many(count: int, seed: int = 7) -> list[Sent]:
    """Most of them small, some larger than a page."""
    dice = random.Random(seed)
    return [event(number, dice.choice([0, 10, 500, 3_000, 90_000])) for number in range(count)]


async def whole(log: EventLog, after: int = -1) -> list[Sent]:
    return [one async for events in log.follow(after) for one in events]


async def first(following: AsyncGenerator[Sequence[Sent], None]) -> Sequence[Sent]:
    return await anext(following)


@pytest.mark.parametrize("count", [1, 50, 400])
async def test_it_is_followed_from_any_event_on_as_it_is_and_as_it_was_stored(count: int) -> None:
    events = many(count)
    log = EventLog(events[: count // 2])
    packed = log.pack(events[count // 2 :])
    log.add(events[count // 2 :], last=True)
    for one in (log, EventLog.unpack(packed)):
        assert len(one) == count
        for after in (-1, *range(0, count, 7)):
            assert await whole(one, after) == events[after + 1 :]


async def test_a_log_that_an_older_version_stored_is_followed_too() -> None:
    events = many(200)
    packed = zlib.compress("\n".join(data for _, data in events).encode(), 1)

    assert await whole(EventLog.unpack(packed), 42) == events[43:]


async def test_what_comes_while_it_is_followed_is_followed() -> None:
    events = many(100)
    log = EventLog(events[:1])
    async with aclosing(log.follow()) as following:
        seen = list(await first(following))
        for number in range(1, 100):
            log.add([events[number]], last=number == 99)
            seen += await first(following)

    assert seen == events


@pytest.mark.promise("responses.bounded")
async def test_a_follower_holds_one_page_and_those_at_one_page_share_it() -> None:
    log = EventLog.unpack(EventLog(many(2_000)).pack())
    followers = [log.follow() for _ in range(30)]
    pages = [await first(follower) for follower in followers]

    assert {id(data) for page in pages for _, data in page} == {id(data) for _, data in pages[0]}
    assert sum(len(data) for _, data in pages[0][:-1]) < PAGE
    assert len(log._unpacked) == 1


async def test_a_page_that_nobody_reads_is_given_back() -> None:
    events = many(300)
    log = EventLog.unpack(EventLog(events).pack())
    async with aclosing(log.follow()) as following:
        async for _ in following:
            assert len(log._unpacked) <= 1

    assert len(log._unpacked) == 0
    assert log.packed_bytes < sum(len(data) for _, data in events) / 4


async def test_what_is_no_log_is_said_to_be_none() -> None:
    packed = EventLog(many(60)).pack()
    older = zlib.compress(b'{"type":"a","b":1}', 1)
    for spoilt in (packed[:20], packed[:-7], older[:5] + b"\0\0\0\0" + older[9:], b"nothing", b'pages\n{"type"'):
        with pytest.raises(ValueError, match="no packed log"):
            EventLog.unpack(spoilt)
