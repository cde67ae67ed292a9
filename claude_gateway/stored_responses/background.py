"""Generate responses in the background, without an open connection to the client.

Clients can retrieve, follow and cancel a background response. To follow a response means to receive the events in the
stream of the response.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from claude_gateway.core import errors
from claude_gateway.core.errors import ApiError, bad_request
from claude_gateway.dialects.openai_responses.encode import StreamMessage, encode_events, encode_last_events
from claude_gateway.dialects.openai_responses.response_builder import ResponseBuilder, ResponseEvent
from claude_gateway.jobs import structured_output
from claude_gateway.jobs.service import ChatService
from claude_gateway.storage.readers import KeyedLocks
from claude_gateway.stored_responses.event_log import EventLog
from claude_gateway.stored_responses.service import PendingResponse, ResponseService, damaged_response_error
from workers.core.errors import ErrorKind, WorkerError, shutting_down
from workers.core.event_loop import loop_time

_log = logging.getLogger(__name__)

_BUSY_ERRORS = (ErrorKind.QUEUE_FULL, ErrorKind.QUEUE_TIMEOUT, ErrorKind.CONCURRENCY_LIMIT)
_BUSY_RETRY_SECONDS = 1.0
_RETRY_AFTER_SECONDS = 5
_MAX_FOLLOWERS_PER_RESPONSE = 2


class BackgroundRun:
    """A background response that the gateway is generating.

    Attributes:
        pending: Request that the response answers.
        builder: Builder of the response object and of the response's events.
        event_log: Log of the events in the stream of the response.
        queued_response: Response object at the start, with the status `queued`.
        stored: Future that is done when the database contains the queued response.
        task: Task that generates the response.
        stop_task: Task that cancels the response; None if no client has cancelled it.
        is_ending: Whether the gateway has begun to end the response and to store the result.
        ended: Event that is set when the final response is stored and its last events are in `event_log`.
    """

    def __init__(self, pending: PendingResponse, builder: ResponseBuilder) -> None:
        self.pending = pending
        self.builder = builder
        self.event_log = EventLog(encode_events(builder.mark_queued()))
        self.queued_response = builder.response
        self.stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.task: asyncio.Task[None] | None = None
        self.stop_task: asyncio.Task[None] | None = None
        self.is_ending = False
        self.ended = asyncio.Event()

    def add_end_callback(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the task that generates the response ends, or soon if the task has already ended."""
        assert self.task is not None
        self.task.add_done_callback(lambda _: callback())

    @property
    def is_finished(self) -> bool:
        """Whether the response has all its output. The database may not contain the final response yet."""
        return self.is_ending or self.builder.is_complete

    @property
    def identity(self) -> tuple[str, str]:
        """The id of the key to which the response belongs, and the id of the response."""
        return self.pending.key_id, self.queued_response["id"]


class BackgroundResponses:
    """Starts and cancels background responses, and lets clients follow them.

    Args:
        responses: Service that stores the responses.
        service: Service that runs the jobs.
        limit: Maximum count of background responses that one key may have at the same time.
        queue_timeout_seconds: Maximum time for which a response waits for a worker.
    """

    def __init__(
        self, responses: ResponseService, service: ChatService, limit: int, queue_timeout_seconds: float
    ) -> None:
        self._responses = responses
        self._service = service
        self._limit = limit
        self._queue_timeout_seconds = queue_timeout_seconds
        self._runs: dict[tuple[str, str], BackgroundRun] = {}
        self._followers: Counter[str] = Counter()
        # Event logs of stored responses, by response id. A log is in this dictionary only while clients follow it.
        self._stored_logs: WeakValueDictionary[str, EventLog] = WeakValueDictionary()
        self._load_locks = KeyedLocks()

    async def get_response(self, key_id: str, id_: str) -> dict[str, Any] | None:
        """Return the current response object of a background response that the gateway is generating.

        Returns:
            The response object; None if the gateway is not generating the response. If the response already has all its
            output, the method waits until the final response is in the database, and then returns None.
        """
        run = self._runs.get((key_id, id_))
        if run is not None and run.is_finished:
            await run.ended.wait()
            return None
        return run.builder.response if run else None

    async def follow(self, key_id: str, id_: str, after: int) -> AsyncGenerator[Sequence[StreamMessage], None]:
        """Return an iterator that yields the events of a response after the event with the number `after`.

        Raises:
            ApiError: The key has no such response (status 404), the response has no stream, or the stream has no event
                with this number (status 400).
        """
        if (run := self._runs.get((key_id, id_))) is not None:
            log: EventLog | None = run.event_log
        else:
            log = await self._load_stored_log(key_id, id_)
        if log is None:
            return _build_failed_log(await self._responses.get_response(key_id, id_), after).follow()
        if after >= len(log):
            raise bad_request("starting_after", f"must be less than {len(log)}, the count of events so far")
        return log.follow(after)

    @contextmanager
    def acquire_follower_slot(self, key_id: str) -> Iterator[None]:
        """Count a client as a follower of a response stream during the `with` block.

        The gateway limits the number of clients that follow streams at the same time, because it keeps a part of an
        event log in memory for each of these clients.

        Raises:
            ApiError: The key has too many followers (status 429).
        """
        max_followers = _MAX_FOLLOWERS_PER_RESPONSE * max(1, self._limit)
        if self._followers[key_id] >= max_followers:
            raise ApiError(
                429,
                "rate_limit_exceeded",
                f"This key already follows {max_followers} response streams, the maximum "
                "(twice MAX_BACKGROUND_RESPONSES_PER_KEY). Close one of them first.",
                code="too_many_response_streams",
                retry_after=_RETRY_AFTER_SECONDS,
            )
        self._followers[key_id] += 1
        try:
            yield
        finally:
            self._followers[key_id] -= 1
            if not self._followers[key_id]:
                del self._followers[key_id]

    async def _load_stored_log(self, key_id: str, id_: str) -> EventLog | None:
        """Return the event log of a stored response. All clients that follow the response use the same log object.

        Returns:
            The log; None if the database contains no log of the response.

        Raises:
            ApiError: The key has no such response (status 404).
        """
        async with self._load_locks.acquire(id_):
            log = self._stored_logs.get(id_)
            if log is not None:
                await self._responses.require_exists(key_id, id_)
                return log
            packed = await self._responses.load_packed_log(key_id, id_)
            if packed is None:
                return None
            try:
                log = await asyncio.to_thread(EventLog.unpack, packed)
            except ValueError as error:
                raise damaged_response_error(id_, error) from None
            self._stored_logs[id_] = log
            return log

    async def start(self, pending: PendingResponse, builder: ResponseBuilder) -> BackgroundRun:
        """Start a background response, and wait until the queued response is stored.

        Raises:
            ApiError: The key has too many background responses (status 429).
        """
        if sum(key_id == pending.key_id for key_id, _ in self._runs) >= self._limit:
            raise ApiError(
                429,
                "rate_limit_exceeded",
                f"This key already has {self._limit} responses in the background, the maximum "
                "(MAX_BACKGROUND_RESPONSES_PER_KEY). Wait for one of them or cancel it.",
                code="too_many_background_responses",
                retry_after=_RETRY_AFTER_SECONDS,
            )
        run = BackgroundRun(pending, builder)
        self._runs[run.identity] = run
        run.task = asyncio.create_task(self._run(run))
        # The gateway generates the response even if the client disconnects during this wait.
        await asyncio.shield(run.stored)
        return run

    async def cancel(self, key_id: str, id_: str) -> None:
        """Cancel a background response and wait until it has ended. Do nothing if the response has already ended."""
        if (run := self._runs.get((key_id, id_))) is not None:
            if run.stop_task is None and not run.is_finished:
                run.stop_task = asyncio.create_task(self._stop(run, run.builder.cancel))
            await run.ended.wait()  # the stop task continues if this wait is cancelled

    async def wait_idle(self) -> None:
        """Wait until all background responses that the gateway is generating have ended."""
        for run in list(self._runs.values()):
            await run.ended.wait()

    async def close(self) -> None:
        """End all background responses with an error, because the gateway is shutting down."""
        error = errors.from_worker_error(shutting_down())
        for run in list(self._runs.values()):
            await self._stop(run, partial(run.builder.fail, error))

    async def _run(self, run: BackgroundRun) -> None:
        try:
            await self._responses.store_response(run.pending, run.builder)
        except Exception as error:
            del self._runs[run.identity]
            run.stored.set_exception(error)
            return
        run.stored.set_result(None)
        await self._generate(run)

    async def _generate(self, run: BackgroundRun) -> None:
        try:
            last_events = await self._stream_events(run)
        except WorkerError as error:
            last_events = run.builder.fail(errors.from_worker_error(error))
        except ApiError as error:
            last_events = run.builder.fail(error)
        except Exception:
            _log.exception("a background response failed")
            last_events = run.builder.fail(errors.internal_error())
        if not run.is_ending:
            run.is_ending = True
            await self._finish(run, last_events)

    async def _stream_events(self, run: BackgroundRun) -> list[ResponseEvent]:
        """Run the job that generates a response, and add each event in the response stream to the log when it arrives.

        Returns:
            The last events of the response. The method does not add these events to the log.
        """
        queue_deadline = loop_time() + self._queue_timeout_seconds
        while True:
            try:
                async with aclosing(
                    structured_output.run_job(
                        self._service, run.pending.parsed.job, live=True, context=run.pending.request_context
                    )
                ) as batches:
                    async for batch in batches:
                        response_events: list[ResponseEvent] = []
                        for event in batch:
                            last_events = run.builder.feed(event)
                            if run.builder.is_complete:
                                run.event_log.add(encode_events(response_events))
                                return last_events
                            response_events += last_events
                        run.event_log.add(encode_events(response_events))
                raise errors.stream_interrupted()
            except WorkerError as error:
                # No worker has received the job, so the gateway can queue the job again. The additional wait is
                # acceptable, because no client waits for a background response.
                if error.kind not in _BUSY_ERRORS or loop_time() > queue_deadline:
                    raise
                await asyncio.sleep(error.retry_after or _BUSY_RETRY_SECONDS)

    async def _stop(self, run: BackgroundRun, build_events: Callable[[], list[ResponseEvent]]) -> None:
        if run.is_finished:
            await run.ended.wait()
            return
        run.is_ending = True
        assert run.task is not None
        run.task.cancel()
        await asyncio.wait([run.task])
        run.stored.cancel()
        await self._finish(run, build_events())

    async def _finish(self, run: BackgroundRun, last_events: list[ResponseEvent]) -> None:
        """Store the final response, then add the last events to the log. Add the events even if storing fails."""
        events = encode_last_events(last_events)
        try:
            packed = await asyncio.to_thread(run.event_log.pack, events)
            await self._responses.finish_response(run.pending, run.builder, packed)
        except Exception:
            _log.exception("a background response could not be stored")
        finally:
            run.event_log.add(events, is_last=True)
            del self._runs[run.identity]
            run.ended.set()


def _build_failed_log(response: dict[str, Any], after: int) -> EventLog:
    """Return an event log with one final event (`response.failed`), for a failed response that has no stored log.

    The gateway process that generated such a response exited before it stored the log.

    Args:
        response: The stored response object.
        after: Number of the last event that the client has received.
    """
    if not response["background"]:
        raise bad_request("stream", "must be false: only background responses can be followed again")
    failed_event = {"type": "response.failed", "sequence_number": after + 1, "response": response}
    return EventLog(encode_events([failed_event]), is_complete=True)
