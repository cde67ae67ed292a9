"""Events as a stream: when the head goes out, what keeps a silent stream alive, how it ends."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol, TypeVar

from aiohttp import HttpVersion11, web
from aiohttp_sse import EventSourceResponse

from claude_gateway import errors
from claude_gateway.errors import ApiError
from claude_gateway.web.framing import PIECE_CHARS, Framing, Sent, encode_frame, encode_in_pieces
from workers.errors import WorkerError

_log = logging.getLogger(__name__)

# A response repeats the instructions and tools of its request in several events.
_LONG_CHARS = 256 * 1024

_STALLED_READER_SECONDS = 120
# A piece of fewer bytes fits into the empty buffer of a connection, so that no clock is needed: a stream has thousands.
_NEVER_WAITS = 16_384
# How long before and behind an error that Google's programs must get in a piece of its own: what comes with a broken
# connection, they drop.
_APART_SECONDS = 0.1
_READ_SECONDS = 0.5


# An event, or one with the number of its choice.
Fed = TypeVar("Fed")
Fed_contra = TypeVar("Fed_contra", contravariant=True)


class Encoder(Protocol[Fed_contra]):
    """Events to the messages of a dialect; `fail` is how a stream ends that cannot be finished."""

    def feed(self, event: Fed_contra, /) -> Sequence[Sent]: ...
    def fail(self, error: ApiError) -> Sequence[Sent]: ...


@dataclass(frozen=True, slots=True)
class Pace:
    """`head`: how long to wait for the first event before committing to status 200. `heartbeat`: how often a
    stream is kept alive. Both in seconds."""

    head: float
    heartbeat: float


async def send_stream(
    request: web.Request,
    events: AsyncGenerator[Fed, None],
    encoder: Encoder[Fed],
    pace: Pace,
    headers: Mapping[str, str],
    framing: Framing,
) -> web.StreamResponse:
    """Answer with a stream. An error before the head raises, and so gets a status of its own. A later one is the last
    event of the stream, with nothing behind it, or breaks the connection off where another attempt may help."""
    async with aclosing(events):
        first = asyncio.create_task(_next(events))
        try:
            await asyncio.wait({first}, timeout=pace.head)
            if first.done():
                first.result()
            response = _Stream(pace, headers, framing)
            await response.prepare(request)
            try:
                async with response:
                    await response.send_raw(framing.opening)
                    if await _send_all(response, first, events, encoder):
                        await response.send_last(framing.closing)
                    else:
                        response.break_off()
            except TimeoutError:
                # Who does not read will not read a polite end either; waiting to send it would wait for ever.
                if request.transport is not None:
                    request.transport.abort()
        finally:
            await _abandon(first)
    return response


class _Stream(EventSourceResponse):
    """aiohttp-sse's own, in the framing of a dialect and with a heartbeat that its readers take."""

    def __init__(self, pace: Pace, headers: Mapping[str, str], framing: Framing) -> None:
        super().__init__(
            headers=headers,
            allow_all_methods=True,
            ping_interval=pace.heartbeat,
            send_timeout=_STALLED_READER_SECONDS,
        )
        self.headers["Content-Type"] = framing.content_type
        self.headers["Cache-Control"] = "no-cache, no-transform"
        self.framing = framing
        self._heartbeat_seconds = pace.heartbeat
        # A text is being sent that nothing may be put into.
        self._is_within = False

    async def send_raw(self, text: str) -> None:
        if len(text) > PIECE_CHARS:
            await self._send_in_pieces(text)
        elif text:
            data = encode_frame(text)
            if len(data) < _NEVER_WAITS and self._all_is_sent():
                await self.write(data)
                return
            async with asyncio.timeout(_STALLED_READER_SECONDS):
                await self.write(data)

    async def _send_in_pieces(self, text: str) -> None:
        """Send a long text so that a connection whose client does not read holds one piece and not the whole text."""
        self._is_within = True
        try:
            for piece in encode_in_pieces(text):
                async with asyncio.timeout(_STALLED_READER_SECONDS):
                    await self.write(piece)
        finally:
            self._is_within = False

    async def send_last(self, text: str) -> None:
        """The last piece and the end of the body in one write."""
        async with asyncio.timeout(_STALLED_READER_SECONDS):
            await self.write_eof(encode_frame(text))

    @property
    def can_break_off(self) -> bool:
        """Whether its reader can tell a broken connection from the end of the body: HTTP/1.0 knows no other end."""
        return self._req is not None and self._req.version >= HttpVersion11

    def break_off(self) -> None:
        """Close the connection behind what was sent, without the last chunk."""
        if self._req is not None and self._req.transport is not None:
            self._req.transport.close()

    def _all_is_sent(self) -> bool:
        transport = self._req.transport if self._req else None
        return transport is not None and transport.get_write_buffer_size() == 0

    async def _ping(self) -> None:
        """In place of the comments that aiohttp-sse sends to whomever it serves."""
        while True:
            await asyncio.sleep(self._heartbeat_seconds)
            if self._is_within:
                continue
            try:
                await self.send_raw(self.framing.heartbeat)
            except TimeoutError:
                self._abort_transport()
                return
            except (ConnectionError, RuntimeError):
                return  # who left, or has all


async def _send_all(
    response: _Stream,
    first: asyncio.Task[Fed | None],
    events: AsyncGenerator[Fed, None],
    encoder: Encoder[Fed],
) -> bool:
    """Return False where the connection is to be broken off."""
    try:
        event = await first
        while event is not None:
            await _send(response, encoder.feed(event))
            event = await _next(events)
    except WorkerError as error:
        return await _fail(response, encoder, errors.from_worker(error))
    except ApiError as error:
        return await _fail(response, encoder, error)
    except (ConnectionError, TimeoutError):
        raise  # nobody reads any more
    except Exception:
        # The head is out: a second answer behind it would leave the reader waiting for ever.
        _log.exception("a stream failed")
        return await _fail(response, encoder, errors.internal())
    return True


async def _fail(response: _Stream, encoder: Encoder[Fed], error: ApiError) -> bool:
    """Return False where the connection is to be broken off."""
    messages = encoder.fail(error)
    last = response.framing.before_break(messages) if error.breaks_off and response.can_break_off else None
    if last is None:
        await _send(response, messages)
        return True
    if last:
        await asyncio.sleep(_APART_SECONDS)
        await response.send_raw(last)
        await asyncio.sleep(_READ_SECONDS)
    return False


async def _send(response: _Stream, messages: Sequence[Sent]) -> None:
    """All that one event became in one write: half a stream's cost is its writes. Long messages go one by one."""
    if sum(len(data) for _, data in messages) > _LONG_CHARS:
        for message in messages:
            await response.send_raw(response.framing.frame([message]))
    elif messages:
        await response.send_raw(response.framing.frame(messages))


async def _next(events: AsyncGenerator[Fed, None]) -> Fed | None:
    return await anext(events, None)


async def _abandon(task: asyncio.Task[Fed | None]) -> None:
    """The generator must not be running when it is closed."""
    if not task.done():
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, WorkerError):
            await task
    elif not task.cancelled():
        task.exception()  # taken note of: nobody is left to be told
