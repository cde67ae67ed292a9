"""Events as server-sent events: when the head goes out, what keeps a silent stream alive, how it ends."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol, TypeVar

from aiohttp import web
from aiohttp_sse import EventSourceResponse

from claude_gateway import errors
from claude_gateway.errors import ApiError
from workers.errors import WorkerError

_log = logging.getLogger(__name__)

_STALLED_READER_SECONDS = 120

# The name of a server-sent event, where its dialect gives one, and its data.
Sent = tuple[str | None, str]


# An event, or one with the number of its choice.
Fed = TypeVar("Fed")
Fed_contra = TypeVar("Fed_contra", contravariant=True)


class Encoder(Protocol[Fed_contra]):
    """Events to the server-sent events of a dialect; `fail` is how a stream ends that cannot be finished."""

    def feed(self, event: Fed_contra, /) -> Sequence[Sent]: ...
    def fail(self, error: ApiError) -> Sequence[Sent]: ...


@dataclass(frozen=True, slots=True)
class Pace:
    """`head`: how long to wait for the first event before committing to status 200. `heartbeat`: seconds
    between comments. Both in seconds."""

    head: float
    heartbeat: float


async def send_stream(
    request: web.Request,
    events: AsyncGenerator[Fed, None],
    encoder: Encoder[Fed],
    pace: Pace,
    headers: Mapping[str, str],
) -> web.StreamResponse:
    """Answer with a stream. An error before the head raises, and so gets a status of its own; a later one
    is the last event of the stream, with nothing behind it."""
    async with aclosing(events):
        first = asyncio.create_task(_next(events))
        try:
            await asyncio.wait({first}, timeout=pace.head)
            if first.done():
                first.result()
            response = _response(pace, headers)
            await response.prepare(request)
            try:
                async with response:
                    await _send_all(response, first, events, encoder)
            except TimeoutError:
                # Who does not read will not read a polite end either; waiting to send it would wait for ever.
                if request.transport is not None:
                    request.transport.abort()
        finally:
            await _abandon(first)
    return response


def _response(pace: Pace, headers: Mapping[str, str]) -> EventSourceResponse:
    response = EventSourceResponse(
        headers=headers,
        sep="\n",  # some clients split on "\n\n" alone
        allow_all_methods=True,
        ping_interval=pace.heartbeat,
        send_timeout=_STALLED_READER_SECONDS,
    )
    response.headers["Cache-Control"] = "no-cache, no-transform"
    return response


async def _send_all(
    response: EventSourceResponse,
    first: asyncio.Task[Fed | None],
    events: AsyncGenerator[Fed, None],
    encoder: Encoder[Fed],
) -> None:
    try:
        event = await first
        while event is not None:
            await _send(response, encoder.feed(event))
            event = await _next(events)
    except WorkerError as error:
        await _send(response, encoder.fail(errors.from_worker(error)))
    except ApiError as error:
        await _send(response, encoder.fail(error))
    except (ConnectionError, TimeoutError):
        raise  # nobody reads any more
    except Exception:
        # The head is out: a second answer behind it would leave the reader waiting for ever.
        _log.exception("a stream failed")
        await _send(response, encoder.fail(errors.internal()))


async def _send(response: EventSourceResponse, messages: Sequence[Sent]) -> None:
    """All that one event became in one write: half a stream's cost is its writes. Data is JSON, of one line each."""
    if not messages:
        return
    lines = [f"event: {name}\ndata: {data}\n\n" if name else f"data: {data}\n\n" for name, data in messages]
    async with asyncio.timeout(_STALLED_READER_SECONDS):
        await response.write("".join(lines).encode())


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
