"""What goes into a process for a job, given what stands in it already."""

import asyncio
from contextlib import aclosing

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
    soon,
    user,
)
from workers.errors import WorkerError
from workers.fake import ScriptedProcess, block_start, message_start, result, says, stream_event, text_delta
from workers.frames import Frame
from workers.job import ChatJob, Text, Tool, ToolResult, ToolUse, Turn
from workers.worker import Worker

FIRST = user("hi")
REPLY = assistant("one")
TOOLS = (Tool("f", "", {}),)
CALL = Turn("assistant", (ToolUse("call_1", "f", {"a": 1}),))
RESULTS = Turn("user", (ToolResult("call_1", (Text("sunny"),)),))


def calls(name: str = "f") -> list[Frame]:
    """The frames of an answer that is one call; the CLI then waits to be told whether it may."""
    asks = {"type": "control_request", "request_id": "r1", "request": {"subtype": "can_use_tool", "tool_name": name}}
    block = {"type": "tool_use", "id": "call_1", "name": name, "input": {"a": 1}}
    return [
        message_start(),
        block_start(type="tool_use", id="call_1", name=name),
        stream_event("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": '{"a":1}'}),
        {"type": "assistant", "uuid": "of-the-call", "message": {"model": MODEL, "content": [block]}},
        asks,
        stream_event("content_block_stop", index=0),
        stream_event("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 1}),
    ]


async def do(worker: Worker, job: ChatJob) -> None:
    await answer_of(worker, job)
    await worker.recover(PATIENCE)


def a_job_with_tools(*turns: Turn) -> ChatJob:
    job = a_job(*turns)
    return ChatJob(job.owner, job.model, job.turns, tools=TOOLS)


def rewound(process: ScriptedProcess) -> list[tuple[str, str]]:
    """Each cut: its target, and the newest question that the CLI was told of."""
    return [
        (request["target_message_uuid"], request["last_seen_user_message_uuid"])
        for request in process.sent("rewind_conversation")
    ]


def uuids(process: ScriptedProcess) -> list[str]:
    """Of every question and earlier turn that went in."""
    return [frame["uuid"] for frame in process.written if frame["type"] == "user"]


async def test_what_goes_on_costs_one_frame() -> None:
    process = ScriptedProcess([says("one"), says("two")])
    worker = await boot(process)
    await do(worker, a_job(FIRST))
    await do(worker, a_job(FIRST, REPLY, user("and?")))
    assert kinds(process.written) == ["ask", "ask"]


async def test_another_conversation_begins_in_front_of_the_first_question() -> None:
    process = ScriptedProcess([says("one"), says("two"), says("three")])
    worker = await boot(process)
    await do(worker, a_job(FIRST))
    await do(worker, a_job(FIRST, REPLY, user("and?")))
    first, newest = uuids(process)
    await do(worker, a_job(user("something else")))
    assert kinds(process.written) == ["ask", "ask", "rewind_conversation", "ask"]
    assert rewound(process) == [(first, newest)]


async def test_a_question_asked_again_takes_only_its_last_answer_back() -> None:
    process = ScriptedProcess([says("one"), says("two"), says("three")])
    worker = await boot(process)
    await do(worker, a_job(FIRST))
    for _ in range(2):
        await do(worker, a_job(FIRST, REPLY, user("and?")))
    assert kinds(process.written) == ["ask", "ask", "rewind_conversation", "ask"]
    _, second, _ = uuids(process)
    assert rewound(process) == [(second, second)]


async def test_a_branch_keeps_what_the_two_have_in_common() -> None:
    process = ScriptedProcess([says("one")])
    worker = await boot(process)
    turns = [user("a"), assistant("b"), user("c"), assistant("d"), user("e")]
    await do(worker, a_job(*turns))
    process.written.clear()
    process._answers = iter([says("two")])
    await do(worker, a_job(*turns[:2], user("C"), assistant("D"), user("E")))
    assert kinds(process.written) == ["rewind_conversation", "load", "append", "ask"]


@pytest.mark.parametrize("end", ["error", "left"])
async def test_a_question_that_failed_is_asked_again_without_its_history(end: str) -> None:
    failed = [result(is_error=True, api_error_status=529)] if end == "error" else [message_start(), text_delta("o")]
    process = ScriptedProcess([says("one"), failed, says("two")])
    worker = await boot(process)
    await do(worker, a_job(FIRST))
    job = a_job(FIRST, REPLY, user("and?"))
    try:
        async with aclosing(worker.run(job, later())) as events:  # type: ignore[type-var]
            await anext(events)
    except Exception:
        assert end == "error"
    await worker.recover(PATIENCE)
    process.written.clear()
    await do(worker, job)
    assert kinds(process.written) == ["rewind_conversation", "ask"]


async def test_after_a_call_exactly_the_question_and_the_call_are_left() -> None:
    process = ScriptedProcess([calls(), says("done")])
    worker = await boot(process)
    await do(worker, a_job_with_tools(FIRST))
    assert kinds(process.written)[-5:] == ["ask", "interrupt", "rewind_conversation", "load", "append"]
    appended = next(frame for frame in reversed(process.written) if kind(frame) == "append")["message"]["content"]
    assert appended == [{"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}}]
    process.written.clear()
    await do(worker, a_job_with_tools(FIRST, CALL, RESULTS))
    assert kinds(process.written) == ["ask"]


async def test_after_a_second_call_the_cut_is_behind_the_results_of_the_first() -> None:
    """The CLI would not cut in front of results: that parts them from their call."""
    process = ScriptedProcess([calls(), calls(), says("done")])
    worker = await boot(process)
    await do(worker, a_job_with_tools(FIRST))
    process.written.clear()
    await do(worker, a_job_with_tools(FIRST, CALL, RESULTS))
    assert kinds(process.written) == ["ask", "interrupt", "rewind_conversation", "append"]
    [request] = process.sent("rewind_conversation")
    assert (request["target_message_uuid"], request["allow_assistant_target"]) == ("of-the-call", True)
    process.written.clear()
    await do(worker, a_job_with_tools(FIRST, CALL, RESULTS, CALL, RESULTS))
    assert kinds(process.written) == ["ask"]


async def test_a_failure_behind_results_goes_back_to_the_question_before_them() -> None:
    failed = [result(is_error=True, api_error_status=529)]
    process = ScriptedProcess([calls(), failed, says("done")])
    worker = await boot(process)
    await do(worker, a_job_with_tools(FIRST))
    job = a_job_with_tools(FIRST, CALL, RESULTS)
    with pytest.raises(Exception, match="overloaded"):
        await answer_of(worker, job)
    await worker.recover(PATIENCE)
    process.written.clear()
    await do(worker, job)
    assert kinds(process.written) == ["rewind_conversation", "load", "append", "ask"]


async def test_a_call_that_broke_off_in_the_middle_is_not_gone_on_with() -> None:
    broken = [frame for frame in calls() if frame["type"] == "stream_event"]
    broken[2] = stream_event("content_block_delta", delta={"type": "input_json_delta", "partial_json": '{"a'})
    broken[-1] = stream_event("message_delta", delta={"stop_reason": "max_tokens"})
    process = ScriptedProcess([broken])
    worker = await boot(process)
    await do(worker, a_job_with_tools(FIRST))
    assert worker.standing.end is None


async def test_a_process_that_does_not_cut_its_conversation_is_not_used_again() -> None:
    refusal = {"subtype": "success", "request_id": "", "response": {"rewound": False}}

    class Stubborn(WilfulProcess):
        def _reply(self, frame: Frame) -> list[Frame]:
            if frame.get("request", {}).get("subtype") == "rewind_conversation":
                return [{"type": "control_response", "response": {**refusal, "request_id": frame["request_id"]}}]
            return super()._reply(frame)

    worker = await boot(Stubborn([says("one")]))
    await do(worker, a_job(FIRST))
    with pytest.raises(WorkerError) as caught:
        await answer_of(worker, a_job(user("a"), assistant("b"), user("c")))
    assert caught.value.another_attempt_could_help
    with pytest.raises(WorkerError):
        await worker.recover(PATIENCE)


async def test_a_client_that_leaves_while_a_conversation_is_cut_leaves_nothing_of_it() -> None:
    process = WilfulProcess([says("one"), says("two")])
    worker = await boot(process)
    await do(worker, a_job(FIRST))
    process.holds = "rewind_conversation"
    left = asyncio.create_task(answer_of(worker, a_job(user("other"))))
    await soon(process.holding.wait())
    left.cancel()
    await asyncio.wait({left})
    process.release()
    await worker.recover(PATIENCE)
    process.written.clear()
    await answer_of(worker, a_job(user("third")))
    # The conversation was empty already: there was nothing more to cut.
    assert kinds(process.written) == ["ask"]
