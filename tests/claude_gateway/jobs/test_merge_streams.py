"""Merging of event streams: complete, in order, and every stream is closed however the merged one ends."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.jobs.merge_streams import IndexedEvent, merge_streams
from workers.core.events import EventStream, TextDelta

Step = str | Exception | asyncio.Event


class Streams:
    """Scripted streams; `closed_count` counts those that ended or were closed early."""

    def __init__(self, *scripts: list[Step]) -> None:
        self.closed_count = 0
        self.all = [self._play(steps) for steps in scripts]

    async def _play(self, steps: list[Step]) -> EventStream:
        try:
            for step in steps:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, asyncio.Event):
                    await step.wait()
                else:
                    yield [TextDelta(step)]
        finally:
            self.closed_count += 1


async def read_merged(streams: Streams) -> list[IndexedEvent]:
    async with asyncio.timeout(10):
        return [indexed_event async for batch in merge_streams(streams.all) for indexed_event in batch]


@given(st.lists(st.lists(st.text(max_size=2), max_size=20), min_size=1, max_size=8))
def test_each_stream_arrives_complete_and_in_order_under_its_number(scripts: list[list[str]]) -> None:
    streams = Streams(*scripts)  # type: ignore[arg-type]
    merged = asyncio.run(read_merged(streams))

    for index, script in enumerate(scripts):
        assert [event for number, event in merged if number == index] == [TextDelta(text) for text in script]
    assert len(merged) == sum(map(len, scripts))
    assert streams.closed_count == len(scripts)


async def test_waiting_stream_does_not_block_the_others() -> None:
    waiting = asyncio.Event()
    events = merge_streams(Streams([waiting, "slow"], ["a", "b"]).all)

    async with asyncio.timeout(10):
        assert [await anext(events), await anext(events)] == [[(1, TextDelta("a"))], [(1, TextDelta("b"))]]
        waiting.set()
        assert [event async for event in events] == [[(0, TextDelta("slow"))]]


async def test_first_failure_fails_the_merged_stream_and_closes_the_others() -> None:
    streams = Streams([asyncio.Event()], ["a", ValueError("it failed")], [asyncio.Event()])

    with pytest.raises(ValueError, match="it failed"):
        await read_merged(streams)

    assert streams.closed_count == 3


async def test_disconnected_reader_closes_all_streams() -> None:
    streams = Streams(["a", asyncio.Event()], [asyncio.Event()], ["b"] * 50)
    events = merge_streams(streams.all)
    async with asyncio.timeout(10):
        await anext(events)

        await events.aclose()

    assert streams.closed_count == 3


async def test_no_stream_runs_far_ahead_of_its_reader() -> None:
    produced = 0

    async def eager() -> EventStream:
        nonlocal produced
        while True:
            produced += 1
            yield [TextDelta("x")]

    events = merge_streams([eager(), eager()])
    async with asyncio.timeout(10):
        for _ in range(10):
            await anext(events)
    await events.aclose()

    assert produced <= 20
