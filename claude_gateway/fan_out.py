"""Several streams of events as one."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from workers.events import Event

Numbered = tuple[int, Event]


async def side_by_side(streams: Sequence[AsyncGenerator[Event, None]]) -> AsyncGenerator[Numbered, None]:
    """The events of all, as they come, each with the number of its stream. The first that fails fails the whole;
    however it ends, every stream is closed."""
    # No stream runs further ahead of the reader than that.
    queue: asyncio.Queue[Numbered | Exception | None] = asyncio.Queue(len(streams))
    tasks = [asyncio.create_task(_pass_on(index, stream, queue)) for index, stream in enumerate(streams)]
    running = len(tasks)
    try:
        while running:
            match await queue.get():
                case None:
                    running -= 1
                case Exception() as error:
                    raise error
                case numbered:
                    yield numbered
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pass_on(
    index: int, stream: AsyncGenerator[Event, None], queue: asyncio.Queue[Numbered | Exception | None]
) -> None:
    try:
        async with aclosing(stream) as events:
            async for event in events:
                await queue.put((index, event))
    except Exception as error:
        await queue.put(error)
    else:
        await queue.put(None)
