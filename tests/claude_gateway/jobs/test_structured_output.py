"""A job whose reply must be JSON: validated, requested once more, and prompted if the model cannot enforce it."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from claude_gateway.core.errors import ApiError
from claude_gateway.jobs import structured_output
from claude_gateway.jobs.service import ChatService
from tests.claude_gateway.scripted import JOB, STARTED, ScriptedWorkerSource, ScriptStep
from tests.events import each_event
from workers.core.errors import ErrorKind, WorkerError
from workers.core.events import (
    BlockEnded,
    BlockStarted,
    Event,
    Finished,
    StopReason,
    StreamReset,
    TextDelta,
    ThinkingDelta,
    TokenUsage,
)
from workers.core.job import ChatJob, GenerationParams, OutputSchema, Text, ThinkingBlock

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
NATIVE_SCHEMA = {**SCHEMA, "additionalProperties": False}
FIELD_PATH = "response_format.json_schema.schema"
VALID, INVALID = '{"a": 1}', '{"a": "x"}'
SCHEMA_REJECTED = WorkerError(ErrorKind.INVALID_REQUEST, "The compiled grammar is too large.")


def create_job(schema: dict[str, Any] | None = SCHEMA, native: dict[str, Any] | None = None) -> ChatJob:
    return replace(JOB, params=GenerationParams(output_schema=OutputSchema(schema, FIELD_PATH, native)))


NATIVE_JOB = create_job(native=NATIVE_SCHEMA)
PROMPTED_JOB = create_job()
every_mode = pytest.mark.parametrize(
    ("job", "live"),
    [(NATIVE_JOB, False), (PROMPTED_JOB, False), (PROMPTED_JOB, True)],
    ids=["native", "emulated", "emulated-live"],
)


def reply_with(text: str, reason: StopReason = "end_turn") -> list[ScriptStep]:
    return [
        STARTED,
        BlockStarted(Text("")),
        TextDelta(text),
        BlockEnded(),
        Finished(reason, TokenUsage(input_tokens=3, output_tokens=2)),
    ]


async def collect_events(worker_source: ScriptedWorkerSource, job: ChatJob, *, live: bool) -> list[Event]:
    async with asyncio.timeout(20):
        batches = structured_output.run_validated(ChatService(worker_source, 60), job, live=live)
        return [event async for event in each_event(batches)]


async def collect_failure(
    worker_source: ScriptedWorkerSource, job: ChatJob, *, live: bool
) -> tuple[list[Event], ApiError]:
    """Return the events before the failure, and the failure."""
    events_before: list[Event] = []

    async def collect() -> None:
        async for event in each_event(structured_output.run_validated(ChatService(worker_source, 60), job, live=live)):
            events_before.append(event)  # noqa: PERF401 - keeps the events before the failure

    with pytest.raises(ApiError) as raised:
        await asyncio.wait_for(collect(), 60)
    return events_before, raised.value


@every_mode
async def test_valid_reply_passes_in_one_job(job: ChatJob, live: bool) -> None:
    worker_source = ScriptedWorkerSource([reply_with(VALID)])

    assert await collect_events(worker_source, job, live=live) == reply_with(VALID)
    assert len(worker_source.jobs) == 1


async def test_native_schema_leaves_the_job_unchanged_and_other_schemas_go_into_the_prompt() -> None:
    native, emulated = ScriptedWorkerSource([reply_with(VALID)]), ScriptedWorkerSource([reply_with(VALID)])
    await collect_events(native, NATIVE_JOB, live=True)
    await collect_events(emulated, PROMPTED_JOB, live=True)

    assert native.jobs == [NATIVE_JOB]
    assert emulated.jobs[0].params == GenerationParams()
    assert "JSON Schema" in emulated.jobs[0].system


async def test_native_live_stream_passes_each_chunk_immediately() -> None:
    gate = asyncio.Event()
    worker_source = ScriptedWorkerSource([[STARTED, TextDelta('{"a":'), gate, TextDelta("1}"), reply_with(VALID)[-1]]])
    events = each_event(structured_output.run_validated(ChatService(worker_source, 60), NATIVE_JOB, live=True))

    async with asyncio.timeout(10):
        assert [await anext(events), await anext(events)] == [STARTED, TextDelta('{"a":')]
        gate.set()
        assert [event async for event in events] == [TextDelta("1}"), reply_with(VALID)[-1]]


@pytest.mark.promise("structured.checked")
@every_mode
async def test_requests_a_second_reply_if_the_invalid_one_was_not_sent(job: ChatJob, live: bool) -> None:
    worker_source = ScriptedWorkerSource([reply_with(INVALID), reply_with(VALID)])

    *events, finished = await collect_events(worker_source, job, live=live)

    assert events == reply_with(VALID)[:-1]
    assert finished == Finished("end_turn", TokenUsage(input_tokens=6, output_tokens=4))
    first, second = worker_source.jobs
    assert second.turns[:-2] == first.turns
    assert second.turns[-2].blocks == (Text(INVALID),)
    assert "'x' is not of type 'integer'" in str(second.turns[-1])
    assert replace(second, turns=first.turns) == first


async def test_resets_the_stream_after_the_thinking_of_an_invalid_reply() -> None:
    thinking_events = [BlockStarted(ThinkingBlock("", "")), ThinkingDelta("hm"), BlockEnded()]
    invalid, valid = reply_with(INVALID), reply_with(VALID)
    worker_source = ScriptedWorkerSource(
        [[invalid[0], *thinking_events, *invalid[1:]], [valid[0], *thinking_events, *valid[1:]]]
    )

    events = await collect_events(worker_source, PROMPTED_JOB, live=False)

    assert events[:-1] == [STARTED, *thinking_events, StreamReset(), *thinking_events, *valid[1:-1]]


@pytest.mark.promise("structured.checked")
@every_mode
@pytest.mark.parametrize("text", [INVALID, "no json", ""])
async def test_requests_no_third_reply(job: ChatJob, live: bool, text: str) -> None:
    worker_source = ScriptedWorkerSource([reply_with("{}"), reply_with(text), reply_with(VALID)])

    events_before, error = await collect_failure(worker_source, job, live=live)

    assert events_before == [STARTED]
    assert (error.status, error.type, error.code) == (502, "api_error", "invalid_json_output")
    assert len(worker_source.jobs) == 2


@pytest.mark.promise("structured.checked")
async def test_invalid_reply_that_was_sent_ends_in_an_error_without_retry() -> None:
    worker_source = ScriptedWorkerSource([reply_with(INVALID), reply_with(VALID)])

    events_before, error = await collect_failure(worker_source, NATIVE_JOB, live=True)

    assert events_before == reply_with(INVALID)[:-1]
    assert (error.status, error.type, error.code) == (502, "streaming_error", "invalid_json_output")
    assert "$.a: 'x' is not of type 'integer'" in error.message
    assert len(worker_source.jobs) == 1


@every_mode
@pytest.mark.parametrize("reason", ["max_tokens", "refusal", "tool_use", "stop_sequence"])
async def test_passes_incomplete_reply_unchecked(job: ChatJob, live: bool, reason: StopReason) -> None:
    worker_source = ScriptedWorkerSource([reply_with("half a", reason)])

    assert await collect_events(worker_source, job, live=live) == reply_with("half a", reason)


@pytest.mark.parametrize(("text", "attempt_count"), [('{"b": []}', 1), ("[]", 2)])
async def test_accepts_any_object_without_a_schema(text: str, attempt_count: int) -> None:
    worker_source = ScriptedWorkerSource([reply_with(text), reply_with(VALID)])

    await collect_events(worker_source, create_job(None), live=True)

    assert len(worker_source.jobs) == attempt_count


@pytest.mark.parametrize("live", [True, False])
async def test_prompts_for_a_schema_that_the_upstream_rejects(live: bool) -> None:
    worker_source = ScriptedWorkerSource([[SCHEMA_REJECTED], reply_with(f"```\n{VALID}\n```")])

    assert await collect_events(worker_source, NATIVE_JOB, live=live) == reply_with(VALID)
    assert "JSON Schema" in worker_source.jobs[1].system


async def test_passes_upstream_rejection_of_the_prompted_schema_to_the_client() -> None:
    worker_source = ScriptedWorkerSource(
        [[SCHEMA_REJECTED], [WorkerError(ErrorKind.INVALID_REQUEST, "The image is invalid.")]]
    )

    with pytest.raises(WorkerError, match="The image is invalid"):
        await collect_events(worker_source, NATIVE_JOB, live=False)


@pytest.mark.parametrize("kind", [kind for kind in ErrorKind if kind is not ErrorKind.INVALID_REQUEST], ids=str)
async def test_passes_any_other_failure_unchanged(kind: ErrorKind) -> None:
    worker_source = ScriptedWorkerSource.repeating(WorkerError(kind, "It failed."))

    with pytest.raises(WorkerError) as raised:
        await collect_events(worker_source, NATIVE_JOB, live=False)

    assert raised.value.kind is kind
    assert all(job == NATIVE_JOB for job in worker_source.jobs)


@pytest.mark.promise("structured.bad-schema")
@pytest.mark.parametrize("live", [True, False])
async def test_rejects_invalid_schema_with_400_without_running_a_job(live: bool) -> None:
    worker_source = ScriptedWorkerSource.repeating(*reply_with(VALID))

    events_before, error = await collect_failure(
        worker_source, create_job({"properties": {"a": {"type": "objekt"}}}), live=live
    )

    assert events_before == worker_source.jobs == []
    assert (error.status, error.param) == (400, FIELD_PATH)
    assert "$.properties.a.type: 'objekt'" in error.message


@pytest.mark.promise("structured.bounded")
async def test_stops_long_validation_without_blocking_others() -> None:
    level = {str(n): {"anyOf": [{"$ref": f"#/$defs/{n + 1}"}] * 2} for n in range(40)}
    doubling = {"$ref": "#/$defs/0", "$defs": {**level, "40": {"type": "null"}}}
    worker_source = ScriptedWorkerSource([reply_with("1"), reply_with("1")])

    _, error = await collect_failure(worker_source, create_job(doubling), live=False)

    assert (error.status, error.code) == (502, "invalid_json_output")
    assert len(worker_source.jobs) == 1


@pytest.mark.promise("limits.time")
async def test_second_reply_has_only_the_remaining_time() -> None:
    worker_source = ScriptedWorkerSource([reply_with(INVALID), reply_with(VALID)])

    await collect_events(worker_source, PROMPTED_JOB, live=False)

    first, second = worker_source.deadlines
    assert first == second


@pytest.mark.promise("cancel.frees-worker")
@every_mode
async def test_disconnected_reader_releases_the_worker(job: ChatJob, live: bool) -> None:
    worker_source = ScriptedWorkerSource([[STARTED, asyncio.Event()]])
    events = each_event(structured_output.run_validated(ChatService(worker_source, 60), job, live=live))
    await anext(events)

    await events.aclose()

    assert worker_source.events_closed.is_set()
    assert worker_source.worker_released.is_set()
