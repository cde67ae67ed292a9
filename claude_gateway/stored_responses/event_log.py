"""Log of the events in a response stream. Clients can follow the stream from any event on.

The log keeps its events in compressed pages, which are groups of consecutive events. A follower is a client that
receives the events. A follower reads one page at a time. Followers that read the same page use the same decompressed
copy, and the log frees the copy when no follower reads the page. So if a client stops reading, the gateway keeps only
one page in memory for this client.
"""

import asyncio
import struct
import zlib
from bisect import bisect_right
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from weakref import WeakValueDictionary

StreamMessage = tuple[str, str]

# A page is complete when the data of its events has at least this many characters.
_PAGE_CHARS = 64 * 1024
# The stored form of a log begins with these bytes, and the pages follow. Before each page, there is a header with the
# number of events and the number of bytes in the page. In an older format, a log is a single zlib stream, which begins
# with other bytes.
_FORMAT_MARKER = b"pages\n"
_PAGE_HEADER = struct.Struct(">II")
_READ_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, eq=False)
class _Page:
    events: Sequence[StreamMessage]


class EventLog:
    """Log of server-sent events in the order of the stream. The number of the first event is 0.

    Args:
        events: Name and data of each event with which the log begins.
        is_complete: Whether the log already contains the last event of the stream.
    """

    def __init__(self, events: Sequence[StreamMessage] = (), *, is_complete: bool = False) -> None:
        # `_page_ends` contains, for each page, the number of the event that follows the page. `_pages` contains the
        # compressed bytes of each page.
        self._page_ends: list[int] = []
        self._pages: list[bytes] = []
        self._unpacked_pages: WeakValueDictionary[int, _Page] = WeakValueDictionary()
        # The newest events, which are not in a page yet.
        self._tail: list[StreamMessage] = []
        self._tail_chars = 0
        self._is_complete = is_complete
        self._events_added = asyncio.Event()
        self._append(events)

    def __len__(self) -> int:
        return self._paged_event_count + len(self._tail)

    @property
    def packed_bytes(self) -> int:
        """Count of bytes that the compressed pages use in memory."""
        return sum(map(len, self._pages))

    def add(self, events: Sequence[StreamMessage], *, is_last: bool = False) -> None:
        """Add events to the log, and wake the followers that wait for new events.

        Args:
            events: Name and data of each event.
            is_last: Whether these events include the last event of the stream.
        """
        self._append(events)
        self._is_complete = is_last
        self._events_added.set()
        self._events_added = asyncio.Event()

    async def follow(self, after: int = -1) -> AsyncGenerator[Sequence[StreamMessage], None]:
        """Yield the events after the event with the number `after`, one page at a time.

        At the end of the log, the method waits for new events until the log is complete.
        """
        index = after + 1
        while True:
            events_added = self._events_added
            if index < len(self):
                # This variable keeps the page in memory while the events are sent, so that other followers can share
                # the page.
                page, start = self._find_page(index)
                events = page.events[start:]
                index += len(events)
                yield events
                del page, events
            elif self._is_complete:
                return
            else:
                await events_added.wait()

    def pack(self, additional_events: Sequence[StreamMessage] = ()) -> bytes:
        """Return the log as bytes for the database, with `additional_events` after the events in the log."""
        starts = [0, *self._page_ends]
        pages = [(end - start, page) for start, end, page in zip(starts, self._page_ends, self._pages, strict=False)]
        if last_events := [*self._tail, *additional_events]:
            pages.append((len(last_events), _pack_page(last_events)))
        return _FORMAT_MARKER + b"".join(_PAGE_HEADER.pack(count, len(page)) + page for count, page in pages)

    @classmethod
    def unpack(cls, packed: bytes) -> "EventLog":
        """Create a log from the bytes that `pack` has returned.

        Raises:
            ValueError: The bytes are not a stored log.
        """
        log = cls(is_complete=True)
        try:
            if packed.startswith(_FORMAT_MARKER):
                for count, page in _split_pages(packed):
                    log._page_ends.append(log._paged_event_count + count)
                    log._pages.append(page)
            else:
                for line in _decompress_lines(packed):
                    log._append([_parse_event(line)])
        except (zlib.error, struct.error, IndexError) as error:
            raise ValueError(f"not a packed log: {error}") from error
        return log

    @property
    def _paged_event_count(self) -> int:
        """Count of the events that are in pages."""
        return self._page_ends[-1] if self._page_ends else 0

    def _append(self, events: Sequence[StreamMessage]) -> None:
        for event in events:
            self._tail.append(event)
            self._tail_chars += len(event[1])
            if self._tail_chars >= _PAGE_CHARS:
                self._page_ends.append(self._paged_event_count + len(self._tail))
                self._pages.append(_pack_page(self._tail))
                self._tail, self._tail_chars = [], 0

    def _find_page(self, index: int) -> tuple[_Page, int]:
        """Return the page that contains the event with the number `index`, and the event's position in the page."""
        if index >= self._paged_event_count:
            return _Page(self._tail), index - self._paged_event_count
        number = bisect_right(self._page_ends, index)
        page = self._unpacked_pages.get(number)
        if page is None:
            lines = zlib.decompress(self._pages[number]).decode().split("\n")
            page = self._unpacked_pages[number] = _Page([_parse_event(line) for line in lines])
        return page, index - (self._page_ends[number - 1] if number else 0)


def _pack_page(events: Sequence[StreamMessage]) -> bytes:
    return zlib.compress("\n".join(data for _, data in events).encode(), 1)


def _parse_event(line: str) -> StreamMessage:
    """Return the name and the data of the event whose data is the JSON text `line`.

    The name is the value of the field `type`, which is the first field in the data.
    """
    return line.split('"', 4)[3], line


def _split_pages(packed: bytes) -> Iterator[tuple[int, bytes]]:
    offset = len(_FORMAT_MARKER)
    while offset < len(packed):
        count, size = _PAGE_HEADER.unpack_from(packed, offset)
        offset += _PAGE_HEADER.size
        if size > len(packed) - offset:
            raise IndexError("the last page is incomplete")
        yield count, packed[offset : offset + size]
        offset += size


def _decompress_lines(packed: bytes) -> Iterator[str]:
    """Decompress a log in the older format, which is a single zlib stream, and yield the lines of the log.

    At most one decompressed chunk and one line are in memory at the same time.
    """
    stream, rest, line = zlib.decompressobj(), packed, b""
    while not stream.eof:
        chunk = stream.decompress(rest, _READ_CHUNK_BYTES)
        rest = stream.unconsumed_tail
        if not chunk and not rest:
            break
        *complete_lines, line = (line + chunk).split(b"\n")
        yield from (complete_line.decode() for complete_line in complete_lines if complete_line)
    if line:
        yield line.decode()
