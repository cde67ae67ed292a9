import asyncio
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import orjson
import pytest

from tests.events import each_event
from tests.workers.helpers import (
    MODEL,
    TIMEOUT_SECONDS,
    MisbehavingProcess,
    assistant_turn,
    collect_events,
    far_deadline,
    frame_kind,
    frame_kinds,
    make_job,
    start_worker,
    user_turn,
    visible_text_and_thinking,
    wait_until,
    with_timeout,
)
from tests.workers.scripted_process import (
    ScriptedProcess,
    block_start_frame,
    message_start_frame,
    result_frame,
    stream_event_frame,
    text_delta_frame,
    text_reply_frames,
)
from workers.cli.frames import FrameError
from workers.cli.output_reader import CanWait
from workers.cli.protocol import ProtocolState
from workers.core.errors import ErrorKind, WorkerError
from workers.core.events import BlockEnded, BlockStarted, Finished, Started, TextDelta, TokenUsage
from workers.core.frame import Frame
from workers.core.job import ToolDefinition
from workers.worker.chat_worker import ChatWorker
from workers.worker.prepared_job import prepare_chat_job

SHORT, LONG = 10, 30_000
REJECTION = "API Error: 400 too odd"


def list_sent_values(process: ScriptedProcess, variable: str) -> list[str]:
    environments = [
        request["settings"].get("env", {}) for request in process.get_control_requests("apply_flag_settings")
    ]
    return [environment[variable] for environment in environments if variable in environment]


def list_request_limits(process: ScriptedProcess) -> list[str]:
    """List each change of the number of further requests that the CLI may send within a turn."""
    return list_sent_values(process, "MAX_STRUCTURED_OUTPUT_RETRIES")


async def failure_of(worker: ChatWorker, **job: str) -> WorkerError:
    with pytest.raises(WorkerError) as caught:
        await with_timeout(collect_events(worker, make_job(**job)))
    return caught.value


async def start_failure(process: ScriptedProcess, timeout: float = TIMEOUT_SECONDS) -> WorkerError:
    async def spawn(_: object) -> ScriptedProcess:
        return process

    with pytest.raises(WorkerError) as caught:
        await with_timeout(ChatWorker(spawn, MODEL).start(timeout))
    assert caught.value.kind is ErrorKind.START_FAILED
    return caught.value


class StderrLoggingProcess(ScriptedProcess):
    """Writes the error message of the upstream to stderr when it gets a prompt, before it answers."""

    def __init__(self, errors: Iterable[tuple[str, str]]) -> None:
        """Create a process that rejects each prompt.

        Args:
            errors: For each turn, the message of the upstream on stderr and the text in the frames.
        """
        self._errors = list(errors)
        super().__init__(
            [[result_frame(is_error=True, api_error_status=400, result=text)] for _, text in self._errors],
        )

    def _handle_frame(self, frame: Frame) -> list[Frame]:
        if frame["type"] == "user" and self._errors and frame.get("shouldQuery") is not False:
            message, _ = self._errors.pop(0)
            body = f'{{"type":"error","error":{{"type":"invalid_request_error","message":"{message}"}}}}'
            self.stderr += f"2026-11-30T10:17:26.143Z [ERROR] Error in API request: 400 {body}\n" if message else ""
        return super()._handle_frame(frame)


class InvalidOutputProcess(ScriptedProcess):
    """Writes a line that is not a frame in response to a prompt."""

    async def read(self, deadline: float | None = None, can_wait: CanWait | None = None) -> list[Frame]:
        frames = await super().read(deadline, can_wait)
        if any(frame.get("is_invalid") for frame in frames):
            raise FrameError("not JSON: b'Segmentation'")
        return frames


# Start.


async def test_started_worker_has_no_thinking_budget_and_no_token_limit() -> None:
    process = ScriptedProcess()

    async def spawn(_: object) -> ScriptedProcess:
        return process

    worker = ChatWorker(spawn, MODEL)
    await with_timeout(worker.start(TIMEOUT_SECONDS))
    assert frame_kinds(process.written_frames) == ["initialize", "set_max_thinking_tokens", "apply_flag_settings"]
    assert process.get_control_requests("set_max_thinking_tokens")[0]["max_thinking_tokens"] == 0
    assert list_sent_values(process, "CLAUDE_CODE_MAX_OUTPUT_TOKENS") == [""]
    assert list_request_limits(process) == ["0"]
    assert worker.protocol.account == {"apiKeySource": "ANTHROPIC_API_KEY"}


async def test_reports_a_process_that_exits_during_its_start_with_its_stderr() -> None:
    failure = await start_failure(MisbehavingProcess(exit_at="set_max_thinking_tokens"))
    assert failure.detail == "its last line"


async def test_reports_a_process_that_exits_before_any_output_with_its_stderr() -> None:
    process = ScriptedProcess()
    process.stderr = "cannot find a shared library"
    process.exit_with()
    assert (await start_failure(process)).detail == "cannot find a shared library"


async def test_reports_a_process_that_does_not_start_in_time() -> None:
    failure = await start_failure(MisbehavingProcess(hold="initialize"), timeout=0)
    assert "in time" in failure.message


@pytest.mark.parametrize("subtype", ["initialize", "set_max_thinking_tokens", "apply_flag_settings"])
async def test_does_not_use_a_process_that_rejects_its_first_settings(subtype: str) -> None:
    await start_failure(MisbehavingProcess(reject=subtype))


async def test_does_not_use_a_process_that_answers_its_start_with_an_incomplete_frame() -> None:
    await start_failure(MisbehavingProcess(substitute=("initialize", [{"type": "control_response"}])))


async def test_reports_a_program_that_cannot_be_started_without_its_path() -> None:
    async def spawn(_: object) -> ScriptedProcess:
        raise FileNotFoundError(2, "No such file", "/opt/secret/claude")

    with pytest.raises(WorkerError) as caught:
        await ChatWorker(spawn, MODEL).start(TIMEOUT_SECONDS)
    assert caught.value.kind is ErrorKind.START_FAILED
    assert "/opt/secret" not in caught.value.message
    assert "/opt/secret" in caught.value.detail


async def test_can_stop_a_worker_that_was_never_started() -> None:
    async def spawn(_: object) -> ScriptedProcess:
        raise OSError

    await with_timeout(ChatWorker(spawn, MODEL).stop())


# Frames that are sent for a job.


async def test_job_with_default_settings_sends_one_frame() -> None:
    process = ScriptedProcess([text_reply_frames("one two")])
    worker = await start_worker(process)
    events = await collect_events(worker, make_job())
    assert frame_kinds(process.written_frames) == ["prompt"]
    assert visible_text_and_thinking(events) == ("one two", "")
    assert events[0] == Started(MODEL, TokenUsage(input_tokens=1, output_tokens=1))
    assert isinstance(events[-1], Finished)


# The frames that repair a conversation after a reply that ended before the CLI's turn did.
_REPAIR_FRAMES = ("rewind_conversation", "replay_user", "replay_assistant")


async def test_sends_settings_only_if_they_differ() -> None:
    process = ScriptedProcess([text_reply_frames("one")] * 3)
    worker = await start_worker(process)
    for _ in range(2):
        await collect_events(worker, make_job(system="be brief", max_tokens=LONG))
        await worker.recover(TIMEOUT_SECONDS)
    await collect_events(worker, make_job(system="be long", max_tokens=LONG))
    first, second, third = (
        ["apply_flag_settings", "prompt"],
        ["rewind_conversation", "prompt"],
        ["rewind_conversation", "apply_flag_settings", "prompt"],
    )
    assert frame_kinds(process.written_frames) == [*first, *second, *third]


def list_extra_bodies(process: ScriptedProcess) -> list[dict[str, Any]]:
    return [orjson.loads(body) for body in list_sent_values(process, "CLAUDE_CODE_EXTRA_BODY")]


async def test_system_prompt_replaces_the_prompt_of_the_cli_for_its_job_only() -> None:
    process = ScriptedProcess([text_reply_frames("one")] * 2)
    worker = await start_worker(process)
    await collect_events(worker, make_job(system="be brief"))
    await worker.recover(TIMEOUT_SECONDS)
    await collect_events(worker, make_job())
    block = {"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}
    assert [body["system"] for body in list_extra_bodies(process)] == [[block], []]
    assert not process.get_control_requests("set_model")
    assert not worker.system_prompt_was_set


async def test_system_prompt_follows_the_prompt_of_the_cli_with_a_cli_login() -> None:
    process = ScriptedProcess([text_reply_frames("one")])
    worker = await start_worker(process, system_in_body=False)
    await collect_events(worker, make_job(system="be brief"))
    [request] = process.get_control_requests("set_model")
    assert request["system_prompt"] == "be brief"
    assert request["only_if_model_is_current"] is True
    assert worker.system_prompt_was_set
    assert not any("system" in body for body in list_extra_bodies(process))


async def test_sends_tools_in_the_body_and_registers_only_their_names() -> None:
    process = ScriptedProcess([text_reply_frames("one")] * 2)
    worker = await start_worker(process)
    schema = {"type": "object", "properties": {"\uff21": {"type": "string"}}}
    tools = (ToolDefinition("zeta", "a\n\nb", {"type": "object"}, strict=True), ToolDefinition("fs/read", "", schema))
    await collect_events(worker, replace(make_job(), tools=tools))
    [body] = list_extra_bodies(process)
    assert body["tools"] == [
        {"name": "zeta", "description": "a\n\nb", "input_schema": {"type": "object"}, "strict": True},
        {
            "name": "fs_read",
            "input_schema": {"type": "object", "properties": {"A": {"title": "\uff21", "type": "string"}}},
        },
    ]
    registration = next(frame for frame in process.written_frames if frame["type"] == "control_response")
    listed = registration["response"]["response"]["mcp_response"]["result"]["tools"]
    assert [(tool["name"], tool["description"], tool["inputSchema"]) for tool in listed] == [
        ("fs_read", "", {"type": "object"}),
        ("zeta", "", {"type": "object"}),
    ]
    await worker.recover(TIMEOUT_SECONDS)
    await collect_events(worker, make_job())
    assert "tools" not in list_extra_bodies(process)[-1]


async def test_does_not_register_the_same_tool_names_again_for_other_descriptions() -> None:
    process = ScriptedProcess([text_reply_frames("one")] * 2)
    worker = await start_worker(process)
    for description in ("about the web", "about medicine"):
        await collect_events(worker, replace(make_job(), tools=(ToolDefinition("search", description, {}),)))
        await worker.recover(TIMEOUT_SECONDS)
    assert [body["tools"][0]["description"] for body in list_extra_bodies(process)] == [
        "about the web",
        "about medicine",
    ]
    assert len(process.get_control_requests("mcp_set_servers")) == 1


async def test_token_limit_of_a_job_does_not_apply_to_the_next_job() -> None:
    process = ScriptedProcess([text_reply_frames("one")] * 2)
    worker = await start_worker(process)
    for limit in (LONG, None):
        await collect_events(worker, make_job(max_tokens=limit))
        await worker.recover(TIMEOUT_SECONDS)
    limits = list_sent_values(process, "CLAUDE_CODE_MAX_OUTPUT_TOKENS")
    assert (set(limits[:-1]), limits[-1]) == ({str(LONG)}, "")


async def test_waits_for_a_model_switch_before_it_sends_anything_else() -> None:
    process = MisbehavingProcess([text_reply_frames("one")], hold="switch_model")
    worker = await start_worker(process)
    reply_task = asyncio.create_task(
        collect_events(worker, make_job(user_turn("a"), assistant_turn("b"), user_turn("c"), model="other"))
    )
    await with_timeout(process.frame_held.wait())
    await asyncio.sleep(0)
    assert frame_kinds(process.written_frames) == ["switch_model"]
    process.release_held_frames()
    await with_timeout(reply_task)
    assert frame_kinds(process.written_frames) == ["switch_model", "replay_user", "replay_assistant", "prompt"]
    assert process.get_control_requests("apply_flag_settings")[0]["settings"] == {"model": "other"}
    assert worker.model == "other"


async def test_replays_the_history_turn_by_turn_and_waits_for_each() -> None:
    process = MisbehavingProcess([text_reply_frames("one")], hold="replay_user")
    worker = await start_worker(process)
    turns = (user_turn("a"), assistant_turn("b"), user_turn("c"), assistant_turn("d"), user_turn("e"))
    reply_task = asyncio.create_task(collect_events(worker, make_job(*turns)))
    await with_timeout(process.frame_held.wait())
    await asyncio.sleep(0)
    assert frame_kinds(process.written_frames) == ["replay_user"]
    process.release_held_frames()
    await with_timeout(reply_task)
    assert frame_kinds(process.written_frames) == [
        "replay_user",
        "replay_assistant",
        "replay_user",
        "replay_assistant",
        "prompt",
    ]
    assert [frame["message"]["content"] for frame in process.written_frames] == [
        [{"type": "text", "text": t}] for t in "abcde"
    ]


async def test_rejects_an_unknown_request_of_the_cli_and_continues_the_reply() -> None:
    callback = {"type": "control_request", "request_id": "r1", "request": {"subtype": "hook_callback"}}
    process = ScriptedProcess([[callback, *text_reply_frames("one")]])
    worker = await start_worker(process)
    assert visible_text_and_thinking(await collect_events(worker, make_job())) == ("one", "")
    [response] = [frame for frame in process.written_frames if frame["type"] == "control_response"]
    assert response["response"]["subtype"] == "error"


# Each job sends one upstream request.

ENDED_EARLY = result_frame(is_error=True, subtype="error_max_structured_output_retries")


async def test_repairs_a_truncated_reply_after_the_cli_has_ended_the_turn() -> None:
    process = ScriptedProcess([[*text_reply_frames("one two", stop_reason="max_tokens")[:-1], ENDED_EARLY]])
    worker = await start_worker(process)
    events = await collect_events(worker, make_job(max_tokens=SHORT))
    assert isinstance(events[-1], Finished)
    assert events[-1].stop_reason == "max_tokens"
    process.written_frames.clear()
    await worker.recover(TIMEOUT_SECONDS)
    assert frame_kinds(process.written_frames)[-3:] == [*_REPAIR_FRAMES]


def tool_call_frames(name: str) -> list[Frame]:
    """Return the frames of a tool call and of the CLI's own result for it."""
    tool_result = {"type": "tool_result", "tool_use_id": name, "content": "No such tool available", "is_error": True}
    return [
        block_start_frame(type="tool_use", id=name, name=name, input={}),
        {"type": "user", "message": {"role": "user", "content": [tool_result]}},
        stream_event_frame("content_block_stop", index=0),
    ]


async def test_reads_the_rest_of_a_reply_after_a_call_of_an_unregistered_tool() -> None:
    end = stream_event_frame("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 1})
    process = ScriptedProcess([[message_start_frame(), *tool_call_frames("unknown"), *tool_call_frames("f"), end]])
    worker = await start_worker(process)
    events = await collect_events(worker, replace(make_job(), tools=(ToolDefinition("f", "", {"type": "object"}),)))
    names = [event.block.name for event in events if isinstance(event, BlockStarted)]  # type: ignore[union-attr]
    assert names == ["unknown", "f"]
    assert list_request_limits(process)[-2:] == ["1000000", "0"]


async def test_reply_ends_with_the_call_of_an_unregistered_tool_if_the_cli_ends_the_turn_there() -> None:
    process = ScriptedProcess([[message_start_frame(), *tool_call_frames("unknown")[:-1], ENDED_EARLY]])
    worker = await start_worker(process)
    events = await collect_events(worker, make_job())
    assert [type(event) for event in events] == [Started, BlockStarted, BlockEnded, Finished]
    assert events[-1].stop_reason == "tool_use"  # type: ignore[union-attr]


@pytest.mark.parametrize("reason", ["end_turn", "stop_sequence"])
async def test_reply_without_text_ends_when_the_cli_asks_for_more(reason: str) -> None:
    empty_reply = [
        message_start_frame(),
        stream_event_frame("message_delta", delta={"stop_reason": reason}, usage={"output_tokens": 1}),
        stream_event_frame("message_stop"),
    ]
    request = {
        "type": "user",
        "isSynthetic": True,
        "message": {"content": [{"type": "text", "text": "Say something."}]},
    }
    process = ScriptedProcess([[*empty_reply, request], text_reply_frames("next")])
    worker = await start_worker(process)
    events = await collect_events(worker, make_job())
    assert events[-1] == Finished(reason, TokenUsage(input_tokens=1, output_tokens=1))  # type: ignore[arg-type]
    await worker.recover(TIMEOUT_SECONDS)
    await collect_events(worker, make_job(user_turn("now"), assistant_turn("x"), user_turn("then")))
    assert "rewind_conversation" in frame_kinds(process.written_frames)


# Failures.


async def test_upstream_error_ends_the_job_but_not_the_worker() -> None:
    rejection = result_frame(is_error=True, api_error_status=400, result=REJECTION)
    process = ScriptedProcess([[rejection], text_reply_frames("one")])
    worker = await start_worker(process)
    failure = await failure_of(worker)
    assert (failure.kind, failure.message) == (ErrorKind.INVALID_REQUEST, "too odd")
    await worker.recover(TIMEOUT_SECONDS)
    assert visible_text_and_thinking(await collect_events(worker, make_job())) == ("one", "")


async def test_next_job_has_its_own_model_after_a_job_was_abandoned_during_a_model_switch() -> None:
    process = MisbehavingProcess([text_reply_frames("one")], hold="switch_model")
    worker = await start_worker(process)
    abandoned = asyncio.create_task(collect_events(worker, make_job(model="other", system="be brief")))
    await with_timeout(process.frame_held.wait())
    abandoned.cancel()
    await asyncio.wait({abandoned})
    process.release_held_frames()
    await worker.recover(TIMEOUT_SECONDS)
    await collect_events(worker, make_job(system="be long"))
    models = [request["settings"].get("model") for request in process.get_control_requests("apply_flag_settings")]
    assert [model for model in models if model] == ["other", MODEL]


async def test_worker_that_rejected_a_setting_is_not_used_again() -> None:
    process = MisbehavingProcess([text_reply_frames("one")])
    worker = await start_worker(process)
    process.reject = "apply_flag_settings"
    with pytest.raises(WorkerError) as caught:
        await with_timeout(collect_events(worker, make_job(max_tokens=LONG)))
    assert caught.value.kind is ErrorKind.PROTOCOL_ERROR
    with pytest.raises(WorkerError):
        await with_timeout(worker.recover(TIMEOUT_SECONDS))


async def test_reports_a_rejected_request_with_the_message_of_the_upstream() -> None:
    worker = await start_worker(
        StderrLoggingProcess([("image exceeds 5 MB maximum", "Image was too large. Try resizing the image.")])
    )

    failure = await failure_of(worker)

    assert (failure.kind, failure.message) == (ErrorKind.INVALID_REQUEST, "image exceeds 5 MB maximum")


async def test_does_not_report_the_upstream_message_of_an_earlier_turn() -> None:
    worker = await start_worker(
        StderrLoggingProcess([("of the first", "Image was too large."), ("", "API Error: 400 of the second")])
    )
    await failure_of(worker)
    await with_timeout(worker.recover(TIMEOUT_SECONDS))

    assert (await failure_of(worker)).message == "of the second"


async def test_reports_a_too_long_conversation_without_a_message_of_the_upstream() -> None:
    worker = await start_worker(StderrLoggingProcess([("", "Prompt is too long")]))

    failure = await failure_of(worker)

    assert (failure.kind, failure.message) == (ErrorKind.CONTEXT_LENGTH_EXCEEDED, "prompt is too long")


async def test_worker_that_sent_an_invalid_frame_is_not_used_again() -> None:
    process = InvalidOutputProcess([[{"type": "system", "is_invalid": True}]])
    worker = await start_worker(process)
    failure = await failure_of(worker)
    assert failure.kind is ErrorKind.PROTOCOL_ERROR
    assert "Segmentation" in failure.detail
    with pytest.raises(WorkerError):
        await with_timeout(worker.recover(TIMEOUT_SECONDS))


async def test_worker_whose_turn_ends_without_a_reply_is_not_used_again() -> None:
    """It is unknown which turn has ended, so the next job could receive the reply of this one."""
    process = ScriptedProcess([[result_frame()]])
    worker = await start_worker(process)
    assert (await failure_of(worker)).kind is ErrorKind.PROTOCOL_ERROR
    with pytest.raises(WorkerError):
        await with_timeout(worker.recover(TIMEOUT_SECONDS))


@pytest.mark.parametrize("step", ["rewind_conversation", "replay_user", "prompt"])
async def test_gives_up_a_process_that_does_not_react_long_before_the_deadline(step: str) -> None:
    process = MisbehavingProcess([text_reply_frames("before"), []])
    worker = await start_worker(process, timeout_seconds=0.01)
    await collect_events(worker, make_job())
    process.hold = step
    with pytest.raises(WorkerError) as caught:
        await with_timeout(collect_events(worker, make_job(user_turn("a"), assistant_turn("b"), user_turn("c"))))
    assert caught.value.kind is ErrorKind.PROTOCOL_ERROR
    with pytest.raises(WorkerError):
        await with_timeout(worker.recover(TIMEOUT_SECONDS))


class FreezingProcess(MisbehavingProcess):
    """Stops reacting at a switch of the model, or once it has begun a reply."""

    is_frozen = False

    def _handle_frame(self, frame: Frame) -> list[Frame]:
        frames = [] if self.is_frozen else super()._handle_frame(frame)
        self.is_frozen = self.is_frozen or frame_kind(frame) in ("switch_model", "prompt")
        return [] if frame_kind(frame) == "switch_model" else frames


@pytest.mark.parametrize("model", [MODEL, "other"])
async def test_gives_up_a_process_that_freezes_in_a_reply_or_a_model_switch(
    model: str,
) -> None:
    worker = await start_worker(
        FreezingProcess([[message_start_frame(), text_delta_frame("no")]]), timeout_seconds=0.05
    )
    assert (await failure_of(worker, model=model)).kind is ErrorKind.PROTOCOL_ERROR
    with pytest.raises(WorkerError):
        await with_timeout(worker.recover(TIMEOUT_SECONDS))


async def test_gives_up_a_frozen_process_early_enough_for_a_retry_before_a_near_deadline() -> None:
    worker = await start_worker(FreezingProcess([[message_start_frame()]]))
    deadline = asyncio.get_running_loop().time() + 4
    with pytest.raises(WorkerError) as caught:
        async for _ in each_event(worker.run(prepare_chat_job(make_job()), deadline)):
            pass
    assert caught.value.is_retryable


async def test_waits_for_a_slow_model() -> None:
    process = MisbehavingProcess(substitute=("prompt", [{"type": "system", "subtype": "init"}]))
    worker = await start_worker(process, timeout_seconds=0.1)
    reply_task = asyncio.create_task(collect_events(worker, make_job()))
    # The monitor pinged the process more than once, and the process responded.
    await wait_until(lambda: len(process.get_control_requests("set_max_thinking_tokens")) == 2 or reply_task.done())
    assert not reply_task.done()
    reply_task.cancel()
    await asyncio.wait({reply_task})


@pytest.mark.parametrize("step", ["switch_model", "replay_user", "replay_assistant", "prompt", "apply_flag_settings"])
async def test_reports_a_process_that_exits_at_any_step_of_a_job_with_its_stderr(step: str) -> None:
    process = MisbehavingProcess([text_reply_frames("one")])
    worker = await start_worker(process)
    process.exit_at = step
    job = make_job(user_turn("a"), assistant_turn("b"), user_turn("c"), model="other", max_tokens=LONG)
    with pytest.raises(WorkerError) as caught:
        await with_timeout(collect_events(worker, job))
    assert caught.value.kind is ErrorKind.WORKER_EXITED
    assert caught.value.detail == "its last line"
    assert "last line" not in caught.value.message


async def test_exit_in_the_middle_of_a_reply_is_reported_as_an_exit() -> None:
    process = ScriptedProcess([[message_start_frame(), text_delta_frame("one")]])
    worker = await start_worker(process)
    events = each_event(worker.run(prepare_chat_job(make_job()), far_deadline()))
    assert [await anext(events), await anext(events)] == [
        Started(MODEL, TokenUsage(input_tokens=1, output_tokens=1)),
        TextDelta("one"),
    ]
    process.exit_with()
    with pytest.raises(WorkerError) as caught:
        await with_timeout(anext(events))
    assert caught.value.kind is ErrorKind.WORKER_EXITED
    assert worker.protocol.state is ProtocolState.EXITED
    with pytest.raises(WorkerError):
        await with_timeout(worker.recover(TIMEOUT_SECONDS))


@pytest.mark.parametrize("step", ["interrupt", "rewind_conversation", "replay_user"])
async def test_exit_during_recovery_is_reported_as_an_exit(step: str) -> None:
    process = MisbehavingProcess([text_reply_frames("one", stop_reason="tool_use")[:-2]], exit_at=step)
    worker = await start_worker(process)
    await collect_events(worker, make_job())
    with pytest.raises(WorkerError) as caught:
        await with_timeout(worker.recover(TIMEOUT_SECONDS))
    assert caught.value.kind is ErrorKind.WORKER_EXITED


@pytest.mark.parametrize("step", ["switch_model", "replay_user", "prompt"])
async def test_job_times_out_at_its_deadline_in_any_step(step: str) -> None:
    worker = await start_worker(MisbehavingProcess(hold=step))
    job = make_job(user_turn("a"), assistant_turn("b"), user_turn("c"), model="other")
    with pytest.raises(WorkerError) as caught:
        async for _ in each_event(worker.run(prepare_chat_job(job), asyncio.get_running_loop().time())):
            pass
    assert caught.value.kind is ErrorKind.TIMEOUT


async def test_recovery_times_out_if_the_interrupt_is_not_answered() -> None:
    worker = await start_worker(MisbehavingProcess([[message_start_frame()]], hold="interrupt"))
    async with aclosing(each_event(worker.run(prepare_chat_job(make_job()), far_deadline()))) as events:  # type: ignore[type-var]
        await anext(events)
    with pytest.raises(WorkerError) as caught:
        await worker.recover(0)
    assert caught.value.kind is ErrorKind.TIMEOUT


# Abandoned jobs.


async def test_interrupts_an_abandoned_job_and_answers_the_next_one() -> None:
    process = ScriptedProcess([[message_start_frame(), text_delta_frame("one ")], text_reply_frames("two")])
    worker = await start_worker(process)
    async with aclosing(each_event(worker.run(prepare_chat_job(make_job()), far_deadline()))) as events:  # type: ignore[type-var]
        await anext(events)
    await worker.recover(TIMEOUT_SECONDS)
    assert visible_text_and_thinking(await collect_events(worker, make_job())) == ("two", "")
    assert frame_kinds(process.written_frames) == ["prompt", "interrupt", "rewind_conversation", "prompt"]


async def test_does_not_interrupt_a_job_that_is_abandoned_during_its_replay() -> None:
    process = MisbehavingProcess([text_reply_frames("one")], hold="replay_user")
    worker = await start_worker(process)
    abandoned = asyncio.create_task(
        collect_events(worker, make_job(user_turn("a"), assistant_turn("b"), user_turn("c")))
    )
    await with_timeout(process.frame_held.wait())
    abandoned.cancel()
    await asyncio.wait({abandoned})
    process.release_held_frames()
    await worker.recover(TIMEOUT_SECONDS)
    assert visible_text_and_thinking(await collect_events(worker, make_job())) == ("one", "")
    assert frame_kinds(process.written_frames) == ["replay_user", "rewind_conversation", "prompt"]


async def test_does_not_interrupt_a_completed_job() -> None:
    process = ScriptedProcess([text_reply_frames("one")])
    worker = await start_worker(process)
    await collect_events(worker, make_job())
    await worker.recover(TIMEOUT_SECONDS)
    assert frame_kinds(process.written_frames) == ["prompt"]


async def test_counts_every_job_including_failed_ones() -> None:
    worker = await start_worker(
        ScriptedProcess([text_reply_frames("one"), [result_frame(is_error=True, api_error_status=529)]])
    )
    await collect_events(worker, make_job())
    await worker.recover(TIMEOUT_SECONDS)
    await failure_of(worker)
    assert worker.job_count == 2
