"""A job whose answer must be JSON: checked, asked for once more, and in words where the model is not held to it."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from claude_gateway.errors import ApiError
from claude_gateway.service import ChatService
from claude_gateway.structured import checked
from tests.claude_gateway.scripted import JOB, STARTED, ScriptedDispatcher, Step
from workers.errors import ErrorKind, WorkerError
from workers.events import (
    BlockEnded,
    BlockStarted,
    Event,
    Finished,
    Restarted,
    StopReason,
    TextDelta,
    ThinkingDelta,
    Usage,
)
from workers.job import ChatJob, OutputSchema, Text, Thought, Tuning

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
FITTED = {**SCHEMA, "additionalProperties": False}
PLACE = "response_format.json_schema.schema"
GOOD, WRONG = '{"a": 1}', '{"a": "x"}'
REFUSED = WorkerError(ErrorKind.INVALID_REQUEST, "The compiled grammar is too large.")


def job(schema: dict[str, Any] | None = SCHEMA, fitted: dict[str, Any] | None = None) -> ChatJob:
    return replace(JOB, tuning=Tuning(output=OutputSchema(schema, PLACE, fitted)))


NATIVE = job(fitted=FITTED)
EMULATED = job()
every_way = pytest.mark.parametrize(
    ("asked", "live"),
    [(NATIVE, False), (EMULATED, False), (EMULATED, True)],
    ids=["native", "emulated", "emulated-live"],
)


def says(text: str, reason: StopReason = "end_turn") -> list[Step]:
    return [STARTED, BlockStarted(Text("")), TextDelta(text), BlockEnded(), Finished(reason, Usage(input=3, output=2))]


async def answer(dispatcher: ScriptedDispatcher, asked: ChatJob, *, live: bool) -> list[Event]:
    async with asyncio.timeout(20):
        return [event async for event in checked.run(ChatService(dispatcher, 60), asked, live=live)]


async def refusal(dispatcher: ScriptedDispatcher, asked: ChatJob, *, live: bool) -> tuple[list[Event], ApiError]:
    """What passed before the answer failed, and with what."""
    passed: list[Event] = []

    async def read() -> None:
        async for event in checked.run(ChatService(dispatcher, 60), asked, live=live):
            passed.append(event)  # noqa: PERF401 - what comes before the failure counts

    with pytest.raises(ApiError) as raised:
        await asyncio.wait_for(read(), 60)
    return passed, raised.value


@every_way
async def test_a_right_answer_passes_and_costs_one_job(asked: ChatJob, live: bool) -> None:
    dispatcher = ScriptedDispatcher([says(GOOD)])

    assert await answer(dispatcher, asked, live=live) == says(GOOD)
    assert len(dispatcher.jobs) == 1


async def test_the_model_that_is_held_to_it_is_asked_as_it_was_and_any_other_in_words() -> None:
    native, emulated = ScriptedDispatcher([says(GOOD)]), ScriptedDispatcher([says(GOOD)])
    await answer(native, NATIVE, live=True)
    await answer(emulated, EMULATED, live=True)

    assert native.jobs == [NATIVE]
    assert emulated.jobs[0].tuning == Tuning()
    assert "JSON Schema" in emulated.jobs[0].system


async def test_live_and_held_to_it_a_word_passes_before_the_next_one_exists() -> None:
    more = asyncio.Event()
    dispatcher = ScriptedDispatcher([[STARTED, TextDelta('{"a":'), more, TextDelta("1}"), says(GOOD)[-1]]])
    events = checked.run(ChatService(dispatcher, 60), NATIVE, live=True)

    async with asyncio.timeout(10):
        assert [await anext(events), await anext(events)] == [STARTED, TextDelta('{"a":')]
        more.set()
        assert [event async for event in events] == [TextDelta("1}"), says(GOOD)[-1]]


@pytest.mark.promise("structured.checked")
@every_way
async def test_a_wrong_answer_that_nobody_saw_is_asked_for_once_more(asked: ChatJob, live: bool) -> None:
    dispatcher = ScriptedDispatcher([says(WRONG), says(GOOD)])

    *events, finished = await answer(dispatcher, asked, live=live)

    assert events == says(GOOD)[:-1]
    assert finished == Finished("end_turn", Usage(input=6, output=4))
    first, second = dispatcher.jobs
    assert second.turns[:-2] == first.turns
    assert second.turns[-2].blocks == (Text(WRONG),)
    assert "'x' is not of type 'integer'" in str(second.turns[-1])
    assert replace(second, turns=first.turns) == first


async def test_a_whole_answer_holds_no_thoughts_of_the_one_that_was_wrong() -> None:
    thought = [BlockStarted(Thought("", "")), ThinkingDelta("hm"), BlockEnded()]
    wrong, right = says(WRONG), says(GOOD)
    dispatcher = ScriptedDispatcher([[wrong[0], *thought, *wrong[1:]], [right[0], *thought, *right[1:]]])

    events = await answer(dispatcher, EMULATED, live=False)

    assert events[:-1] == [STARTED, *thought, Restarted(), *thought, *right[1:-1]]


@pytest.mark.promise("structured.checked")
@every_way
@pytest.mark.parametrize("text", [WRONG, "no json", ""])
async def test_there_is_no_third_try(asked: ChatJob, live: bool, text: str) -> None:
    dispatcher = ScriptedDispatcher([says("{}"), says(text), says(GOOD)])

    passed, error = await refusal(dispatcher, asked, live=live)

    assert passed == [STARTED]
    assert (error.status, error.type, error.code) == (502, "api_error", "invalid_json_output")
    assert len(dispatcher.jobs) == 2


@pytest.mark.promise("structured.checked")
async def test_a_wrong_answer_that_was_seen_ends_in_an_error_and_nobody_is_asked_again() -> None:
    dispatcher = ScriptedDispatcher([says(WRONG), says(GOOD)])

    passed, error = await refusal(dispatcher, NATIVE, live=True)

    assert passed == says(WRONG)[:-1]
    assert (error.status, error.type, error.code) == (502, "streaming_error", "invalid_json_output")
    assert "$.a: 'x' is not of type 'integer'" in error.message
    assert len(dispatcher.jobs) == 1


@every_way
@pytest.mark.parametrize("reason", ["max_tokens", "refusal", "tool_use", "stop_sequence"])
async def test_what_the_model_did_not_call_done_passes_unchecked(
    asked: ChatJob, live: bool, reason: StopReason
) -> None:
    dispatcher = ScriptedDispatcher([says("half a", reason)])

    assert await answer(dispatcher, asked, live=live) == says("half a", reason)


@pytest.mark.parametrize(("text", "tries"), [('{"b": []}', 1), ("[]", 2)])
async def test_without_a_schema_any_object_will_do(text: str, tries: int) -> None:
    dispatcher = ScriptedDispatcher([says(text), says(GOOD)])

    await answer(dispatcher, job(None), live=True)

    assert len(dispatcher.jobs) == tries


@pytest.mark.parametrize("live", [True, False])
async def test_a_schema_that_the_upstream_refuses_is_asked_for_in_words(live: bool) -> None:
    dispatcher = ScriptedDispatcher([[REFUSED], says(f"```\n{GOOD}\n```")])

    assert await answer(dispatcher, NATIVE, live=live) == says(GOOD)
    assert "JSON Schema" in dispatcher.jobs[1].system


async def test_what_the_upstream_refuses_in_words_too_is_the_caller_s_to_know() -> None:
    dispatcher = ScriptedDispatcher([[REFUSED], [WorkerError(ErrorKind.INVALID_REQUEST, "The image is none.")]])

    with pytest.raises(WorkerError, match="The image is none"):
        await answer(dispatcher, NATIVE, live=False)


@pytest.mark.parametrize("kind", set(ErrorKind) - {ErrorKind.INVALID_REQUEST}, ids=str)
async def test_any_other_failure_is_what_it_is(kind: ErrorKind) -> None:
    dispatcher = ScriptedDispatcher.always(WorkerError(kind, "It failed."))

    with pytest.raises(WorkerError) as raised:
        await answer(dispatcher, NATIVE, live=False)

    assert raised.value.kind is kind
    assert all(asked == NATIVE for asked in dispatcher.jobs)


@pytest.mark.promise("structured.bad-schema")
@pytest.mark.parametrize("live", [True, False])
async def test_a_schema_that_is_none_is_a_400_that_names_it_and_asks_nobody(live: bool) -> None:
    dispatcher = ScriptedDispatcher.always(*says(GOOD))

    passed, error = await refusal(dispatcher, job({"properties": {"a": {"type": "objekt"}}}), live=live)

    assert passed == dispatcher.jobs == []
    assert (error.status, error.param) == (400, PLACE)
    assert "$.properties.a.type: 'objekt'" in error.message


@pytest.mark.promise("structured.bounded")
async def test_a_check_that_would_last_is_given_up_and_holds_up_nobody() -> None:
    level = {str(n): {"anyOf": [{"$ref": f"#/$defs/{n + 1}"}] * 2} for n in range(40)}
    doubling = {"$ref": "#/$defs/0", "$defs": {**level, "40": {"type": "null"}}}
    dispatcher = ScriptedDispatcher([says("1"), says("1")])

    _, error = await refusal(dispatcher, job(doubling), live=False)

    assert (error.status, error.code) == (502, "invalid_json_output")
    assert len(dispatcher.jobs) == 1


@pytest.mark.promise("limits.time")
async def test_a_second_answer_has_only_what_is_left_of_the_time() -> None:
    dispatcher = ScriptedDispatcher([says(WRONG), says(GOOD)])

    await answer(dispatcher, EMULATED, live=False)

    first, second = dispatcher.deadlines
    assert first == second


@pytest.mark.promise("cancel.frees-worker")
@every_way
async def test_a_reader_who_leaves_gives_the_worker_back(asked: ChatJob, live: bool) -> None:
    dispatcher = ScriptedDispatcher([[STARTED, asyncio.Event()]])
    events = checked.run(ChatService(dispatcher, 60), asked, live=live)
    await anext(events)

    await events.aclose()

    assert dispatcher.closed.is_set()
    assert dispatcher.released.is_set()
