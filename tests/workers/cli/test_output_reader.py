"""Reading of frames: which frames wake the reader, deadlines, errors and flow control."""

import asyncio
import json
from typing import Any

import pytest

from tests.workers.helpers import with_timeout
from workers.cli.frames import FrameDecoder, FrameError
from workers.cli.output_reader import OutputReader
from workers.core.frame import Frame


class FakePipe:
    """Records whether the reader has paused the pipe."""

    is_paused = False

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False


def encode(*frames: Frame) -> bytes:
    return b"".join(json.dumps(frame).encode() + b"\n" for frame in frames)


def can_wait(frame: Frame) -> bool:
    return "later" in frame


def now() -> float:
    return asyncio.get_running_loop().time()


async def start_read(reader: OutputReader, **options: Any) -> asyncio.Task[list[Frame]]:
    reading = asyncio.create_task(reader.read(**options))
    await asyncio.sleep(0)
    return reading


async def test_returns_all_frames_that_have_arrived() -> None:
    reader = OutputReader(FrameDecoder())
    reader.feed(encode({"n": 1}))
    reader.feed(encode({"n": 2}, {"n": 3}))

    assert await with_timeout(reader.read()) == [{"n": 1}, {"n": 2}, {"n": 3}]


async def test_returns_a_frame_that_arrives_during_the_read() -> None:
    reader = OutputReader(FrameDecoder())
    reading = await start_read(reader)
    first, second = encode({"n": 1})[:3], encode({"n": 1})[3:]
    reader.feed(first)
    await asyncio.sleep(0)
    assert not reading.done()
    reader.feed(second)

    assert await with_timeout(reading) == [{"n": 1}]


async def test_frames_that_can_wait_arrive_with_the_next_other_frame() -> None:
    reader = OutputReader(FrameDecoder())
    reading = await start_read(reader, can_wait=can_wait)
    reader.feed(encode({"later": 1}))
    reader.feed(encode({"later": 2}))
    await asyncio.sleep(0)
    assert not reading.done()
    reader.feed(encode({"later": 3}, {"n": 4}, {"later": 5}))

    assert await with_timeout(reading) == [{"later": 1}, {"later": 2}, {"later": 3}, {"n": 4}, {"later": 5}]


async def test_frames_that_can_wait_arrive_at_the_deadline() -> None:
    reader = OutputReader(FrameDecoder())
    reader.feed(encode({"later": 1}))

    assert await with_timeout(reader.read(now() + 0.02, can_wait)) == [{"later": 1}]


async def test_frames_that_can_wait_arrive_at_the_end_of_the_output() -> None:
    reader = OutputReader(FrameDecoder())
    reading = await start_read(reader, can_wait=can_wait)
    reader.feed(encode({"later": 1}))
    reader.feed_eof()

    assert await with_timeout(reading) == [{"later": 1}]
    assert await with_timeout(reader.read(can_wait=can_wait)) == []


async def test_many_frames_do_not_wait() -> None:
    reader = OutputReader(FrameDecoder())
    reading = await start_read(reader, can_wait=can_wait)
    for number in range(200):
        reader.feed(encode({"later": number}))

    assert len(await with_timeout(reading)) >= 100


async def test_frames_of_a_cancelled_read_belong_to_the_next_one() -> None:
    reader = OutputReader(FrameDecoder())
    reading = await start_read(reader, can_wait=can_wait)
    reader.feed(encode({"later": 1}))
    reading.cancel()
    await asyncio.wait([reading])

    assert await with_timeout(reader.read()) == [{"later": 1}]


async def test_raises_timeout_error_at_the_deadline_also_after_reads_with_later_deadlines() -> None:
    reader = OutputReader(FrameDecoder())
    reader.feed(encode({"n": 1}))
    reading = await start_read(reader, deadline=now() + 60)
    assert await with_timeout(reading) == [{"n": 1}]
    reading = await start_read(reader, deadline=now() + 60)
    reader.feed(encode({"n": 2}))
    assert await with_timeout(reading) == [{"n": 2}]

    started_at = now()
    with pytest.raises(TimeoutError):
        await with_timeout(reader.read(now() + 0.02))
    assert now() - started_at >= 0.018


async def test_a_read_outlasts_the_earlier_deadline_of_another_read() -> None:
    reader = OutputReader(FrameDecoder())
    reading = await start_read(reader, deadline=now() + 0.01)
    reader.feed(encode({"n": 1}))
    await with_timeout(reading)
    reading = await start_read(reader, deadline=now() + 60)
    await asyncio.sleep(0.03)
    assert not reading.done()
    reader.feed(encode({"n": 2}))

    assert await with_timeout(reading) == [{"n": 2}]


async def test_frames_before_invalid_output_arrive_before_the_error() -> None:
    reader = OutputReader(FrameDecoder())
    reader.feed(encode({"n": 1}))
    reader.feed(b"Segmentation fault\n")

    assert await with_timeout(reader.read()) == [{"n": 1}]
    with pytest.raises(FrameError):
        await with_timeout(reader.read())


async def test_invalid_output_wakes_a_reader_whose_frames_can_wait() -> None:
    reader = OutputReader(FrameDecoder())
    reading = await start_read(reader, can_wait=can_wait)
    reader.feed(b"Segmentation fault\n")

    with pytest.raises(FrameError):
        await with_timeout(reading)


async def test_pauses_the_pipe_while_much_output_is_unread() -> None:
    reader, pipe = OutputReader(FrameDecoder()), FakePipe()
    reader.attach_pipe(pipe)  # type: ignore[arg-type]
    frame = {"text": "x" * 100_000}
    for _ in range(6):
        reader.feed(encode(frame))
    assert pipe.is_paused

    assert await with_timeout(reader.read()) == [frame] * 6
    assert not pipe.is_paused


async def test_discards_output_until_its_end() -> None:
    reader, pipe = OutputReader(FrameDecoder()), FakePipe()
    reader.attach_pipe(pipe)  # type: ignore[arg-type]
    reader.feed(b"x" * 1_000_000)
    discarding = asyncio.create_task(reader.discard())
    await asyncio.sleep(0)
    assert not pipe.is_paused
    reader.feed(b"not JSON\n" * 100_000)
    assert not pipe.is_paused
    reader.feed_eof()

    await with_timeout(discarding)
