"""Tests of the frames that a job sends to a process that already holds a conversation."""

import asyncio
from contextlib import aclosing

import pytest

from tests.events import each_event
from tests.workers.helpers import (
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
    tool_call_frames,
)
from workers.core.errors import WorkerError
from workers.core.frame import Frame
from workers.core.job import ChatJob, Text, ToolDefinition, ToolResult, ToolUse, Turn
from workers.worker.chat_worker import ChatWorker
from workers.worker.prepared_job import prepare_chat_job

FIRST = user_turn("hi")
REPLY = assistant_turn("one")
TOOLS = (ToolDefinition("f", "", {}),)
CALL = Turn("assistant", (ToolUse("call_1", "f", {"a": 1}),))
RESULTS = Turn("user", (ToolResult("call_1", (Text("sunny"),)),))


async def run_and_recover(worker: ChatWorker, job: ChatJob) -> None:
    await collect_events(worker, job)
    await worker.recover(TIMEOUT_SECONDS)


def make_tool_job(*turns: Turn) -> ChatJob:
    job = make_job(*turns)
    return ChatJob(job.key_id, job.model, job.turns, tools=TOOLS)


def list_rewinds(process: ScriptedProcess) -> list[tuple[str, str]]:
    """List the target of each rewind, and the newest user message that the request names."""
    return [
        (request["target_message_uuid"], request["last_seen_user_message_uuid"])
        for request in process.get_control_requests("rewind_conversation")
    ]


def list_user_uuids(process: ScriptedProcess) -> list[str]:
    """List the ids of all user turns that were sent."""
    return [frame["uuid"] for frame in process.written_frames if frame["type"] == "user"]


async def test_continuing_the_conversation_sends_only_the_prompt() -> None:
    process = ScriptedProcess([text_reply_frames("one"), text_reply_frames("two")])
    worker = await start_worker(process)
    await run_and_recover(worker, make_job(FIRST))
    await run_and_recover(worker, make_job(FIRST, REPLY, user_turn("and?")))
    assert frame_kinds(process.written_frames) == ["prompt", "prompt"]


async def test_another_conversation_rewinds_to_the_first_user_turn() -> None:
    process = ScriptedProcess([text_reply_frames("one"), text_reply_frames("two"), text_reply_frames("three")])
    worker = await start_worker(process)
    await run_and_recover(worker, make_job(FIRST))
    await run_and_recover(worker, make_job(FIRST, REPLY, user_turn("and?")))
    first, newest = list_user_uuids(process)
    await run_and_recover(worker, make_job(user_turn("something else")))
    assert frame_kinds(process.written_frames) == ["prompt", "prompt", "rewind_conversation", "prompt"]
    assert list_rewinds(process) == [(first, newest)]


async def test_repeated_prompt_rewinds_only_the_last_exchange() -> None:
    process = ScriptedProcess([text_reply_frames("one"), text_reply_frames("two"), text_reply_frames("three")])
    worker = await start_worker(process)
    await run_and_recover(worker, make_job(FIRST))
    for _ in range(2):
        await run_and_recover(worker, make_job(FIRST, REPLY, user_turn("and?")))
    assert frame_kinds(process.written_frames) == ["prompt", "prompt", "rewind_conversation", "prompt"]
    _, second, _ = list_user_uuids(process)
    assert list_rewinds(process) == [(second, second)]


async def test_branch_keeps_the_common_prefix_and_replays_the_rest() -> None:
    process = ScriptedProcess([text_reply_frames("one")])
    worker = await start_worker(process)
    turns = [user_turn("a"), assistant_turn("b"), user_turn("c"), assistant_turn("d"), user_turn("e")]
    await run_and_recover(worker, make_job(*turns))
    process.written_frames.clear()
    process._replies = iter([text_reply_frames("two")])
    await run_and_recover(worker, make_job(*turns[:2], user_turn("C"), assistant_turn("D"), user_turn("E")))
    assert frame_kinds(process.written_frames) == ["rewind_conversation", "replay_user", "replay_assistant", "prompt"]


@pytest.mark.parametrize("end", ["error", "abandoned"])
async def test_failed_or_abandoned_prompt_is_sent_again_without_the_history(end: str) -> None:
    failed = (
        [result_frame(is_error=True, api_error_status=529)]
        if end == "error"
        else [message_start_frame(), text_delta_frame("o")]
    )
    process = ScriptedProcess([text_reply_frames("one"), failed, text_reply_frames("two")])
    worker = await start_worker(process)
    await run_and_recover(worker, make_job(FIRST))
    job = make_job(FIRST, REPLY, user_turn("and?"))
    try:
        async with aclosing(each_event(worker.run(prepare_chat_job(job), far_deadline()))) as events:  # type: ignore[type-var]
            await anext(events)
    except Exception:
        assert end == "error"
    await worker.recover(TIMEOUT_SECONDS)
    process.written_frames.clear()
    await run_and_recover(worker, job)
    assert frame_kinds(process.written_frames) == ["rewind_conversation", "prompt"]


async def test_only_the_prompt_and_the_tool_call_remain_after_a_tool_call() -> None:
    process = ScriptedProcess([tool_call_frames(), text_reply_frames("done")])
    worker = await start_worker(process)
    await run_and_recover(worker, make_tool_job(FIRST))
    assert frame_kinds(process.written_frames)[-5:] == [
        "prompt",
        "interrupt",
        "rewind_conversation",
        "replay_user",
        "replay_assistant",
    ]
    replayed = next(frame for frame in reversed(process.written_frames) if frame_kind(frame) == "replay_assistant")
    assert replayed["message"]["content"] == [{"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}}]
    process.written_frames.clear()
    await run_and_recover(worker, make_tool_job(FIRST, CALL, RESULTS))
    assert frame_kinds(process.written_frames) == ["prompt"]


async def test_second_tool_call_rewinds_to_the_reply_after_the_first_results() -> None:
    """The CLI does not rewind to a turn with tool results, because that would separate them from their call."""
    process = ScriptedProcess([tool_call_frames(), tool_call_frames(), text_reply_frames("done")])
    worker = await start_worker(process)
    await run_and_recover(worker, make_tool_job(FIRST))
    process.written_frames.clear()
    await run_and_recover(worker, make_tool_job(FIRST, CALL, RESULTS))
    assert frame_kinds(process.written_frames) == ["prompt", "interrupt", "rewind_conversation", "replay_assistant"]
    [request] = process.get_control_requests("rewind_conversation")
    assert (request["target_message_uuid"], request["allow_assistant_target"]) == ("of-the-call", True)
    process.written_frames.clear()
    await run_and_recover(worker, make_tool_job(FIRST, CALL, RESULTS, CALL, RESULTS))
    assert frame_kinds(process.written_frames) == ["prompt"]


async def test_failure_after_the_first_tool_results_is_removed_before_the_client_repeats_them() -> None:
    failed = [result_frame(is_error=True, api_error_status=529)]
    process = ScriptedProcess([tool_call_frames(), failed, text_reply_frames("done")])
    worker = await start_worker(process)
    await run_and_recover(worker, make_tool_job(FIRST))
    job = make_tool_job(FIRST, CALL, RESULTS)
    with pytest.raises(Exception, match="overloaded"):
        await collect_events(worker, job)
    process.written_frames.clear()
    await worker.recover(TIMEOUT_SECONDS)
    assert frame_kinds(process.written_frames) == ["rewind_conversation", "replay_user", "replay_assistant"]
    assert worker.transcript.conversation_key == prepare_chat_job(job).keys.history_key
    process.written_frames.clear()
    await run_and_recover(worker, job)
    assert frame_kinds(process.written_frames) == ["prompt"]


async def test_failure_after_later_tool_results_removes_only_the_call_and_its_results() -> None:
    failed = [result_frame(is_error=True, api_error_status=529)]
    process = ScriptedProcess([tool_call_frames(), tool_call_frames(), failed, text_reply_frames("done")])
    worker = await start_worker(process)
    await run_and_recover(worker, make_tool_job(FIRST))
    await run_and_recover(worker, make_tool_job(FIRST, CALL, RESULTS))
    job = make_tool_job(FIRST, CALL, RESULTS, CALL, RESULTS)
    with pytest.raises(Exception, match="overloaded"):
        await collect_events(worker, job)
    await worker.recover(TIMEOUT_SECONDS)
    *_, call_frame = [frame for frame in process.written_frames if frame_kind(frame) == "replay_assistant"]
    process.written_frames.clear()
    await run_and_recover(worker, job)
    assert frame_kinds(process.written_frames) == ["rewind_conversation", "replay_assistant", "prompt"]
    assert list_rewinds(process)[-1][0] == call_frame["uuid"]
    assert process.written_frames[1]["message"]["content"] == call_frame["message"]["content"]


async def test_repeated_tool_results_replay_the_call_that_the_model_made() -> None:
    """The client may send the call back without the thinking before it."""
    thinking = {"type": "thinking", "thinking": "", "signature": ""}
    call = tool_call_frames()
    reply = [
        call[0],
        block_start_frame(**thinking),
        stream_event_frame("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "hm"}),
        stream_event_frame("content_block_delta", index=0, delta={"type": "signature_delta", "signature": "s"}),
        stream_event_frame("content_block_stop", index=0),
        *call[1:],
    ]
    process = ScriptedProcess([reply, text_reply_frames("done"), text_reply_frames("again")])
    worker = await start_worker(process)
    await run_and_recover(worker, make_tool_job(FIRST))
    job = make_tool_job(FIRST, CALL, RESULTS)
    await run_and_recover(worker, job)
    process.written_frames.clear()
    await run_and_recover(worker, job)
    assert frame_kinds(process.written_frames) == ["rewind_conversation", "replay_user", "replay_assistant", "prompt"]
    kinds = [block["type"] for block in process.written_frames[2]["message"]["content"]]
    assert kinds == ["thinking", "tool_use"]


async def test_shows_the_key_of_the_conversation_during_its_repair() -> None:
    process = MisbehavingProcess([tool_call_frames()], hold="rewind_conversation")
    worker = await start_worker(process)
    await collect_events(worker, make_tool_job(FIRST))
    recovering = asyncio.create_task(worker.recover(TIMEOUT_SECONDS))
    await with_timeout(process.frame_held.wait())
    key = prepare_chat_job(make_tool_job(FIRST, CALL, RESULTS)).keys.history_key
    assert (worker.transcript.conversation_key, worker.transcript.repaired_conversation_key) == (None, key)
    process.release_held_frames()
    await with_timeout(recovering)
    assert (worker.transcript.conversation_key, worker.transcript.repaired_conversation_key) == (key, None)


async def test_conversation_with_an_incomplete_tool_call_cannot_continue() -> None:
    broken = [frame for frame in tool_call_frames() if frame["type"] == "stream_event"]
    broken[2] = stream_event_frame("content_block_delta", delta={"type": "input_json_delta", "partial_json": '{"a'})
    broken[-1] = stream_event_frame("message_delta", delta={"stop_reason": "max_tokens"})
    process = ScriptedProcess([broken])
    worker = await start_worker(process)
    await run_and_recover(worker, make_tool_job(FIRST))
    assert worker.transcript.conversation_key is None


async def test_process_that_does_not_rewind_is_not_used_again() -> None:
    response = {"subtype": "success", "request_id": "", "response": {"rewound": False}}

    class ProcessWithoutRewind(MisbehavingProcess):
        def _handle_frame(self, frame: Frame) -> list[Frame]:
            if frame.get("request", {}).get("subtype") == "rewind_conversation":
                return [{"type": "control_response", "response": {**response, "request_id": frame["request_id"]}}]
            return super()._handle_frame(frame)

    worker = await start_worker(ProcessWithoutRewind([text_reply_frames("one")]))
    await run_and_recover(worker, make_job(FIRST))
    with pytest.raises(WorkerError) as caught:
        await collect_events(worker, make_job(user_turn("a"), assistant_turn("b"), user_turn("c")))
    assert caught.value.is_retryable
    with pytest.raises(WorkerError):
        await worker.recover(TIMEOUT_SECONDS)


async def test_rewind_of_an_abandoned_job_is_applied_on_recovery() -> None:
    process = MisbehavingProcess([text_reply_frames("one"), text_reply_frames("two")])
    worker = await start_worker(process)
    await run_and_recover(worker, make_job(FIRST))
    process.hold = "rewind_conversation"
    abandoned = asyncio.create_task(collect_events(worker, make_job(user_turn("other"))))
    await with_timeout(process.frame_held.wait())
    abandoned.cancel()
    await asyncio.wait({abandoned})
    process.release_held_frames()
    await worker.recover(TIMEOUT_SECONDS)
    process.written_frames.clear()
    await collect_events(worker, make_job(user_turn("third")))
    # The conversation was empty already, so no rewind was needed.
    assert frame_kinds(process.written_frames) == ["prompt"]
