import pytest

from tests.workers.scripted_process import (
    block_start_frame,
    message_start_frame,
    result_frame,
    stream_event_frame,
    text_delta_frame,
    text_reply_frames,
)
from workers.core.errors import WorkerError
from workers.core.events import Event, Finished, Started, TextDelta, TokenUsage, ToolCallFinished, ToolCallStarted
from workers.core.frame import Frame
from workers.parsing.agent_turn_parser import AgentTurnParser


def tool_call_frames(name: str, arguments: str, id_: str = "t1", **usage: int) -> list[Frame]:
    """Return the frames of a message with a text and a tool call."""
    return [
        message_start_frame(**usage),
        block_start_frame(),
        text_delta_frame("word"),
        stream_event_frame("content_block_stop", index=0),
        block_start_frame(type="tool_use", id=id_, name=name, input={}),
        stream_event_frame(
            "content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": arguments}
        ),
        stream_event_frame("content_block_stop", index=1),
        stream_event_frame("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 7}),
        stream_event_frame("message_stop"),
    ]


def tool_result_frame(id_: str = "t1", **fields: object) -> Frame:
    block = {"type": "tool_result", "tool_use_id": id_, "content": "r", **fields}
    return {"type": "user", "message": {"role": "user", "content": [block]}, "parent_tool_use_id": None}


def parse_frames(parser: AgentTurnParser, *frames: Frame) -> list[Event]:
    return [event for frame in frames for event in parser.feed(frame)]


def test_reply_continues_after_a_tool_call_until_the_model_ends_it() -> None:
    parser = AgentTurnParser()
    events = parse_frames(parser, *tool_call_frames("Bash", '{"command": "ls  -l"}', input_tokens=10))
    assert not parser.is_finished
    assert ToolCallStarted("t1", "Bash", "ls -l", {"command": "ls  -l"}) in events
    events = parse_frames(parser, tool_result_frame(), *text_reply_frames("all done"))
    assert parser.is_finished
    assert events[0] == ToolCallFinished("t1", "ok", "r")
    assert events[-1] == Finished("end_turn", TokenUsage(input_tokens=11, output_tokens=9))
    assert not any(isinstance(event, Started) for event in events)


def test_separates_the_texts_of_several_messages() -> None:
    events = parse_frames(
        AgentTurnParser(), *tool_call_frames("Read", "{}"), tool_result_frame(), *text_reply_frames("all done")
    )
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "word\n\nall done"


@pytest.mark.parametrize(
    ("denied", "fields", "outcome"), [((), {}, "ok"), ((), {"is_error": True}, "failed"), (("t1",), {}, "denied")]
)
def test_reports_the_outcome_of_a_tool_call(denied: tuple[str, ...], fields: dict[str, object], outcome: str) -> None:
    parser = AgentTurnParser(denied)
    parse_frames(parser, *tool_call_frames("Bash", "{}"))
    assert parser.feed(tool_result_frame(**fields)) == [ToolCallFinished("t1", outcome, "r")]  # type: ignore[arg-type]


def test_can_pause_the_reply_after_the_results_of_a_message() -> None:
    parser = AgentTurnParser()
    parse_frames(parser, *tool_call_frames("Bash", "{}"))
    assert (parser.message_count, parser.has_tool_results) == (1, False)
    parse_frames(parser, tool_result_frame())
    assert parser.has_tool_results
    (end,) = parser.pause()
    assert isinstance(end, Finished)
    assert (end.stop_reason, parser.is_finished) == ("pause_turn", True)


def test_joins_the_text_of_a_truncated_message_and_the_next_one() -> None:
    parser = AgentTurnParser()
    resume: Frame = {"type": "user", "isSynthetic": True, "message": {"content": [{"type": "text", "text": "Resume"}]}}
    events = parse_frames(
        parser, *text_reply_frames("so f", stop_reason="max_tokens")[:-1], resume, *text_reply_frames("ar and the rest")
    )
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "so far and the rest"
    assert isinstance(events[-1], Finished)
    assert events[-1].stop_reason == "end_turn"


def test_final_text_only_omits_the_text_of_earlier_messages() -> None:
    parser = AgentTurnParser(final_text_only=True)
    events = parse_frames(parser, *tool_call_frames("Bash", "{}"), tool_result_frame(), *text_reply_frames("{}"))
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["{}"]
    assert ToolCallStarted("t1", "Bash", "") in events


def test_keeps_the_last_stop_reason_if_the_cli_stops_asking() -> None:
    events = parse_frames(AgentTurnParser(), *text_reply_frames("so far", stop_reason="max_tokens"))
    assert isinstance(events[-1], Finished)
    assert events[-1].stop_reason == "max_tokens"


def test_keeps_the_last_stop_reason_if_the_cli_reaches_its_request_limit() -> None:
    request_limit = result_frame(is_error=True, subtype="error_max_structured_output_retries")
    events = parse_frames(AgentTurnParser(), *text_reply_frames("so far", stop_reason="max_tokens")[:-1], request_limit)
    assert isinstance(events[-1], Finished)
    assert events[-1].stop_reason == "max_tokens"


def test_raises_an_upstream_error_after_a_tool_call() -> None:
    parser = AgentTurnParser()
    parse_frames(parser, *tool_call_frames("Bash", "{}"), tool_result_frame())
    with pytest.raises(WorkerError):
        parse_frames(parser, result_frame(is_error=True, api_error_status=529, result="API Error: 529"))


def test_ignores_the_frames_of_a_subagent() -> None:
    parser = AgentTurnParser()
    assert parse_frames(parser, *({**frame, "parent_tool_use_id": "t9"} for frame in text_reply_frames("inside"))) == []
