"""A job whose answer must be JSON: nothing that is not what its schema asks for is called done.

Stands between the service and whoever passes its events on, the same for every dialect.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any, TypeVar

from claude_gateway.errors import invalid_json_output
from claude_gateway.prompt.conversation import bad
from claude_gateway.service import ChatService
from claude_gateway.structured.json_output import JsonAnswer, asked_again, in_words
from claude_gateway.structured.schema_check import complaint, faults
from workers.errors import ErrorKind, WorkerError
from workers.events import Event
from workers.job import ChatJob, OutputSchema

_log = logging.getLogger(__name__)

T = TypeVar("T")

# Of a thread's own time. The longest answer, with a value every few letters, takes half of it.
_MOST_SECONDS = 1.0
_LONGEST_MESSAGE = 1_000
# Few, so that checks made slow on purpose leave the event loop its turn.
_threads = ThreadPoolExecutor(2, thread_name_prefix="schema-check")


def events_of(service: ChatService, job: ChatJob, *, live: bool) -> AsyncGenerator[Event, None]:
    """The events of any job: of one whose answer may be what it likes, straight from the service."""
    return service.run(job) if job.tuning.output is None else run(service, job, live=live)


async def run(service: ChatService, job: ChatJob, *, live: bool) -> AsyncGenerator[Event, None]:
    """The events of the job, `Finished` only behind what its schema asks for. Raises `WorkerError`, or `ApiError`:
    400 for a schema that is none, 502 for an answer that is still wrong when asked for once more.

    `live`: the reader shows what he gets. Then the text of a model that is held to the schema passes as it comes,
    and a wrong one cannot be asked for again.
    """
    output = job.tuning.output
    assert output is not None
    deadline = service.deadline()
    await _check_schema(output, deadline)
    if output.fitted is not None:
        answer = JsonAnswer(live=live, streamed=live)
        try:
            async with aclosing(_answers(service, job, output, answer, deadline)) as events:
                async for event in events:
                    yield event
        except WorkerError as error:
            if error.kind is not ErrorKind.INVALID_REQUEST or answer.begun:
                raise
            # How large a grammar may become is the API's own secret, and not every cloud takes one: then in words.
            _log.info("a schema was refused upstream, and is asked for in words")
        else:
            return
    answer = JsonAnswer(live=False, streamed=live)
    async with aclosing(_answers(service, in_words(job), output, answer, deadline)) as events:
        async for event in events:
            yield event


async def _answers(
    service: ChatService, job: ChatJob, output: OutputSchema, answer: JsonAnswer, deadline: float
) -> AsyncGenerator[Event, None]:
    """The events of the answer, or of a second one where the first is wrong and nobody saw it."""
    wrong: list[str] = []
    for may_ask_again in (not answer.live, False):
        async with aclosing(service.run(job, deadline)) as events:
            async for event in events:
                for passed in answer.feed(event):
                    yield passed
        wrong = await _faults(output, answer, deadline) if answer.to_check else []
        if not wrong:
            for event in answer.rest():
                yield event
            return
        _log.info("an answer was not the JSON asked for")
        if not may_ask_again:
            break
        job = asked_again(job, answer.said, wrong)
        for event in answer.again():
            yield event
    raise invalid_json_output(_told(wrong), streamed=answer.live)


async def _check_schema(output: OutputSchema, deadline: float) -> None:
    if output.schema is None:
        return
    try:
        wrong = await _in_thread(deadline, complaint, output.schema, _Timer())
    except _TooSlow:
        wrong = "it takes too long to be read"
    if wrong is not None:
        raise bad(output.place, f"this is no JSON Schema: {wrong}")


async def _faults(output: OutputSchema, answer: JsonAnswer, deadline: float) -> list[str]:
    try:
        return await _in_thread(deadline, faults, output.schema, answer.text, _Timer())
    except _TooSlow:
        raise invalid_json_output(
            "It takes too long to hold the answer against the JSON Schema.", streamed=answer.live
        ) from None


class _TooSlow(Exception):
    """A check has had its time."""


class _Timer:
    """Raises once its thread has worked for too long. The clock starts at the first step, in that thread."""

    def __init__(self) -> None:
        self._end: float | None = None

    def __call__(self) -> None:
        now = time.thread_time()
        if self._end is None:
            self._end = now + _MOST_SECONDS
        elif now > self._end:
            raise _TooSlow


async def _in_thread(deadline: float, work: Callable[..., T], *arguments: Any) -> T:
    try:
        async with asyncio.timeout_at(deadline):
            return await asyncio.get_running_loop().run_in_executor(_threads, work, *arguments)
    except TimeoutError:
        raise WorkerError(ErrorKind.TIMEOUT, "The answer took too long.") from None


def _told(wrong: list[str]) -> str:
    return f"The answer is not the JSON that was asked for: {'; '.join(wrong)}"[:_LONGEST_MESSAGE]
