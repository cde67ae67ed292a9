"""Functions that start, continue, end and interrupt streamed responses."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol, TypeVar

from aiohttp import HttpVersion11, web
from aiohttp_sse import EventSourceResponse

from claude_gateway.core import errors
from claude_gateway.core.errors import ApiError
from claude_gateway.web.streaming.framing import (
    MAX_CHUNK_CHARS,
    Framing,
    StreamMessage,
    encode_frame,
    encode_in_chunks,
)
from claude_gateway.web.streaming.heartbeats import Heartbeats
from workers.core.errors import WorkerError

_log = logging.getLogger(__name__)

# The gateway sends the messages of an event one by one if they are longer than this in total. Several messages of one
# event may each repeat the instructions and tools of the request.
_MAX_BATCH_CHARS = 256 * 1024

_SEND_TIMEOUT_SECONDS = 120
# The interval in which aiohttp-sse would send SSE comments. Not every framing allows these comments, but the library
# cannot disable them. The interval is ten years, so that the library sends none.
_LIBRARY_PING_SECONDS = 10 * 365 * 24 * 3_600.0
# The gateway writes fewer bytes than this without a timeout if the buffer of the connection is empty, because the bytes
# then fit into the buffer. A stream has thousands of writes, and each timeout takes time.
_MAX_UNTIMED_WRITE_BYTES = 16_384
# The pauses before and after an error that interrupts a stream. Google's clients must receive the error separately,
# because they drop data that arrives together with the end of an interrupted connection.
_ERROR_DELAY_SECONDS = 0.1
_ERROR_LINGER_SECONDS = 0.5


# The type of an encoder's input: an event, or an event together with the number of its choice.
EventT = TypeVar("EventT")
EventT_contra = TypeVar("EventT_contra", contravariant=True)


class StreamEncoder(Protocol[EventT_contra]):
    """Interface of an encoder that converts events to the messages of a dialect."""

    def feed(self, event: EventT_contra, /) -> Sequence[StreamMessage]:
        """Return the messages for one event."""
        ...

    def fail(self, error: ApiError) -> Sequence[StreamMessage]:
        """Return the last messages of a stream that ends with an error."""
        ...


@dataclass(frozen=True, slots=True)
class StreamTiming:
    """Time limits of a stream.

    Attributes:
        head_seconds: The longest time that the gateway waits for the first event before it sends the head of the
            response.
        heartbeat_interval_seconds: The interval in which the gateway sends heartbeats, to keep an idle stream open.
    """

    head_seconds: float
    heartbeat_interval_seconds: float


async def send_stream(
    request: web.Request,
    batches: AsyncGenerator[Sequence[EventT], None],
    encoder: StreamEncoder[EventT],
    timing: StreamTiming,
    headers: Mapping[str, str],
    framing: Framing,
) -> web.StreamResponse:
    """Send the events as a streamed response.

    If an error occurs after the gateway has sent the head of the response, the error becomes the last message of the
    stream. If the client should retry after the error, the gateway closes the connection instead.

    Args:
        request: The request.
        batches: The events to send. The gateway sends the events of a batch with one write.
        encoder: Converts the events to messages of the dialect.
        timing: The time limits.
        headers: The headers of the response.
        framing: The format of the messages in the stream.

    Raises:
        ApiError: Only before the head of the response, so that the response can have the status of the error.
        WorkerError: Only before the head of the response.
    """
    async with aclosing(batches):
        first = asyncio.create_task(_next_batch(batches))
        try:
            await asyncio.wait({first}, timeout=timing.head_seconds)
            if first.done():
                first.result()
            response = _SseResponse(request, headers, framing)
            await response.prepare(request)
            try:
                async with response, Heartbeats(response.send_heartbeat, timing.heartbeat_interval_seconds):
                    await response.send_raw(framing.opening)
                    if await _send_all(response, first, batches, encoder):
                        await response.send_last(framing.closing)
                    else:
                        response.interrupt()
            except TimeoutError:
                response.abort()
        finally:
            await _cancel_and_wait(first)
    return response


class _SseResponse(EventSourceResponse):
    """Streamed response, based on aiohttp-sse, with the framing and the heartbeats of a dialect."""

    def __init__(self, request: web.Request, headers: Mapping[str, str], framing: Framing) -> None:
        super().__init__(
            headers=headers,
            allow_all_methods=True,
            ping_interval=_LIBRARY_PING_SECONDS,
            send_timeout=_SEND_TIMEOUT_SECONDS,
        )
        self.headers["Content-Type"] = framing.content_type
        self.headers["Cache-Control"] = "no-cache, no-transform"
        self.framing = framing
        self._answered_request = request
        # True while the gateway sends a long text. It must not send a heartbeat between the chunks of the text.
        self._is_sending_chunks = False

    async def send_raw(self, text: str) -> None:
        """Send a text that is already in the format of the stream."""
        if len(text) > MAX_CHUNK_CHARS:
            await self._send_in_chunks(text)
        elif text:
            data = encode_frame(text)
            if len(data) < _MAX_UNTIMED_WRITE_BYTES and self._is_buffer_empty():
                await self.write(data)
                return
            async with asyncio.timeout(_SEND_TIMEOUT_SECONDS):
                await self.write(data)

    async def _send_in_chunks(self, text: str) -> None:
        """Send a long text in chunks.

        If the client does not read, the connection then holds one encoded chunk in memory, not the whole text.
        """
        self._is_sending_chunks = True
        try:
            for chunk in encode_in_chunks(text):
                async with asyncio.timeout(_SEND_TIMEOUT_SECONDS):
                    await self.write(chunk)
        finally:
            self._is_sending_chunks = False

    async def send_last(self, text: str) -> None:
        """Send the last text together with the end of the body, in one write."""
        if len(text) < _MAX_UNTIMED_WRITE_BYTES // 4 and self._is_buffer_empty():  # a character has up to 4 bytes
            await self.write_eof(encode_frame(text))
            return
        async with asyncio.timeout(_SEND_TIMEOUT_SECONDS):
            await self.write_eof(encode_frame(text))

    @property
    def can_interrupt(self) -> bool:
        """Whether the client can distinguish an interruption from the end of the body.

        In HTTP/1.0 it cannot, because the gateway closes the connection in both cases.
        """
        return self._answered_request.version >= HttpVersion11

    def interrupt(self) -> None:
        """Send the data that the gateway has already written, and then close the connection.

        The client does not receive the chunk that marks the end of the body.
        """
        if (transport := self._answered_request.transport) is not None:
            transport.close()

    def abort(self) -> None:
        """Abort the connection without a further write, because a write blocks if the client does not read."""
        if (transport := self._answered_request.transport) is not None:
            transport.abort()

    def _is_buffer_empty(self) -> bool:
        transport = self._answered_request.transport
        return transport is not None and transport.get_write_buffer_size() == 0

    async def send_heartbeat(self) -> None:
        """Send one heartbeat, unless the gateway is sending the chunks of a long text."""
        if self._is_sending_chunks:
            return
        try:
            await self.send_raw(self.framing.heartbeat)
        except TimeoutError:
            self.abort()
        except (ConnectionError, RuntimeError):
            pass  # the client has disconnected, or the body is complete


async def _send_all(
    response: _SseResponse,
    first: asyncio.Task[Sequence[EventT] | None],
    batches: AsyncGenerator[Sequence[EventT], None],
    encoder: StreamEncoder[EventT],
) -> bool:
    """Send all events of a stream. Return False if the gateway must interrupt the connection."""
    try:
        if (batch := await first) is not None:
            await _send_batch(response, batch, encoder)
            async for next_batch in batches:
                await _send_batch(response, next_batch, encoder)
    except WorkerError as error:
        return await _send_error(response, encoder, errors.from_worker_error(error))
    except ApiError as error:
        return await _send_error(response, encoder, error)
    except (ConnectionError, TimeoutError):
        raise  # the client has disconnected, or does not read
    except Exception:
        # The gateway has already sent the head of the response. If it sent a second response, the client would wait
        # forever.
        _log.exception("a stream failed")
        return await _send_error(response, encoder, errors.internal_error())
    return True


async def _send_error(response: _SseResponse, encoder: StreamEncoder[EventT], error: ApiError) -> bool:
    """Send an error as the end of a stream. Return False if the gateway must interrupt the connection."""
    messages = encoder.fail(error)
    last = response.framing.frame_interruption(messages) if error.interrupts_stream and response.can_interrupt else None
    if last is None:
        await _send_messages(response, messages)
        return True
    if last:
        await asyncio.sleep(_ERROR_DELAY_SECONDS)
        await response.send_raw(last)
        await asyncio.sleep(_ERROR_LINGER_SECONDS)
    return False


async def _send_batch(response: _SseResponse, batch: Sequence[EventT], encoder: StreamEncoder[EventT]) -> None:
    """Send the messages for the events of a batch. If an event is an error, send the messages before it first."""
    messages: list[StreamMessage] = []
    try:
        for event in batch:
            messages += encoder.feed(event)
    finally:
        await _send_messages(response, messages)


async def _send_messages(response: _SseResponse, messages: Sequence[StreamMessage]) -> None:
    """Send messages in one write, because the writes take half of the time that a stream needs.

    If the messages are long, send each of them separately.
    """
    if sum(len(data) for _, data in messages) > _MAX_BATCH_CHARS:
        for message in messages:
            await response.send_raw(response.framing.frame([message]))
    elif messages:
        await response.send_raw(response.framing.frame(messages))


async def _next_batch(batches: AsyncGenerator[Sequence[EventT], None]) -> Sequence[EventT] | None:
    return await anext(batches, None)


async def _cancel_and_wait(task: asyncio.Task[Sequence[EventT] | None]) -> None:
    """Cancel the task that reads the first event, and wait for its end.

    The calling code cannot close the generator of the events while the task reads from it.
    """
    if not task.done():
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, WorkerError):
            await task
    elif not task.cancelled():
        task.exception()  # retrieves the error, so that asyncio does not log it: the client has disconnected
