"""Merges several streams of events into one stream."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from workers.core.events import Event, EventStream

IndexedEvent = tuple[int, Event]


async def merge_streams(streams: Sequence[EventStream]) -> AsyncGenerator[Sequence[IndexedEvent], None]:
    """Yield the batches of all streams as they arrive, each event with the index of its stream.

    If one stream fails, the function ends the others. It closes every stream, however the merged stream ends. If there
    is only one stream, the function does not read ahead, so that the source of the stream knows at which event the
    reader stops.
    """
    if len(streams) == 1:
        async with aclosing(streams[0]) as batches:
            async for batch in batches:
                yield [(0, event) for event in batch]
        return
    # The bounded queue limits how far the streams run ahead of the reader.
    queue: asyncio.Queue[Sequence[IndexedEvent] | Exception | None] = asyncio.Queue(len(streams))
    tasks = [asyncio.create_task(_forward_batches(index, stream, queue)) for index, stream in enumerate(streams)]
    running = len(tasks)
    try:
        while running:
            match await queue.get():
                case None:
                    running -= 1
                case Exception() as error:
                    raise error
                case indexed_events:
                    yield indexed_events
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _forward_batches(
    index: int, stream: EventStream, queue: asyncio.Queue[Sequence[IndexedEvent] | Exception | None]
) -> None:
    try:
        async with aclosing(stream) as batches:
            async for batch in batches:
                await queue.put([(index, event) for event in batch])
    except Exception as error:
        await queue.put(error)
    else:
        await queue.put(None)
