"""The event log of a stream: complete from any event on, read page by page, with one copy for all followers."""

import random
import zlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import orjson
import pytest

from claude_gateway.stored_responses.event_log import EventLog, StreamMessage

PAGE = 64 * 1024


def event(number: int, length: int = 0) -> StreamMessage:
    data = {"type": f"kind.{number % 3}", "sequence_number": number, "text": "é" * length}
    return data["type"], orjson.dumps(data).decode()  # type: ignore[return-value]


def create_events(count: int, seed: int = 7) -> list[StreamMessage]:
    """Create events, most of them small, some larger than a page."""
    rng = random.Random(seed)
    return [event(number, rng.choice([0, 10, 500, 3_000, 90_000])) for number in range(count)]


async def read_all(log: EventLog, after: int = -1) -> list[StreamMessage]:
    return [message async for events in log.follow(after) for message in events]


async def read_first(following: AsyncGenerator[Sequence[StreamMessage], None]) -> Sequence[StreamMessage]:
    return await anext(following)


@pytest.mark.parametrize("count", [1, 50, 400])
async def test_follower_reads_from_any_event_in_running_and_stored_log(count: int) -> None:
    events = create_events(count)
    log = EventLog(events[: count // 2])
    packed = log.pack(events[count // 2 :])
    log.add(events[count // 2 :], is_last=True)
    for event_log in (log, EventLog.unpack(packed)):
        assert len(event_log) == count
        for after in (-1, *range(0, count, 7)):
            assert await read_all(event_log, after) == events[after + 1 :]


async def test_follower_reads_log_of_an_older_version() -> None:
    events = create_events(200)
    packed = zlib.compress("\n".join(data for _, data in events).encode(), 1)

    assert await read_all(EventLog.unpack(packed), 42) == events[43:]


async def test_follower_receives_later_events() -> None:
    events = create_events(100)
    log = EventLog(events[:1])
    async with aclosing(log.follow()) as following:
        received = list(await read_first(following))
        for number in range(1, 100):
            log.add([events[number]], is_last=number == 99)
            received += await read_first(following)

    assert received == events


@pytest.mark.promise("responses.bounded")
async def test_follower_holds_one_page_and_followers_of_a_page_share_it() -> None:
    log = EventLog.unpack(EventLog(create_events(2_000)).pack())
    followers = [log.follow() for _ in range(30)]
    pages = [await read_first(follower) for follower in followers]

    assert {id(data) for page in pages for _, data in page} == {id(data) for _, data in pages[0]}
    assert sum(len(data) for _, data in pages[0][:-1]) < PAGE
    assert len(log._unpacked_pages) == 1


async def test_releases_page_without_followers() -> None:
    events = create_events(300)
    log = EventLog.unpack(EventLog(events).pack())
    async with aclosing(log.follow()) as following:
        async for _ in following:
            assert len(log._unpacked_pages) <= 1

    assert len(log._unpacked_pages) == 0
    assert log.packed_bytes < sum(len(data) for _, data in events) / 4


async def test_rejects_invalid_log() -> None:
    packed = EventLog(create_events(60)).pack()
    older = zlib.compress(b'{"type":"a","b":1}', 1)
    for invalid in (packed[:20], packed[:-7], older[:5] + b"\0\0\0\0" + older[9:], b"nothing", b'pages\n{"type"'):
        with pytest.raises(ValueError, match="not a packed log"):
            EventLog.unpack(invalid)
