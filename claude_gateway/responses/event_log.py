"""What a stream has sent so far: kept, so that anybody may follow it, from any event on."""

import asyncio
import zlib
from collections.abc import AsyncGenerator, Sequence

Sent = tuple[str, str]


class EventLog:
    """Server-sent events in their order, each with its name and its data; their numbers are their places."""

    def __init__(self, events: Sequence[Sent] = (), *, is_whole: bool = False) -> None:
        self._events = list(events)
        self._is_whole = is_whole
        self._more = asyncio.Event()

    def __len__(self) -> int:
        return len(self._events)

    def add(self, events: Sequence[Sent], *, last: bool = False) -> None:
        """`last`: nothing comes behind them."""
        self._events += events
        self._is_whole = last
        self._more.set()
        self._more = asyncio.Event()

    async def follow(self, after: int = -1) -> AsyncGenerator[Sequence[Sent], None]:
        """Those behind number `after`, as they come, until the last."""
        place = after + 1
        while True:
            more = self._more
            if place < len(self._events):
                new = self._events[place:]
                place += len(new)
                yield new
            elif self._is_whole:
                return
            else:
                await more.wait()

    def pack(self, more: Sequence[Sent] = ()) -> bytes:
        """As it is stored once `more` is added."""
        return zlib.compress("\n".join(data for _, data in (*self._events, *more)).encode(), 1)

    @classmethod
    def unpack(cls, packed: bytes) -> "EventLog":
        """The name of each is what its data begins with, its `type`."""
        lines = zlib.decompress(packed).decode().split("\n")
        return cls([(line.split('"', 4)[3], line) for line in lines if line], is_whole=True)
