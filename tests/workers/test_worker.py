import asyncio
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import orjson
import pytest

from tests.workers.helpers import (
    MODEL,
    PATIENCE,
    WilfulProcess,
    a_job,
    answer_of,
    assistant,
    boot,
    kind,
    kinds,
    later,
    reads,
    soon,
    until,
    user,
)
from workers.errors import ErrorKind, WorkerError
from workers.events import BlockEnded, BlockStarted, Finished, Started, TextDelta, Usage
from workers.fake import ScriptedProcess, block_start, message_start, result, says, stream_event, text_delta
from workers.frames import Frame, FrameError
from workers.job import Tool
from workers.protocol import State
from workers.worker import Worker, end

SHORT, LONG = 10, 30_000
REFUSED = "API Error: 400 too odd"


def settings_sent(process: ScriptedProcess, variable: str) -> list[str]:
    environments = [request["settings"].get("env", {}) for request in process.sent("apply_flag_settings")]
    return [environment[variable] for environment in environments if variable in environment]


def further_requests(process: ScriptedProcess) -> list[str]:
    """Each change of how often the CLI may ask again within a turn."""
    return settings_sent(process, "MAX_STRUCTURED_OUTPUT_RETRIES")


async def failure_of(worker: Worker, **job: str) -> WorkerError:
    with pytest.raises(WorkerError) as caught:
        await soon(answer_of(worker, a_job(**job)))
    return caught.value


async def boot_failure(process: ScriptedProcess, timeout: float = PATIENCE) -> WorkerError:
    async def spawn(_: object) -> ScriptedProcess:
        return process

    with pytest.raises(WorkerError) as caught:
        await soon(Worker(spawn, MODEL).boot(timeout))
    assert caught.value.kind is ErrorKind.START_FAILED
    return caught.value


class Logging(ScriptedProcess):
    """Writes what the upstream said to stderr, when it is asked and before it answers."""

    def __init__(self, said: Iterable[tuple[str, str]]) -> None:
        """`said` is of each turn: what the upstream says, and what the frames say."""
        self._said = list(said)
        super().__init__(
            [[result(is_error=True, api_error_status=400, result=shown)] for _, shown in self._said],
        )

    def _reply(self, frame: Frame) -> list[Frame]:
        if frame["type"] == "user" and self._said and frame.get("shouldQuery") is not False:
            message, _ = self._said.pop(0)
            body = f'{{"type":"error","error":{{"type":"invalid_request_error","message":"{message}"}}}}'
            self.stderr += f"2026-11-30T10:17:26.143Z [ERROR] Error in API request: 400 {body}\n" if message else ""
        return super()._reply(frame)


class Babbling(ScriptedProcess):
    """Says something that is no frame in answer to a prompt."""

    async def read(self) -> list[Frame]:
        frames = await super().read()
        if any(frame.get("babble") for frame in frames):
            raise FrameError("not JSON: b'Segmentation'")
        return frames


# Booting.


async def test_a_booted_worker_thinks_nothing_and_has_no_limit_of_its_own() -> None:
    process = ScriptedProcess()

    async def spawn(_: object) -> ScriptedProcess:
        return process

    worker = Worker(spawn, MODEL)
    await soon(worker.boot(PATIENCE))
    assert kinds(process.written) == ["initialize", "set_max_thinking_tokens", "apply_flag_settings"]
    assert process.sent("set_max_thinking_tokens")[0]["max_thinking_tokens"] == 0
    assert settings_sent(process, "CLAUDE_CODE_MAX_OUTPUT_TOKENS") == [""]
    assert further_requests(process) == ["0"]
    assert worker.protocol.account == {"apiKeySource": "ANTHROPIC_API_KEY"}


async def test_a_process_that_dies_while_it_boots_is_reported_with_its_last_words() -> None:
    failure = await boot_failure(WilfulProcess(dies_at="set_max_thinking_tokens"))
    assert failure.detail == "its last words"


async def test_a_process_that_ends_without_a_word_from_it_is_reported_too() -> None:
    process = ScriptedProcess()
    process.stderr = "cannot find a shared library"
    process.die()
    assert (await boot_failure(process)).detail == "cannot find a shared library"


async def test_a_process_that_does_not_answer_in_time_is_said_to_be_late() -> None:
    failure = await boot_failure(WilfulProcess(holds="initialize"), timeout=0)
    assert "in time" in failure.message


@pytest.mark.parametrize("subtype", ["initialize", "set_max_thinking_tokens", "apply_flag_settings"])
async def test_a_process_that_refuses_its_first_settings_is_not_used(subtype: str) -> None:
    await boot_failure(WilfulProcess(refuses=subtype))


async def test_a_process_that_answers_boot_with_half_a_frame_is_not_used() -> None:
    await boot_failure(WilfulProcess(instead=("initialize", [{"type": "control_response"}])))


async def test_a_program_that_cannot_be_started_is_reported_without_its_path() -> None:
    async def spawn(_: object) -> ScriptedProcess:
        raise FileNotFoundError(2, "No such file", "/opt/secret/claude")

    with pytest.raises(WorkerError) as caught:
        await Worker(spawn, MODEL).boot(PATIENCE)
    assert caught.value.kind is ErrorKind.START_FAILED
    assert "/opt/secret" not in caught.value.message
    assert "/opt/secret" in caught.value.detail


async def test_a_worker_that_was_never_started_can_be_ended() -> None:
    async def spawn(_: object) -> ScriptedProcess:
        raise OSError

    await soon(end(Worker(spawn, MODEL)))


# What is sent for a job.


async def test_a_job_that_wants_nothing_special_costs_one_frame() -> None:
    process = ScriptedProcess([says("one two")])
    worker = await boot(process)
    events = await answer_of(worker, a_job())
    assert kinds(process.written) == ["ask"]
    assert reads(events) == ("one two", "")
    assert events[0] == Started(MODEL, Usage(input=1, output=1))
    assert isinstance(events[-1], Finished)


# After an answer that ended before the CLI's turn did.
_PUT_RIGHT = ("rewind_conversation", "load", "append")


async def test_settings_are_sent_only_when_they_differ() -> None:
    process = ScriptedProcess([says("one")] * 3)
    worker = await boot(process)
    for _ in range(2):
        await answer_of(worker, a_job(system="be brief", max_tokens=LONG))
        await worker.recover(PATIENCE)
    await answer_of(worker, a_job(system="be long", max_tokens=LONG))
    first, second, third = (
        ["apply_flag_settings", "ask"],
        ["rewind_conversation", "ask"],
        ["rewind_conversation", "apply_flag_settings", "ask"],
    )
    assert kinds(process.written) == [*first, *second, *third]


def bodies(process: ScriptedProcess) -> list[dict[str, Any]]:
    return [orjson.loads(body) for body in settings_sent(process, "CLAUDE_CODE_EXTRA_BODY")]


async def test_a_system_prompt_takes_the_place_of_the_cli_s_own_words_and_goes_with_its_job() -> None:
    process = ScriptedProcess([says("one")] * 2)
    worker = await boot(process)
    await answer_of(worker, a_job(system="be brief"))
    await worker.recover(PATIENCE)
    await answer_of(worker, a_job())
    block = {"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}
    assert [body["system"] for body in bodies(process)] == [[block], []]
    assert not process.sent("set_model")
    assert not worker.had_system


async def test_with_a_cli_login_a_system_prompt_stands_behind_the_cli_s_own_words() -> None:
    process = ScriptedProcess([says("one")])
    worker = await boot(process, system_in_body=False)
    await answer_of(worker, a_job(system="be brief"))
    [request] = process.sent("set_model")
    assert request["system_prompt"] == "be brief"
    assert request["only_if_model_is_current"] is True
    assert worker.had_system
    assert not any("system" in body for body in bodies(process))


async def test_tools_travel_in_the_body_and_their_names_alone_are_offered() -> None:
    process = ScriptedProcess([says("one")] * 2)
    worker = await boot(process)
    schema = {"type": "object", "properties": {"\uff21": {"type": "string"}}}
    tools = (Tool("zeta", "a\n\nb", {"type": "object"}, strict=True), Tool("fs/read", "", schema))
    await answer_of(worker, replace(a_job(), tools=tools))
    [body] = bodies(process)
    assert body["tools"] == [
        {"name": "zeta", "description": "a\n\nb", "input_schema": {"type": "object"}, "strict": True},
        {
            "name": "fs_read",
            "input_schema": {"type": "object", "properties": {"A": {"title": "\uff21", "type": "string"}}},
        },
    ]
    offered = next(frame for frame in process.written if frame["type"] == "control_response")
    listed = offered["response"]["response"]["mcp_response"]["result"]["tools"]
    assert [(tool["name"], tool["description"], tool["inputSchema"]) for tool in listed] == [
        ("fs_read", "", {"type": "object"}),
        ("zeta", "", {"type": "object"}),
    ]
    await worker.recover(PATIENCE)
    await answer_of(worker, a_job())
    assert "tools" not in bodies(process)[-1]


async def test_the_same_names_with_other_texts_are_not_offered_again() -> None:
    process = ScriptedProcess([says("one")] * 2)
    worker = await boot(process)
    for words in ("about the web", "about patients"):
        await answer_of(worker, replace(a_job(), tools=(Tool("search", words, {}),)))
        await worker.recover(PATIENCE)
    assert [body["tools"][0]["description"] for body in bodies(process)] == ["about the web", "about patients"]
    assert len(process.sent("mcp_set_servers")) == 1


async def test_a_limit_of_one_job_does_not_reach_the_next() -> None:
    process = ScriptedProcess([says("one")] * 2)
    worker = await boot(process)
    for limit in (LONG, None):
        await answer_of(worker, a_job(max_tokens=limit))
        await worker.recover(PATIENCE)
    limits = settings_sent(process, "CLAUDE_CODE_MAX_OUTPUT_TOKENS")
    assert (set(limits[:-1]), limits[-1]) == ({str(LONG)}, "")


async def test_a_model_switch_is_waited_for_before_anything_else_is_sent() -> None:
    process = WilfulProcess([says("one")], holds="switch_model")
    worker = await boot(process)
    answering = asyncio.create_task(answer_of(worker, a_job(user("a"), assistant("b"), user("c"), model="other")))
    await soon(process.holding.wait())
    await asyncio.sleep(0)
    assert kinds(process.written) == ["switch_model"]
    process.release()
    await soon(answering)
    assert kinds(process.written) == ["switch_model", "load", "append", "ask"]
    assert process.sent("apply_flag_settings")[0]["settings"] == {"model": "other"}
    assert worker.model == "other"


async def test_history_goes_in_turn_by_turn_each_waited_for() -> None:
    process = WilfulProcess([says("one")], holds="load")
    worker = await boot(process)
    turns = (user("a"), assistant("b"), user("c"), assistant("d"), user("e"))
    answering = asyncio.create_task(answer_of(worker, a_job(*turns)))
    await soon(process.holding.wait())
    await asyncio.sleep(0)
    assert kinds(process.written) == ["load"]
    process.release()
    await soon(answering)
    assert kinds(process.written) == ["load", "append", "load", "append", "ask"]
    assert [frame["message"]["content"] for frame in process.written] == [
        [{"type": "text", "text": t}] for t in "abcde"
    ]


async def test_a_request_of_the_cli_is_refused_and_the_answer_goes_on() -> None:
    asks = {"type": "control_request", "request_id": "r1", "request": {"subtype": "hook_callback"}}
    process = ScriptedProcess([[asks, *says("one")]])
    worker = await boot(process)
    assert reads(await answer_of(worker, a_job())) == ("one", "")
    [refusal] = [frame for frame in process.written if frame["type"] == "control_response"]
    assert refusal["response"]["subtype"] == "error"


# One question is one request.

ENDED_EARLY = result(is_error=True, subtype="error_max_structured_output_retries")


async def test_an_answer_at_its_limit_is_put_right_once_the_cli_has_ended_the_turn() -> None:
    process = ScriptedProcess([[*says("one two", stop_reason="max_tokens")[:-1], ENDED_EARLY]])
    worker = await boot(process)
    events = await answer_of(worker, a_job(max_tokens=SHORT))
    assert isinstance(events[-1], Finished)
    assert events[-1].stop_reason == "max_tokens"
    process.written.clear()
    await worker.recover(PATIENCE)
    assert kinds(process.written)[-3:] == [*_PUT_RIGHT]


def call(name: str) -> list[Frame]:
    """A call, and the CLI's own answer to it."""
    answered = {"type": "tool_result", "tool_use_id": name, "content": "No such tool available", "is_error": True}
    return [
        block_start(type="tool_use", id=name, name=name, input={}),
        {"type": "user", "message": {"role": "user", "content": [answered]}},
        stream_event("content_block_stop", index=0),
    ]


async def test_behind_a_call_of_a_tool_that_was_not_offered_the_rest_of_the_answer_is_read() -> None:
    end = stream_event("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 1})
    process = ScriptedProcess([[message_start(), *call("unheard_of"), *call("f"), end]])
    worker = await boot(process)
    events = await answer_of(worker, replace(a_job(), tools=(Tool("f", "", {"type": "object"}),)))
    assert [one.block.name for one in events if isinstance(one, BlockStarted)] == ["unheard_of", "f"]  # type: ignore[union-attr]
    assert further_requests(process)[-2:] == ["1000000", "0"]


async def test_a_turn_that_the_cli_ended_behind_such_a_call_is_an_answer_with_this_call() -> None:
    process = ScriptedProcess([[message_start(), *call("unheard_of")[:-1], ENDED_EARLY]])
    worker = await boot(process)
    events = await answer_of(worker, a_job())
    assert [type(event) for event in events] == [Started, BlockStarted, BlockEnded, Finished]
    assert events[-1].stop_reason == "tool_use"  # type: ignore[union-attr]


@pytest.mark.parametrize("reason", ["end_turn", "stop_sequence"])
async def test_an_answer_without_a_word_ends_where_the_cli_asks_for_one(reason: str) -> None:
    silent = [
        message_start(),
        stream_event("message_delta", delta={"stop_reason": reason}, usage={"output_tokens": 1}),
        stream_event("message_stop"),
    ]
    nudge = {"type": "user", "isSynthetic": True, "message": {"content": [{"type": "text", "text": "Say something."}]}}
    process = ScriptedProcess([[*silent, nudge], says("next")])
    worker = await boot(process)
    events = await answer_of(worker, a_job())
    assert events[-1] == Finished(reason, Usage(input=1, output=1))  # type: ignore[arg-type]
    await worker.recover(PATIENCE)
    await answer_of(worker, a_job(user("now"), assistant("x"), user("then")))
    assert "rewind_conversation" in kinds(process.written)


# Failures.


async def test_an_error_of_the_upstream_ends_the_job_and_spares_the_worker() -> None:
    refused = result(is_error=True, api_error_status=400, result=REFUSED)
    process = ScriptedProcess([[refused], says("one")])
    worker = await boot(process)
    failure = await failure_of(worker)
    assert (failure.kind, failure.message) == (ErrorKind.INVALID_REQUEST, "too odd")
    await worker.recover(PATIENCE)
    assert reads(await answer_of(worker, a_job())) == ("one", "")


async def test_a_job_left_during_a_model_switch_does_not_lend_its_model_to_the_next() -> None:
    process = WilfulProcess([says("one")], holds="switch_model")
    worker = await boot(process)
    left = asyncio.create_task(answer_of(worker, a_job(model="other", system="be brief")))
    await soon(process.holding.wait())
    left.cancel()
    await asyncio.wait({left})
    process.release()
    await worker.recover(PATIENCE)
    await answer_of(worker, a_job(system="be long"))
    models = [request["settings"].get("model") for request in process.sent("apply_flag_settings")]
    assert [model for model in models if model] == ["other", MODEL]


async def test_a_worker_that_refused_a_setting_is_not_used_again() -> None:
    process = WilfulProcess([says("one")])
    worker = await boot(process)
    process.refuses = "apply_flag_settings"
    with pytest.raises(WorkerError) as caught:
        await soon(answer_of(worker, a_job(max_tokens=LONG)))
    assert caught.value.kind is ErrorKind.WORKER_CONFUSED
    with pytest.raises(WorkerError):
        await soon(worker.recover(PATIENCE))


async def test_a_refused_request_is_told_in_the_upstream_s_words() -> None:
    worker = await boot(Logging([("image exceeds 5 MB maximum", "Image was too large. Try resizing the image.")]))

    failure = await failure_of(worker)

    assert (failure.kind, failure.message) == (ErrorKind.INVALID_REQUEST, "image exceeds 5 MB maximum")


async def test_the_words_of_an_earlier_turn_are_not_those_of_a_later_one() -> None:
    worker = await boot(Logging([("of the first", "Image was too large."), ("", "API Error: 400 of the second")]))
    await failure_of(worker)
    await soon(worker.recover(PATIENCE))

    assert (await failure_of(worker)).message == "of the second"


async def test_a_conversation_that_is_too_long_is_named_also_where_the_upstream_s_words_are_missing() -> None:
    worker = await boot(Logging([("", "Prompt is too long")]))

    failure = await failure_of(worker)

    assert (failure.kind, failure.message) == (ErrorKind.TOO_LONG, "prompt is too long")


async def test_what_is_no_frame_confuses_the_worker_for_good() -> None:
    process = Babbling([[{"type": "system", "babble": True}]])
    worker = await boot(process)
    failure = await failure_of(worker)
    assert failure.kind is ErrorKind.WORKER_CONFUSED
    assert "Segmentation" in failure.detail
    with pytest.raises(WorkerError):
        await soon(worker.recover(PATIENCE))


async def test_a_turn_that_ends_without_an_answer_confuses_the_worker_for_good() -> None:
    """Whose end that was, nobody can say: the answer to this job could come into the next."""
    process = ScriptedProcess([[result()]])
    worker = await boot(process)
    assert (await failure_of(worker)).kind is ErrorKind.WORKER_CONFUSED
    with pytest.raises(WorkerError):
        await soon(worker.recover(PATIENCE))


@pytest.mark.parametrize("step", ["rewind_conversation", "load", "ask"])
async def test_a_process_that_does_not_react_is_given_up_long_before_the_deadline(step: str) -> None:
    process = WilfulProcess([says("before"), []])
    worker = await boot(process, patience=0.01)
    await answer_of(worker, a_job())
    process.holds = step
    with pytest.raises(WorkerError) as caught:
        await soon(answer_of(worker, a_job(user("a"), assistant("b"), user("c"))))
    assert caught.value.kind is ErrorKind.WORKER_CONFUSED
    with pytest.raises(WorkerError):
        await soon(worker.recover(PATIENCE))


class Freezing(WilfulProcess):
    """Stops for ever, at a switch of model or when it has begun an answer."""

    frozen = False

    def _reply(self, frame: Frame) -> list[Frame]:
        said = [] if self.frozen else super()._reply(frame)
        self.frozen = self.frozen or kind(frame) in ("switch_model", "ask")
        return [] if kind(frame) == "switch_model" else said


@pytest.mark.parametrize("model", [MODEL, "other"])
async def test_a_process_that_freezes_in_an_answer_or_a_switch_of_model_is_given_up_long_before_the_deadline(
    model: str,
) -> None:
    worker = await boot(Freezing([[message_start(), text_delta("no")]]), patience=0.05)
    assert (await failure_of(worker, model=model)).kind is ErrorKind.WORKER_CONFUSED
    with pytest.raises(WorkerError):
        await soon(worker.recover(PATIENCE))


async def test_a_process_that_freezes_is_given_up_while_there_is_time_for_another_however_little_there_is() -> None:
    worker = await boot(Freezing([[message_start()]]))
    deadline = asyncio.get_running_loop().time() + 4
    with pytest.raises(WorkerError) as caught:
        async for _ in worker.run(a_job(), deadline):
            pass
    assert caught.value.another_attempt_could_help


async def test_a_model_that_takes_its_time_is_waited_for() -> None:
    process = WilfulProcess(instead=("ask", [{"type": "system", "subtype": "init"}]))
    worker = await boot(process, patience=0.1)
    asking = asyncio.create_task(answer_of(worker, a_job()))
    # It was asked for a sign of life, and gave it, more than once.
    await until(lambda: len(process.sent("set_max_thinking_tokens")) == 2 or asking.done())
    assert not asking.done()
    asking.cancel()
    await asyncio.wait({asking})


@pytest.mark.parametrize("step", ["switch_model", "load", "append", "ask", "apply_flag_settings"])
async def test_a_process_that_dies_at_any_step_of_a_job_is_reported_with_its_last_words(step: str) -> None:
    process = WilfulProcess([says("one")])
    worker = await boot(process)
    process.dies_at = step
    job = a_job(user("a"), assistant("b"), user("c"), model="other", max_tokens=LONG)
    with pytest.raises(WorkerError) as caught:
        await soon(answer_of(worker, job))
    assert caught.value.kind is ErrorKind.WORKER_DIED
    assert caught.value.detail == "its last words"
    assert "last words" not in caught.value.message


async def test_a_process_that_dies_in_the_middle_of_its_answer_has_died() -> None:
    process = ScriptedProcess([[message_start(), text_delta("one")]])
    worker = await boot(process)
    events = worker.run(a_job(), later())
    assert [await anext(events), await anext(events)] == [Started(MODEL, Usage(input=1, output=1)), TextDelta("one")]
    process.die()
    with pytest.raises(WorkerError) as caught:
        await soon(anext(events))
    assert caught.value.kind is ErrorKind.WORKER_DIED
    assert worker.protocol.state is State.DEAD
    with pytest.raises(WorkerError):
        await soon(worker.recover(PATIENCE))


@pytest.mark.parametrize("step", ["interrupt", "rewind_conversation", "load"])
async def test_a_process_that_dies_while_it_recovers_has_died(step: str) -> None:
    process = WilfulProcess([says("one", stop_reason="tool_use")[:-2]], dies_at=step)
    worker = await boot(process)
    await answer_of(worker, a_job())
    with pytest.raises(WorkerError) as caught:
        await soon(worker.recover(PATIENCE))
    assert caught.value.kind is ErrorKind.WORKER_DIED


@pytest.mark.parametrize("step", ["switch_model", "load", "ask"])
async def test_past_its_deadline_a_job_ends_wherever_it_is(step: str) -> None:
    worker = await boot(WilfulProcess(holds=step))
    job = a_job(user("a"), assistant("b"), user("c"), model="other")
    with pytest.raises(WorkerError) as caught:
        async for _ in worker.run(job, asyncio.get_running_loop().time()):
            pass
    assert caught.value.kind is ErrorKind.TIMEOUT


async def test_a_worker_that_does_not_stop_in_time_says_so() -> None:
    worker = await boot(WilfulProcess([[message_start()]], holds="interrupt"))
    async with aclosing(worker.run(a_job(), later())) as events:  # type: ignore[type-var]
        await anext(events)
    with pytest.raises(WorkerError) as caught:
        await worker.recover(0)
    assert caught.value.kind is ErrorKind.TIMEOUT


# Leaving early.


async def test_a_job_left_in_the_middle_is_stopped_and_the_next_is_answered_clean() -> None:
    process = ScriptedProcess([[message_start(), text_delta("one ")], says("two")])
    worker = await boot(process)
    async with aclosing(worker.run(a_job(), later())) as events:  # type: ignore[type-var]
        await anext(events)
    await worker.recover(PATIENCE)
    assert reads(await answer_of(worker, a_job())) == ("two", "")
    assert kinds(process.written) == ["ask", "interrupt", "rewind_conversation", "ask"]


async def test_a_job_left_while_its_history_goes_in_is_waited_for_not_interrupted() -> None:
    process = WilfulProcess([says("one")], holds="load")
    worker = await boot(process)
    left = asyncio.create_task(answer_of(worker, a_job(user("a"), assistant("b"), user("c"))))
    await soon(process.holding.wait())
    left.cancel()
    await asyncio.wait({left})
    process.release()
    await worker.recover(PATIENCE)
    assert reads(await answer_of(worker, a_job())) == ("one", "")
    assert kinds(process.written) == ["load", "rewind_conversation", "ask"]


async def test_a_job_that_was_answered_is_not_interrupted() -> None:
    process = ScriptedProcess([says("one")])
    worker = await boot(process)
    await answer_of(worker, a_job())
    await worker.recover(PATIENCE)
    assert kinds(process.written) == ["ask"]


async def test_every_job_is_counted_even_one_that_fails() -> None:
    worker = await boot(ScriptedProcess([says("one"), [result(is_error=True, api_error_status=529)]]))
    await answer_of(worker, a_job())
    await worker.recover(PATIENCE)
    await failure_of(worker)
    assert worker.jobs == 2
