"""Responses made in the background: nobody holds a connection for them. They are asked after, followed, cancelled."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from claude_gateway import errors
from claude_gateway.dialects.openai_responses.answer import Answer, WireEvent
from claude_gateway.dialects.openai_responses.encode import Sent, encode_last_events, sent
from claude_gateway.errors import ApiError
from claude_gateway.prompt.conversation import bad
from claude_gateway.responses.event_log import EventLog
from claude_gateway.responses.register import Asked, Responses, damaged
from claude_gateway.service import ChatService
from claude_gateway.stores.readers import LocksByKey
from claude_gateway.structured import checked
from workers.errors import ErrorKind, WorkerError, stopping

_log = logging.getLogger(__name__)

_BUSY = (ErrorKind.QUEUE_FULL, ErrorKind.QUEUE_TIMEOUT, ErrorKind.TOO_MANY_AT_ONCE)
_BUSY_SECONDS = 1.0
_RETRY_SECONDS = 5
_MAX_FOLLOWERS_OF_EACH = 2


class Run:
    """One response while it is made; `queued` is how it stood at first."""

    def __init__(self, asked: Asked, answer: Answer) -> None:
        self.asked = asked
        self.answer = answer
        self.log = EventLog(sent(answer.queue()))
        self.queued = answer.response
        self.kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.task: asyncio.Task[None] | None = None
        self.stopping: asyncio.Task[None] | None = None
        self.is_ending = False
        self.ended = asyncio.Event()

    def when_ended(self, tell: Callable[[], None]) -> None:
        """Call `tell` when nothing more is done for it, at once if that is so already."""
        assert self.task is not None
        self.task.add_done_callback(lambda _: tell())

    @property
    def is_over(self) -> bool:
        """Nothing more is to come, though it may not be stored yet."""
        return self.is_ending or self.answer.is_whole

    @property
    def name(self) -> tuple[str, str]:
        return self.asked.owner, self.queued["id"]


class Background:
    """What is being made. At most `limit` for one key; each waits for a worker for `patience` seconds at most."""

    def __init__(self, responses: Responses, service: ChatService, limit: int, patience: float) -> None:
        self._responses = responses
        self._service = service
        self._limit = limit
        self._patience = patience
        self._runs: dict[tuple[str, str], Run] = {}
        self._followers: Counter[str] = Counter()
        # Those of stored responses, while somebody follows them.
        self._stored_logs: WeakValueDictionary[str, EventLog] = WeakValueDictionary()
        self._loading = LocksByKey()

    async def shown(self, owner: str, id_: str) -> dict[str, Any] | None:
        """The response as it stands; None for one that is not being made, or not any more."""
        run = self._runs.get((owner, id_))
        if run is not None and run.is_over:
            await run.ended.wait()
            return None
        return run.answer.response if run else None

    async def follow(self, owner: str, id_: str, after: int) -> AsyncGenerator[Sequence[Sent], None]:
        """The stream of a response behind its event number `after`. Raises `ApiError`: 404, and 400 for what has no
        such stream."""
        if (run := self._runs.get((owner, id_))) is not None:
            log: EventLog | None = run.log
        else:
            log = await self._stored_log(owner, id_)
        if log is None:
            return _unseen_end(await self._responses.shown(owner, id_), after).follow()
        if after >= len(log):
            raise bad("starting_after", f"the stream has {len(log)} events so far")
        return log.follow(after)

    @contextmanager
    def follower(self, owner: str) -> Iterator[None]:
        """The place of one follower, for the length of a `with`. Raises `ApiError` 429 where the key has too many: each
        holds a page of a log for as long as it likes."""
        most = _MAX_FOLLOWERS_OF_EACH * max(1, self._limit)
        if self._followers[owner] >= most:
            raise ApiError(
                429,
                "rate_limit_exceeded",
                f"This key follows {most} responses, and no more are followed at once (twice BACKGROUND_LIMIT).",
                code="too_many_followers",
                retry_after=_RETRY_SECONDS,
            )
        self._followers[owner] += 1
        try:
            yield
        finally:
            self._followers[owner] -= 1
            if not self._followers[owner]:
                del self._followers[owner]

    async def _stored_log(self, owner: str, id_: str) -> EventLog | None:
        """The log of a stored response, one copy for all who follow it; None where it has none. Raises `ApiError`
        404."""
        async with self._loading.lock(id_):
            log = self._stored_logs.get(id_)
            if log is not None:
                await self._responses.require(owner, id_)
                return log
            packed = await self._responses.log(owner, id_)
            if packed is None:
                return None
            try:
                log = await asyncio.to_thread(EventLog.unpack, packed)
            except ValueError as error:
                raise damaged(id_, error) from None
            self._stored_logs[id_] = log
            return log

    async def start(self, asked: Asked, answer: Answer) -> Run:
        """Stored before this returns. Raises `ApiError` 429 where the key has too many."""
        if sum(owner == asked.owner for owner, _ in self._runs) >= self._limit:
            raise ApiError(
                429,
                "rate_limit_exceeded",
                f"This key has {self._limit} responses in the background, and no more are made at once "
                "(BACKGROUND_LIMIT).",
                code="too_many_in_background",
                retry_after=_RETRY_SECONDS,
            )
        run = Run(asked, answer)
        self._runs[run.name] = run
        run.task = asyncio.create_task(self._live(run))
        await asyncio.shield(run.kept)  # a caller who leaves now has it made all the same
        return run

    async def cancel(self, owner: str, id_: str) -> None:
        """It has ended when this returns; nothing happens to one that had."""
        if (run := self._runs.get((owner, id_))) is not None:
            if run.stopping is None and not run.is_over:
                run.stopping = asyncio.create_task(self._stop(run, run.answer.cancel))
            await run.ended.wait()  # it ends, too, when nobody waits here any more

    async def quiet(self) -> None:
        """Wait until nothing is being made."""
        for run in list(self._runs.values()):
            await run.ended.wait()

    async def close(self) -> None:
        """What is not made by now fails."""
        error = errors.from_worker(stopping())
        for run in list(self._runs.values()):
            await self._stop(run, partial(run.answer.fail, error))

    async def _live(self, run: Run) -> None:
        try:
            await self._responses.keep(run.asked, run.answer)
        except Exception as error:
            del self._runs[run.name]
            run.kept.set_exception(error)
            return
        run.kept.set_result(None)
        await self._make(run)

    async def _make(self, run: Run) -> None:
        try:
            last = await self._answer(run)
        except WorkerError as error:
            last = run.answer.fail(errors.from_worker(error))
        except ApiError as error:
            last = run.answer.fail(error)
        except Exception:
            _log.exception("a response in the background failed")
            last = run.answer.fail(errors.internal())
        if not run.is_ending:
            run.is_ending = True
            await self._end(run, last)

    async def _answer(self, run: Run) -> list[WireEvent]:
        """The events of the end; the others are passed on as they come."""
        give_up = asyncio.get_running_loop().time() + self._patience
        while True:
            try:
                async with aclosing(checked.events_of(self._service, run.asked.parsed.job, live=True)) as events:
                    async for event in events:
                        told = run.answer.feed(event)
                        if run.answer.is_whole:
                            return told
                        run.log.add(sent(told))
                raise errors.cut_short()
            except WorkerError as error:
                # Nothing was asked yet, and nobody sits there waiting.
                if error.kind not in _BUSY or asyncio.get_running_loop().time() > give_up:
                    raise
                await asyncio.sleep(error.retry_after or _BUSY_SECONDS)

    async def _stop(self, run: Run, tell: Callable[[], list[WireEvent]]) -> None:
        if run.is_over:
            await run.ended.wait()
            return
        run.is_ending = True
        assert run.task is not None
        run.task.cancel()
        await asyncio.wait([run.task])
        run.kept.cancel()
        await self._end(run, tell())

    async def _end(self, run: Run, last: list[WireEvent]) -> None:
        """Stored before its followers see the end; they see it in any case."""
        events = encode_last_events(last)
        try:
            packed = await asyncio.to_thread(run.log.pack, events)
            await self._responses.finish(run.asked, run.answer, packed)
        except Exception:
            _log.exception("a response made in the background could not be stored")
        finally:
            run.log.add(events, last=True)
            del self._runs[run.name]
            run.ended.set()


def _unseen_end(response: dict[str, Any], after: int) -> EventLog:
    """The gateway that made it is gone, and its log with it: all that is known is how it ended."""
    if not response["background"]:
        raise bad("stream", "only a response made in the background can be followed again")
    end = {"type": "response.failed", "sequence_number": after + 1, "response": response}
    return EventLog(sent([end]), is_whole=True)
