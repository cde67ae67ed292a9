"""Runs jobs whose reply must be JSON. The gateway never reports a reply as complete if it does not match the schema.

This layer is between the chat service and the encoders, and is the same for every dialect.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any, TypeVar

from claude_gateway.core.errors import bad_request, invalid_json_output
from claude_gateway.jobs.service import ChatService
from claude_gateway.structured_output.json_reply import JsonReplyBuffer, add_repair_turn, add_schema_instruction
from claude_gateway.structured_output.validation import find_problems, find_schema_problem
from claude_gateway.usage.record import RequestContext
from workers.core.errors import ErrorKind, WorkerError
from workers.core.events import EventStream
from workers.core.job import ChatJob, OutputSchema

_log = logging.getLogger(__name__)

T = TypeVar("T")

# Maximum CPU time of the thread for one check. The longest reply, with a value every few characters, needs half of it.
_MAX_CHECK_SECONDS = 1.0
_MAX_MESSAGE_CHARS = 1_000
# Threads for the checks. There are only two, so that schemas that are slow on purpose cannot block the event loop.
_executor = ThreadPoolExecutor(2, thread_name_prefix="schema-check")


def run_job(service: ChatService, job: ChatJob, *, live: bool, context: RequestContext | None = None) -> EventStream:
    """Run a job and return its events.

    If the job has an output schema, the function validates the reply. Otherwise it returns the events of the service
    unchanged.

    Args:
        service: Runs the job.
        job: The job.
        live: Whether the client receives each event immediately, so that the gateway cannot undo any event.
        context: Context of the request to which the job belongs, for the job's usage records.
    """
    if job.params.output_schema is None:
        return service.run(job, context=context)
    return run_validated(service, job, live=live, context=context)


async def run_validated(
    service: ChatService, job: ChatJob, *, live: bool, context: RequestContext | None = None
) -> EventStream:
    """Run a job and yield its events. The event `Finished` comes only after a reply that matches the output schema.

    Args:
        service: Runs the job.
        job: The job; it has an output schema.
        live: Whether the client receives each event immediately. If so, and if the upstream constrains the model's
            output to the schema, the function passes on the text as it arrives. Then it cannot request a second reply
            if the first one is invalid.
        context: Context of the request to which the job belongs, for the job's usage records.

    Raises:
        ApiError: 400 if the schema is invalid, 502 if the reply is still invalid after a second request.
        WorkerError: If the job fails.
    """
    output = job.params.output_schema
    assert output is not None
    deadline = service.new_deadline()
    await _check_schema(output, deadline)
    if output.native_schema is not None:
        buffer = JsonReplyBuffer(live=live, streamed=live)
        try:
            async with aclosing(_run_attempts(service, job, output, buffer, deadline, context)) as batches:
                async for batch in batches:
                    yield batch
        except WorkerError as error:
            if error.kind is not ErrorKind.INVALID_REQUEST or buffer.has_started:
                raise
            # The Anthropic API does not document how large a grammar may become, and not every cloud accepts schemas.
            _log.info("the upstream rejected a schema; the gateway puts it into the prompt instead")
        else:
            return
    buffer = JsonReplyBuffer(live=False, streamed=live)
    async with aclosing(
        _run_attempts(service, add_schema_instruction(job), output, buffer, deadline, context)
    ) as batches:
        async for batch in batches:
            yield batch


async def _run_attempts(
    service: ChatService,
    job: ChatJob,
    output: OutputSchema,
    buffer: JsonReplyBuffer,
    deadline: float,
    context: RequestContext | None,
) -> EventStream:
    """Yield the events of a valid reply.

    If the first reply is invalid and the client has not received any of it, the function requests a second reply.
    """
    problems: list[str] = []
    for can_retry in (not buffer.live, False):
        async with aclosing(service.run(job, deadline, context)) as batches:
            async for batch in batches:
                if passed_events := [passed_event for event in batch for passed_event in buffer.feed(event)]:
                    yield passed_events
        problems = await _find_problems(output, buffer, deadline) if buffer.needs_validation else []
        if not problems:
            if remaining_events := buffer.remaining_events():
                yield remaining_events
            return
        _log.info("a reply was not the requested JSON")
        if not can_retry:
            break
        job = add_repair_turn(job, buffer.raw_text, problems)
        if restart_events := buffer.restart():
            yield restart_events
    raise invalid_json_output(_format_problems(problems), streamed=buffer.live)


async def _check_schema(output: OutputSchema, deadline: float) -> None:
    if output.schema is None:
        return
    try:
        problem = await _run_in_thread(deadline, find_schema_problem, output.schema, _TimeLimit())
    except _CheckTimeout:
        problem = "it is too complex to check"
    if problem is not None:
        raise bad_request(output.field_path, f"this is not a valid JSON Schema: {problem}")


async def _find_problems(output: OutputSchema, buffer: JsonReplyBuffer, deadline: float) -> list[str]:
    try:
        return await _run_in_thread(deadline, find_problems, output.schema, buffer.text, _TimeLimit())
    except _CheckTimeout:
        raise invalid_json_output(
            "The JSON Schema is too complex to check the reply against it.", streamed=buffer.live
        ) from None


class _CheckTimeout(Exception):
    """Raised if a check exceeds its time limit."""


class _TimeLimit:
    """Function object that raises `_CheckTimeout` once its thread has used too much CPU time since the first call."""

    def __init__(self) -> None:
        self._deadline: float | None = None

    def __call__(self) -> None:
        now = time.thread_time()
        if self._deadline is None:
            self._deadline = now + _MAX_CHECK_SECONDS
        elif now > self._deadline:
            raise _CheckTimeout


async def _run_in_thread(deadline: float, function: Callable[..., T], *arguments: Any) -> T:
    try:
        async with asyncio.timeout_at(deadline):
            return await asyncio.get_running_loop().run_in_executor(_executor, function, *arguments)
    except TimeoutError:
        raise WorkerError(ErrorKind.TIMEOUT, "The reply took too long.") from None


def _format_problems(problems: list[str]) -> str:
    return f"The reply is not the requested JSON: {'; '.join(problems)}"[:_MAX_MESSAGE_CHARS]
