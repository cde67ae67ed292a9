"""Several streams of events as one: nothing lost, nothing mixed up, and all of them closed however it ends."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.fan_out import Numbered, side_by_side
from workers.events import Event, TextDelta

Step = str | Exception | asyncio.Event


class Streams:
    """Streams of these steps; `closed` counts those that ended or were left."""

    def __init__(self, *scripts: list[Step]) -> None:
        self.closed = 0
        self.all = [self._play(steps) for steps in scripts]

    async def _play(self, steps: list[Step]) -> AsyncGenerator[Event, None]:
        try:
            for step in steps:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, asyncio.Event):
                    await step.wait()
                else:
                    yield TextDelta(step)
        finally:
            self.closed += 1


async def read(streams: Streams) -> list[Numbered]:
    async with asyncio.timeout(10):
        return [numbered async for numbered in side_by_side(streams.all)]


@given(st.lists(st.lists(st.text(max_size=2), max_size=20), min_size=1, max_size=8))
def test_each_stream_arrives_whole_in_its_order_under_its_number(scripts: list[list[str]]) -> None:
    streams = Streams(*scripts)  # type: ignore[arg-type]
    got = asyncio.run(read(streams))

    for index, script in enumerate(scripts):
        assert [event for number, event in got if number == index] == [TextDelta(text) for text in script]
    assert len(got) == sum(map(len, scripts))
    assert streams.closed == len(scripts)


async def test_a_stream_that_waits_holds_up_no_other() -> None:
    waiting = asyncio.Event()
    events = side_by_side(Streams([waiting, "slow"], ["a", "b"]).all)

    async with asyncio.timeout(10):
        assert [await anext(events), await anext(events)] == [(1, TextDelta("a")), (1, TextDelta("b"))]
        waiting.set()
        assert [event async for event in events] == [(0, TextDelta("slow"))]


async def test_the_first_failure_fails_the_whole_and_closes_the_others() -> None:
    streams = Streams([asyncio.Event()], ["a", ValueError("it failed")], [asyncio.Event()])

    with pytest.raises(ValueError, match="it failed"):
        await read(streams)

    assert streams.closed == 3


async def test_a_reader_who_leaves_closes_them_all() -> None:
    streams = Streams(["a", asyncio.Event()], [asyncio.Event()], ["b"] * 50)
    events = side_by_side(streams.all)
    async with asyncio.timeout(10):
        await anext(events)

        await events.aclose()

    assert streams.closed == 3


async def test_no_stream_runs_far_ahead_of_its_reader() -> None:
    produced = 0

    async def eager() -> AsyncGenerator[Event, None]:
        nonlocal produced
        while True:
            produced += 1
            yield TextDelta("x")

    events = side_by_side([eager(), eager()])
    async with asyncio.timeout(10):
        for _ in range(10):
            await anext(events)
    await events.aclose()

    assert produced <= 20
