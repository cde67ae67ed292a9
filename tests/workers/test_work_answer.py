import pytest

from workers.errors import WorkerError
from workers.events import Event, Finished, Started, TextDelta, ToolBegan, ToolEnded, Usage
from workers.fake import block_start, message_start, result, says, stream_event, text_delta
from workers.frames import Frame
from workers.work_answer import WorkAnswer


def calls(name: str, arguments: str, id_: str = "t1", **usage: int) -> list[Frame]:
    """A message that says a word and calls a tool."""
    return [
        message_start(**usage),
        block_start(),
        text_delta("word"),
        stream_event("content_block_stop", index=0),
        block_start(type="tool_use", id=id_, name=name, input={}),
        stream_event("content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": arguments}),
        stream_event("content_block_stop", index=1),
        stream_event("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 7}),
        stream_event("message_stop"),
    ]


def results(id_: str = "t1", **fields: object) -> Frame:
    block = {"type": "tool_result", "tool_use_id": id_, "content": "r", **fields}
    return {"type": "user", "message": {"role": "user", "content": [block]}, "parent_tool_use_id": None}


def told(answer: WorkAnswer, *frames: Frame) -> list[Event]:
    return [event for frame in frames for event in answer.feed(frame)]


def test_an_answer_goes_on_after_a_call_until_the_model_is_done() -> None:
    answer = WorkAnswer()
    events = told(answer, *calls("Bash", '{"command": "ls  -l"}', input_tokens=10))
    assert not answer.finished
    assert ToolBegan("t1", "Bash", "ls -l", {"command": "ls  -l"}) in events
    events = told(answer, results(), *says("all done"))
    assert answer.finished
    assert events[0] == ToolEnded("t1", "ok", "r")
    assert events[-1] == Finished("end_turn", Usage(input=11, output=9))
    assert not any(isinstance(event, Started) for event in events)


def test_the_texts_of_several_messages_do_not_run_into_one_another() -> None:
    events = told(WorkAnswer(), *calls("Read", "{}"), results(), *says("all done"))
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "word\n\nall done"


@pytest.mark.parametrize(
    ("denied", "fields", "outcome"), [((), {}, "ok"), ((), {"is_error": True}, "failed"), (("t1",), {}, "denied")]
)
def test_what_became_of_a_call_is_told(denied: tuple[str, ...], fields: dict[str, object], outcome: str) -> None:
    answer = WorkAnswer(denied)
    told(answer, *calls("Bash", "{}"))
    assert answer.feed(results(**fields)) == [ToolEnded("t1", outcome, "r")]  # type: ignore[arg-type]


def test_it_tells_when_the_calls_of_a_turn_are_done_and_can_be_stopped_there() -> None:
    answer = WorkAnswer()
    told(answer, *calls("Bash", "{}"))
    assert (answer.turns, answer.calls_done) == (1, False)
    told(answer, results())
    assert answer.calls_done
    (end,) = answer.stop()
    assert isinstance(end, Finished)
    assert (end.stop_reason, answer.finished) == ("pause_turn", True)


def test_a_message_cut_off_at_its_limit_is_gone_on_with() -> None:
    answer = WorkAnswer()
    resume: Frame = {"type": "user", "isSynthetic": True, "message": {"content": [{"type": "text", "text": "Resume"}]}}
    events = told(answer, *says("so f", stop_reason="max_tokens")[:-1], resume, *says("ar and the rest"))
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "so far and the rest"
    assert isinstance(events[-1], Finished)
    assert events[-1].stop_reason == "end_turn"


def test_where_the_answer_must_be_of_a_shape_only_the_last_message_is_it() -> None:
    answer = WorkAnswer(last_only=True)
    events = told(answer, *calls("Bash", "{}"), results(), *says("{}"))
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["{}"]
    assert ToolBegan("t1", "Bash", "") in events


def test_where_the_cli_gives_up_asking_the_last_reason_stands() -> None:
    events = told(WorkAnswer(), *says("so far", stop_reason="max_tokens"))
    assert isinstance(events[-1], Finished)
    assert events[-1].stop_reason == "max_tokens"


def test_where_the_cli_is_kept_from_asking_the_last_reason_stands() -> None:
    kept = result(is_error=True, subtype="error_max_structured_output_retries")
    events = told(WorkAnswer(), *says("so far", stop_reason="max_tokens")[:-1], kept)
    assert isinstance(events[-1], Finished)
    assert events[-1].stop_reason == "max_tokens"


def test_an_error_is_an_error_also_after_a_call() -> None:
    answer = WorkAnswer()
    told(answer, *calls("Bash", "{}"), results())
    with pytest.raises(WorkerError):
        told(answer, result(is_error=True, api_error_status=529, result="API Error: 529"))


def test_what_a_second_claude_says_is_not_the_answer() -> None:
    answer = WorkAnswer()
    assert told(answer, *({**frame, "parent_tool_use_id": "t9"} for frame in says("inside"))) == []
