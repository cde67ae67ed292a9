from typing import Any

import pytest

from tests.workers.helpers import reads
from workers.answer import Answer, is_visible
from workers.errors import ErrorKind, WorkerError
from workers.events import (
    BlockEnded,
    BlockStarted,
    Event,
    Finished,
    Restarted,
    Started,
    TextDelta,
    ThinkingDelta,
    Usage,
)
from workers.fake import block_start, message_start, result, says, stream_event, text_delta
from workers.frames import Frame
from workers.job import Text


def events_of(*frames: Frame, answer: Answer | None = None) -> list[Event]:
    answer = answer or Answer()
    return [event for frame in frames for event in answer.feed(frame)]


def failure_of(*frames: Frame) -> WorkerError:
    with pytest.raises(WorkerError) as caught:
        events_of(*frames)
    return caught.value


def thinking_delta(text: str) -> Frame:
    return stream_event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": text})


def stops(reason: str, **fields: Any) -> Frame:
    return stream_event("message_delta", delta={"stop_reason": reason, **fields}, usage={"output_tokens": 5})


def whole_message(*texts: str, stop_reason: str | None = "end_turn", model: str = "claude-test", **more: Any) -> Frame:
    """A whole `assistant` message, as it comes without a stream."""
    message = {
        "model": model,
        "content": [{"type": "text", "text": text} for text in texts],
        "stop_reason": stop_reason,
        "usage": {"input_tokens": 7, "output_tokens": 3},
    }
    return {"type": "assistant", "message": message, "parent_tool_use_id": None, **more}


def error_result(text: str = "", status: int | None = None, subtype: str = "success") -> Frame:
    return result(is_error=True, subtype=subtype, result=text, api_error_status=status)


def api_retry(wait_ms: float, status: int | None) -> Frame:
    return {"type": "system", "subtype": "api_retry", "retry_delay_ms": wait_ms, "error_status": status}


def synthetic_user() -> Frame:
    return {"type": "user", "isSynthetic": True, "message": {"role": "user", "content": "Resume directly"}}


# A stream that goes as it should.


def test_a_plain_stream_passes_on_delta_by_delta() -> None:
    answer = Answer()
    assert events_of(*says("one two"), answer=answer) == [
        Started("claude-test", Usage(input=1, output=1)),
        BlockStarted(Text("")),
        TextDelta("one "),
        TextDelta("two"),
        BlockEnded(),
        Finished("end_turn", Usage(input=1, output=2)),
    ]
    assert answer.finished


def test_the_answer_is_not_finished_before_the_turn_is() -> None:
    answer = Answer()
    events_of(*says("one two")[:-1], answer=answer)
    assert not answer.finished


def test_it_streams_from_message_start_to_message_stop() -> None:
    answer = Answer()
    seen = []
    for frame in says("one"):
        answer.feed(frame)
        seen.append(answer.streaming)
    assert seen == [True, True, True, True, True, False, False]


def test_thinking_passes_on_as_thinking() -> None:
    events = events_of(message_start(), thinking_delta("hm "), text_delta("yes"), stops("end_turn"), result())
    assert events[1:3] == [ThinkingDelta("hm "), TextDelta("yes")]


def test_empty_deltas_are_nothing() -> None:
    events = events_of(message_start(), text_delta(""), thinking_delta(""))
    assert events == [Started("claude-test", Usage(input=1, output=1))]


def test_the_blocks_of_a_stream_are_not_passed_on_again_as_messages() -> None:
    repeated = whole_message("one ", stop_reason=None)
    frames = [message_start(), block_start(), text_delta("one "), repeated, stops("end_turn"), result()]
    assert reads(events_of(*frames)) == ("one ", "")


def test_the_tokens_of_thoughts_are_counted_where_the_upstream_tells_them() -> None:
    told = {"output_tokens": 5, "output_tokens_details": {"thinking_tokens": 3}}
    end = stream_event("message_delta", delta={"stop_reason": "end_turn"}, usage=told)
    assert events_of(message_start(), end, result())[-1] == Finished("end_turn", Usage(input=1, output=5, thinking=3))


def test_the_counts_of_the_stream_are_the_usage() -> None:
    start = message_start(input_tokens=4, cache_read_input_tokens=30, cache_creation_input_tokens=20)
    finished = events_of(start, block_start(), text_delta("a"), stops("end_turn"), result())[-1]
    assert finished == Finished("end_turn", Usage(input=4, output=5, cache_read=30, cache_write=20))


def test_a_stop_sequence_is_named() -> None:
    events = events_of(
        message_start(), block_start(), text_delta("a"), stops("stop_sequence", stop_sequence="END"), result()
    )
    assert events[-1] == Finished("stop_sequence", Usage(1, 5), "END")


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "system", "subtype": "init"},
        {"type": "user", "message": {"content": []}},
        {"type": "brand_new"},
        stream_event("ping"),
        stream_event("content_block_delta", index=0, delta={"type": "citations_delta", "citation": {}}),
        block_start(type="server_tool_use", id="x", name="web_search", input={}),
        stream_event("brand_new"),
    ],
)
def test_frames_that_say_nothing_of_the_answer_are_ignored(frame: Frame) -> None:
    plain = says("one two")
    assert events_of(*plain[:2], frame, *plain[2:]) == events_of(*plain)


@pytest.mark.parametrize(
    "frame", [*says("other"), whole_message("other"), synthetic_user(), api_retry(9_000, 429), error_result("x", 500)]
)
def test_frames_of_a_sub_agent_are_ignored(frame: Frame) -> None:
    plain = says("one two")
    assert events_of(*plain[:2], {**frame, "parent_tool_use_id": "t1"}, *plain[2:]) == events_of(*plain)


def test_what_only_announces_is_not_visible() -> None:
    assert not is_visible(Started("m"))
    assert not is_visible(Restarted())
    assert is_visible(TextDelta("a"))
    assert is_visible(ThinkingDelta("a"))
    assert is_visible(Finished("end_turn", Usage()))


# Streams that break and start again.


def test_a_whole_message_after_a_broken_stream_completes_it() -> None:
    events = events_of(message_start(), block_start(), text_delta("one "), whole_message("one two"), result())
    assert events == [
        Started("claude-test", Usage(input=1, output=1)),
        BlockStarted(Text("")),
        TextDelta("one "),
        TextDelta("two"),
        BlockEnded(),
        Finished("end_turn", Usage(input=7, output=3)),
    ]


def test_a_whole_message_without_any_stream_is_an_answer() -> None:
    first, *pieces = events_of(whole_message("one", " two"), result())[:-1]
    assert first == Started("claude-test", Usage(input=7, output=3))
    assert pieces == [
        *(BlockStarted(Text("")), TextDelta("one"), BlockEnded()),
        *(BlockStarted(Text("")), TextDelta(" two"), BlockEnded()),
    ]


def test_a_whole_message_passes_its_thinking_on_too() -> None:
    frame = whole_message("yes")
    frame["message"]["content"].insert(0, {"type": "thinking", "thinking": "hm"})
    assert reads(events_of(frame, result())) == ("yes", "hm")


def test_a_stream_that_repeats_itself_is_passed_on_once() -> None:
    events = events_of(message_start(), block_start(), text_delta("one "), *says("one two three"))
    assert Restarted() not in events
    assert sum(isinstance(event, Started) for event in events) == 1
    assert reads(events) == ("one two three", "")


def test_a_stream_that_comes_back_different_takes_the_first_one_back() -> None:
    events = events_of(message_start(), block_start(), text_delta("one "), *says("two three"))
    assert events.count(Restarted()) == 1
    assert reads(events) == ("two three", "")


def test_a_whole_message_that_differs_takes_the_stream_back() -> None:
    events = events_of(message_start(), block_start(), text_delta("one two"), whole_message("one"), result())
    assert Restarted() in events
    assert reads(events) == ("one", "")


def test_a_restarted_stream_is_counted_by_its_own_usage() -> None:
    broken = message_start(input_tokens=50, cache_read_input_tokens=40)
    finished = events_of(broken, block_start(), text_delta("one "), *says("one two"))[-1]
    assert finished == Finished("end_turn", Usage(input=1, output=2))


# Ends that come from the model.


@pytest.mark.parametrize("reason", ["max_tokens", "model_context_window_exceeded"])
def test_a_limit_ends_the_answer_before_the_cli_can_ask_again(reason: str) -> None:
    answer = Answer()
    events = events_of(message_start(), block_start(), text_delta("one"), stops(reason), answer=answer)
    assert answer.finished
    assert isinstance(events[-1], Finished)
    assert events[-1].stop_reason == reason


@pytest.mark.parametrize("reason", ["max_tokens", "model_context_window_exceeded"])
def test_a_limit_ends_a_whole_message_at_once_too(reason: str) -> None:
    answer = Answer()
    assert isinstance(events_of(whole_message("one", stop_reason=reason), answer=answer)[-1], Finished)
    assert answer.finished


@pytest.mark.parametrize("end", [result(), error_result("API Error: refused")])
def test_a_refusal_is_an_answer_however_the_cli_ends_the_turn(end: Frame) -> None:
    events = events_of(message_start(), block_start(), text_delta("I can't"), stops("refusal"), end)
    assert isinstance(events[-1], Finished)
    assert events[-1].stop_reason == "refusal"


# Failures.


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ErrorKind.INVALID_REQUEST),
        (401, ErrorKind.LOGIN),
        (403, ErrorKind.LOGIN),
        (404, ErrorKind.MODEL_NOT_FOUND),
        (413, ErrorKind.TOO_LARGE),
        (422, ErrorKind.INVALID_REQUEST),
        (429, ErrorKind.RATE_LIMITED),
        (500, ErrorKind.UPSTREAM),
        (503, ErrorKind.UPSTREAM),
        (529, ErrorKind.OVERLOADED),
    ],
)
def test_the_upstreams_status_decides_the_kind(status: int, kind: ErrorKind) -> None:
    said = whole_message("API Error", model="<synthetic>", error="unknown")
    assert failure_of(said, error_result("API Error", status)).kind is kind


def test_the_status_decides_even_after_a_part_of_the_answer() -> None:
    assert (
        failure_of(message_start(), block_start(), text_delta("one"), error_result("", 529)).kind
        is ErrorKind.OVERLOADED
    )


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("authentication_failed", ErrorKind.LOGIN),
        ("billing_error", ErrorKind.BILLING),
        ("oauth_org_not_allowed", ErrorKind.LOGIN),
        ("rate_limit", ErrorKind.RATE_LIMITED),
        ("overloaded", ErrorKind.OVERLOADED),
        ("invalid_request", ErrorKind.INVALID_REQUEST),
        ("model_not_found", ErrorKind.MODEL_NOT_FOUND),
        ("server_error", ErrorKind.UPSTREAM),
        ("a_new_word", ErrorKind.UPSTREAM),
    ],
)
def test_without_a_status_the_clis_word_decides(word: str, kind: ErrorKind) -> None:
    assert failure_of(whole_message("oops", model="<synthetic>", error=word), error_result("oops")).kind is kind


@pytest.mark.parametrize("text", ["Not logged in · Please run /login", "Invalid API key · Fix external API key"])
def test_no_login_is_recognised_by_its_text(text: str) -> None:
    assert failure_of(error_result(text)).kind is ErrorKind.LOGIN


def test_an_error_text_is_never_part_of_the_answer() -> None:
    assert events_of(whole_message("API Error: 529 overloaded", model="<synthetic>", error="overloaded")) == []
    assert events_of(whole_message("No response requested.", model="<synthetic>")) == []


@pytest.mark.parametrize("media", ["image", "document"])
def test_an_image_that_the_upstream_refused_fails_the_job_before_it_is_asked_again_without(media: str) -> None:
    removed = {"api_error": "media_removed", "api_error_params": {"media": media}, "error": "invalid_request"}
    failure = failure_of(whole_message("API Error", model="<synthetic>", **removed), *says("a guess"))
    assert failure.kind is ErrorKind.INVALID_REQUEST
    assert media in failure.message


def test_a_turn_that_fails_without_a_reason_in_the_middle_was_cut() -> None:
    assert failure_of(message_start(), block_start(), text_delta("one"), error_result()).kind is ErrorKind.CUT


def test_a_turn_that_fails_without_a_reason_before_its_answer_is_the_upstreams() -> None:
    assert failure_of(message_start(), error_result(subtype="error_during_execution")).kind is ErrorKind.UPSTREAM


def test_a_subtype_other_than_success_is_a_failure() -> None:
    assert failure_of(message_start(), result(subtype="error_max_turns")).kind is ErrorKind.UPSTREAM


def test_whatever_the_cli_tried_behind_a_whole_answer_is_of_no_matter() -> None:
    events = events_of(message_start(), stops("end_turn"), error_result(subtype="error_during_execution"))
    assert isinstance(events[-1], Finished)


def test_a_turn_without_any_answer_is_not_understood() -> None:
    assert failure_of(result()).kind is ErrorKind.WORKER_CONFUSED


def test_a_made_up_user_message_means_that_the_answer_was_cut() -> None:
    assert failure_of(message_start(), block_start(), text_delta("one"), synthetic_user()).kind is ErrorKind.CUT


def test_a_compacted_conversation_was_too_long() -> None:
    assert failure_of({"type": "system", "subtype": "compact_boundary"}).kind is ErrorKind.TOO_LONG


def test_a_prompt_that_the_cli_itself_finds_too_long_is_told_as_such() -> None:
    assert failure_of(error_result("Prompt is too long", 400)).kind is ErrorKind.TOO_LONG


@pytest.mark.parametrize("wait_ms", [1, 60_000])
def test_a_rate_limit_is_told_at_once_with_its_wait(wait_ms: float) -> None:
    failure = failure_of(api_retry(wait_ms, 429))
    assert (failure.kind, failure.retry_after) == (ErrorKind.RATE_LIMITED, wait_ms / 1000)


@pytest.mark.parametrize(
    ("status", "kind"), [(529, ErrorKind.OVERLOADED), (500, ErrorKind.UPSTREAM), (None, ErrorKind.UPSTREAM)]
)
def test_a_long_wait_is_left_to_the_caller(status: int | None, kind: ErrorKind) -> None:
    failure = failure_of(api_retry(2_001, status))
    assert (failure.kind, failure.retry_after) == (kind, 2.001)


@pytest.mark.parametrize("status", [529, 500, None])
def test_a_short_wait_is_sat_out(status: int | None) -> None:
    assert events_of(api_retry(2_000, status), *says("one")) == events_of(*says("one"))


def test_only_a_refusal_of_the_request_itself_is_quoted() -> None:
    quoted = failure_of(error_result("API Error: 400 messages.0: too odd", 400))
    assert quoted.message == "messages.0: too odd"
    for status in (401, 404, 413, 500, 529):
        failure = failure_of(error_result("see /home/me/.claude", status))
        assert "/home/me" not in failure.message
        assert "see /home/me/.claude" in failure.detail


def test_a_refusal_is_quoted_in_one_short_line() -> None:
    quoted = failure_of(error_result("API Error: 400 odd\nforged log line " + "x" * 10_000, 400))
    assert "\n" not in quoted.message
    assert len(quoted.message) <= 1_000
    assert len(quoted.detail) < 2_000


@pytest.mark.parametrize("usage", [{"input_tokens": "9"}, {"input_tokens": [1]}, {"output_tokens": -5}])
def test_counts_that_are_no_counts_are_nothing(usage: dict[str, Any]) -> None:
    start = stream_event("message_start", message={"model": "m", "usage": usage})
    finished = events_of(start, stop := stream_event("message_delta", delta={"stop_reason": "max_tokens"}))[-1]
    assert finished == Finished("max_tokens", Usage()), stop


def test_a_refusal_without_a_text_still_says_something() -> None:
    assert failure_of(error_result("API Error: 400 ", 400)).message == "The upstream refused the request."
