"""Merges several streams of events into one stream."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from workers.core.events import Event

IndexedEvent = tuple[int, Event]


async def merge_streams(streams: Sequence[AsyncGenerator[Event, None]]) -> AsyncGenerator[IndexedEvent, None]:
    """Yield the events of all streams as they arrive, each with the index of its stream.

    If one stream fails, the function ends the others. It closes every stream, however the merged stream ends. If there
    is only one stream, the function does not read ahead, so that the source of the stream knows at which event the
    reader stops.
    """
    if len(streams) == 1:
        async with aclosing(streams[0]) as events:
            async for event in events:
                yield 0, event
        return
    # The bounded queue limits how far the streams run ahead of the reader.
    queue: asyncio.Queue[IndexedEvent | Exception | None] = asyncio.Queue(len(streams))
    tasks = [asyncio.create_task(_forward_events(index, stream, queue)) for index, stream in enumerate(streams)]
    running = len(tasks)
    try:
        while running:
            match await queue.get():
                case None:
                    running -= 1
                case Exception() as error:
                    raise error
                case indexed_event:
                    yield indexed_event
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _forward_events(
    index: int, stream: AsyncGenerator[Event, None], queue: asyncio.Queue[IndexedEvent | Exception | None]
) -> None:
    try:
        async with aclosing(stream) as events:
            async for event in events:
                await queue.put((index, event))
    except Exception as error:
        await queue.put(error)
    else:
        await queue.put(None)
