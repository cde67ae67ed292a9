"""Helper for tests that read single events of a stream."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from workers.core.events import Event, EventStream


async def each_event(batches: EventStream) -> AsyncGenerator[Event, None]:
    """Yield the events of all batches, and check that no batch is empty."""
    async with aclosing(batches):
        async for batch in batches:
            assert batch
            for event in batch:
                yield event
