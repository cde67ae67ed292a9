"""What a stream has sent so far: kept in packed pages, so that anybody may follow it, from any event on.

Followers read a page at a time. Those who are at the same page share it, and a page that nobody reads takes no more
than its packed bytes. A follower who does not read holds one page.
"""

import asyncio
import struct
import zlib
from bisect import bisect_right
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from weakref import WeakValueDictionary

Sent = tuple[str, str]

# A page ends with the event that brings it to this length, in characters.
_PAGE = 64 * 1024
# Before the pages of a packed log, each of which has its number of events and of bytes before it. Older logs are one
# stream of zlib's, which begins otherwise.
_MARK = b"pages\n"
_HEAD = struct.Struct(">II")
_READ_BYTES = 64 * 1024


@dataclass(frozen=True, eq=False)
class _Page:
    events: Sequence[Sent]


class EventLog:
    """Server-sent events in their order, each with its name and its data; their numbers are their places."""

    def __init__(self, events: Sequence[Sent] = (), *, is_whole: bool = False) -> None:
        # Of each page the number behind its last event, and its bytes.
        self._ends: list[int] = []
        self._pages: list[bytes] = []
        self._unpacked: WeakValueDictionary[int, _Page] = WeakValueDictionary()
        # What no page has yet.
        self._tail: list[Sent] = []
        self._tail_length = 0
        self._is_whole = is_whole
        self._more = asyncio.Event()
        self._append(events)

    def __len__(self) -> int:
        return self._paged + len(self._tail)

    @property
    def packed_bytes(self) -> int:
        """What its pages take in memory while nobody follows it."""
        return sum(map(len, self._pages))

    def add(self, events: Sequence[Sent], *, last: bool = False) -> None:
        """`last`: nothing comes behind them."""
        self._append(events)
        self._is_whole = last
        self._more.set()
        self._more = asyncio.Event()

    async def follow(self, after: int = -1) -> AsyncGenerator[Sequence[Sent], None]:
        """Those behind number `after`, as they come, a page at a time, until the last."""
        place = after + 1
        while True:
            more = self._more
            if place < len(self):
                # Held while its events are sent, so that others who come to it share it.
                page, start = self._page_of(place)
                new = page.events[start:]
                place += len(new)
                yield new
                del page, new
            elif self._is_whole:
                return
            else:
                await more.wait()

    def pack(self, more: Sequence[Sent] = ()) -> bytes:
        """As it is stored once `more` is added."""
        starts = [0, *self._ends]
        pages = [(end - start, page) for start, end, page in zip(starts, self._ends, self._pages, strict=False)]
        if last := [*self._tail, *more]:
            pages.append((len(last), _packed(last)))
        return _MARK + b"".join(_HEAD.pack(count, len(page)) + page for count, page in pages)

    @classmethod
    def unpack(cls, packed: bytes) -> "EventLog":
        """Raises `ValueError` for what is no packed log."""
        log = cls(is_whole=True)
        try:
            if packed.startswith(_MARK):
                for count, page in _split(packed):
                    log._ends.append(log._paged + count)
                    log._pages.append(page)
            else:
                for line in _lines_of(packed):
                    log._append([_event(line)])
        except (zlib.error, struct.error, IndexError) as error:
            raise ValueError(f"no packed log: {error}") from error
        return log

    @property
    def _paged(self) -> int:
        """How many events the pages have."""
        return self._ends[-1] if self._ends else 0

    def _append(self, events: Sequence[Sent]) -> None:
        for event in events:
            self._tail.append(event)
            self._tail_length += len(event[1])
            if self._tail_length >= _PAGE:
                self._ends.append(self._paged + len(self._tail))
                self._pages.append(_packed(self._tail))
                self._tail, self._tail_length = [], 0

    def _page_of(self, place: int) -> tuple[_Page, int]:
        """The page that has the event at this place, and the place within it."""
        if place >= self._paged:
            return _Page(self._tail), place - self._paged
        number = bisect_right(self._ends, place)
        page = self._unpacked.get(number)
        if page is None:
            lines = zlib.decompress(self._pages[number]).decode().split("\n")
            page = self._unpacked[number] = _Page([_event(line) for line in lines])
        return page, place - (self._ends[number - 1] if number else 0)


def _packed(events: Sequence[Sent]) -> bytes:
    return zlib.compress("\n".join(data for _, data in events).encode(), 1)


def _event(line: str) -> Sent:
    """The name of each is what its data begins with, its `type`."""
    return line.split('"', 4)[3], line


def _split(packed: bytes) -> Iterator[tuple[int, bytes]]:
    at = len(_MARK)
    while at < len(packed):
        count, size = _HEAD.unpack_from(packed, at)
        at += _HEAD.size
        if size > len(packed) - at:
            raise IndexError("it ends within a page")
        yield count, packed[at : at + size]
        at += size


def _lines_of(packed: bytes) -> Iterator[str]:
    """The lines of a log that is packed as one stream; never more of it is held than a page or a line."""
    stream, rest, line = zlib.decompressobj(), packed, b""
    while not stream.eof:
        read = stream.decompress(rest, _READ_BYTES)
        rest = stream.unconsumed_tail
        if not read and not rest:
            break
        *whole, line = (line + read).split(b"\n")
        yield from (one.decode() for one in whole if one)
    if line:
        yield line.decode()
