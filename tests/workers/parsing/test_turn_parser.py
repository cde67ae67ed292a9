from typing import Any

import pytest

from tests.workers.helpers import visible_text_and_thinking
from tests.workers.scripted_process import (
    block_start_frame,
    message_start_frame,
    result_frame,
    stream_event_frame,
    text_delta_frame,
    text_reply_frames,
)
from workers.core.errors import ErrorKind, WorkerError
from workers.core.events import (
    BlockEnded,
    BlockStarted,
    Event,
    Finished,
    Started,
    StreamReset,
    TextDelta,
    ThinkingDelta,
    TokenUsage,
)
from workers.core.frame import Frame
from workers.core.job import Text
from workers.parsing.turn_parser import TurnParser, is_visible


def events_of(*frames: Frame, parser: TurnParser | None = None) -> list[Event]:
    parser = parser or TurnParser()
    return [event for frame in frames for event in parser.feed(frame)]


def failure_of(*frames: Frame) -> WorkerError:
    with pytest.raises(WorkerError) as caught:
        events_of(*frames)
    return caught.value


def thinking_delta(text: str) -> Frame:
    return stream_event_frame("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": text})


def stop_frame(reason: str, **fields: Any) -> Frame:
    return stream_event_frame("message_delta", delta={"stop_reason": reason, **fields}, usage={"output_tokens": 5})


def whole_message(*texts: str, stop_reason: str | None = "end_turn", model: str = "claude-test", **more: Any) -> Frame:
    """Return a whole `assistant` message, as the CLI sends it without a stream."""
    message = {
        "model": model,
        "content": [{"type": "text", "text": text} for text in texts],
        "stop_reason": stop_reason,
        "usage": {"input_tokens": 7, "output_tokens": 3},
    }
    return {"type": "assistant", "message": message, "parent_tool_use_id": None, **more}


def error_result(text: str = "", status: int | None = None, subtype: str = "success") -> Frame:
    return result_frame(is_error=True, subtype=subtype, result=text, api_error_status=status)


def api_retry(wait_ms: float, status: int | None) -> Frame:
    return {"type": "system", "subtype": "api_retry", "retry_delay_ms": wait_ms, "error_status": status}


def synthetic_user() -> Frame:
    return {"type": "user", "isSynthetic": True, "message": {"role": "user", "content": "Resume directly"}}


# Complete streams.


def test_passes_on_each_delta_of_a_stream() -> None:
    parser = TurnParser()
    assert events_of(*text_reply_frames("one two"), parser=parser) == [
        Started("claude-test", TokenUsage(input_tokens=1, output_tokens=1)),
        BlockStarted(Text("")),
        TextDelta("one "),
        TextDelta("two"),
        BlockEnded(),
        Finished("end_turn", TokenUsage(input_tokens=1, output_tokens=2)),
    ]
    assert parser.is_finished


def test_reply_is_not_finished_before_the_turn_ends() -> None:
    parser = TurnParser()
    events_of(*text_reply_frames("one two")[:-1], parser=parser)
    assert not parser.is_finished


def test_is_streaming_from_message_start_to_message_stop() -> None:
    parser = TurnParser()
    seen = []
    for frame in text_reply_frames("one"):
        parser.feed(frame)
        seen.append(parser.is_streaming)
    assert seen == [True, True, True, True, True, False, False]


def test_passes_on_thinking_as_thinking() -> None:
    events = events_of(
        message_start_frame(), thinking_delta("hm "), text_delta_frame("yes"), stop_frame("end_turn"), result_frame()
    )
    assert events[1:3] == [ThinkingDelta("hm "), TextDelta("yes")]


def test_ignores_empty_deltas() -> None:
    events = events_of(message_start_frame(), text_delta_frame(""), thinking_delta(""))
    assert events == [Started("claude-test", TokenUsage(input_tokens=1, output_tokens=1))]


def test_does_not_repeat_the_blocks_of_a_stream_from_assistant_messages() -> None:
    repeated = whole_message("one ", stop_reason=None)
    frames = [
        message_start_frame(),
        block_start_frame(),
        text_delta_frame("one "),
        repeated,
        stop_frame("end_turn"),
        result_frame(),
    ]
    assert visible_text_and_thinking(events_of(*frames)) == ("one ", "")


def test_counts_thinking_tokens_if_the_upstream_sends_them() -> None:
    usage = {"output_tokens": 5, "output_tokens_details": {"thinking_tokens": 3}}
    end = stream_event_frame("message_delta", delta={"stop_reason": "end_turn"}, usage=usage)
    assert events_of(message_start_frame(), end, result_frame())[-1] == Finished(
        "end_turn", TokenUsage(input_tokens=1, output_tokens=5, thinking_tokens=3)
    )


def test_usage_has_the_token_counts_of_the_stream() -> None:
    start = message_start_frame(input_tokens=4, cache_read_input_tokens=30, cache_creation_input_tokens=20)
    finished = events_of(start, block_start_frame(), text_delta_frame("a"), stop_frame("end_turn"), result_frame())[-1]
    assert finished == Finished(
        "end_turn", TokenUsage(input_tokens=4, output_tokens=5, cache_read_tokens=30, cache_write_tokens=20)
    )


def test_reports_the_stop_sequence() -> None:
    events = events_of(
        message_start_frame(),
        block_start_frame(),
        text_delta_frame("a"),
        stop_frame("stop_sequence", stop_sequence="END"),
        result_frame(),
    )
    assert events[-1] == Finished("stop_sequence", TokenUsage(1, 5), "END")


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "system", "subtype": "init"},
        {"type": "user", "message": {"content": []}},
        {"type": "brand_new"},
        stream_event_frame("ping"),
        stream_event_frame("content_block_delta", index=0, delta={"type": "citations_delta", "citation": {}}),
        block_start_frame(type="server_tool_use", id="x", name="web_search", input={}),
        stream_event_frame("brand_new"),
    ],
)
def test_ignores_frames_that_are_not_part_of_the_reply(frame: Frame) -> None:
    plain = text_reply_frames("one two")
    assert events_of(*plain[:2], frame, *plain[2:]) == events_of(*plain)


@pytest.mark.parametrize(
    "frame",
    [
        *text_reply_frames("other"),
        whole_message("other"),
        synthetic_user(),
        api_retry(9_000, 429),
        error_result("x", 500),
    ],
)
def test_ignores_frames_of_a_subagent(frame: Frame) -> None:
    plain = text_reply_frames("one two")
    assert events_of(*plain[:2], {**frame, "parent_tool_use_id": "t1"}, *plain[2:]) == events_of(*plain)


def test_only_events_with_output_are_visible() -> None:
    assert not is_visible(Started("m"))
    assert not is_visible(StreamReset())
    assert is_visible(TextDelta("a"))
    assert is_visible(ThinkingDelta("a"))
    assert is_visible(Finished("end_turn", TokenUsage()))


# Streams that break and start again.


def test_whole_message_completes_a_broken_stream() -> None:
    events = events_of(
        message_start_frame(), block_start_frame(), text_delta_frame("one "), whole_message("one two"), result_frame()
    )
    assert events == [
        Started("claude-test", TokenUsage(input_tokens=1, output_tokens=1)),
        BlockStarted(Text("")),
        TextDelta("one "),
        TextDelta("two"),
        BlockEnded(),
        Finished("end_turn", TokenUsage(input_tokens=7, output_tokens=3)),
    ]


def test_whole_message_without_a_stream_is_a_reply() -> None:
    first, *block_events = events_of(whole_message("one", " two"), result_frame())[:-1]
    assert first == Started("claude-test", TokenUsage(input_tokens=7, output_tokens=3))
    assert block_events == [
        *(BlockStarted(Text("")), TextDelta("one"), BlockEnded()),
        *(BlockStarted(Text("")), TextDelta(" two"), BlockEnded()),
    ]


def test_whole_message_passes_on_its_thinking() -> None:
    frame = whole_message("yes")
    frame["message"]["content"].insert(0, {"type": "thinking", "thinking": "hm"})
    assert visible_text_and_thinking(events_of(frame, result_frame())) == ("yes", "hm")


def test_passes_on_a_repeated_stream_once() -> None:
    events = events_of(
        message_start_frame(), block_start_frame(), text_delta_frame("one "), *text_reply_frames("one two three")
    )
    assert StreamReset() not in events
    assert sum(isinstance(event, Started) for event in events) == 1
    assert visible_text_and_thinking(events) == ("one two three", "")


def test_resets_the_reply_if_the_second_stream_differs() -> None:
    events = events_of(
        message_start_frame(), block_start_frame(), text_delta_frame("one "), *text_reply_frames("two three")
    )
    assert events.count(StreamReset()) == 1
    assert visible_text_and_thinking(events) == ("two three", "")


def test_resets_the_reply_if_the_whole_message_differs_from_the_stream() -> None:
    events = events_of(
        message_start_frame(), block_start_frame(), text_delta_frame("one two"), whole_message("one"), result_frame()
    )
    assert StreamReset() in events
    assert visible_text_and_thinking(events) == ("one", "")


def test_usage_is_that_of_the_restarted_stream() -> None:
    broken = message_start_frame(input_tokens=50, cache_read_input_tokens=40)
    finished = events_of(broken, block_start_frame(), text_delta_frame("one "), *text_reply_frames("one two"))[-1]
    assert finished == Finished("end_turn", TokenUsage(input_tokens=1, output_tokens=2))


# Stop reasons of the model.


@pytest.mark.parametrize("reason", ["max_tokens", "model_context_window_exceeded"])
def test_token_limit_ends_the_reply_before_the_cli_asks_again(reason: str) -> None:
    parser = TurnParser()
    events = events_of(
        message_start_frame(), block_start_frame(), text_delta_frame("one"), stop_frame(reason), parser=parser
    )
    assert parser.is_finished
    assert isinstance(events[-1], Finished)
    assert events[-1].stop_reason == reason


@pytest.mark.parametrize("reason", ["max_tokens", "model_context_window_exceeded"])
def test_token_limit_ends_a_whole_message_at_once(reason: str) -> None:
    parser = TurnParser()
    assert isinstance(events_of(whole_message("one", stop_reason=reason), parser=parser)[-1], Finished)
    assert parser.is_finished


@pytest.mark.parametrize("end", [result_frame(), error_result("API Error: refused")])
def test_refusal_is_a_reply_however_the_cli_ends_the_turn(end: Frame) -> None:
    events = events_of(
        message_start_frame(), block_start_frame(), text_delta_frame("I can't"), stop_frame("refusal"), end
    )
    assert isinstance(events[-1], Finished)
    assert events[-1].stop_reason == "refusal"


# Failures.


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ErrorKind.INVALID_REQUEST),
        (401, ErrorKind.AUTHENTICATION),
        (403, ErrorKind.AUTHENTICATION),
        (404, ErrorKind.MODEL_NOT_FOUND),
        (413, ErrorKind.REQUEST_TOO_LARGE),
        (422, ErrorKind.INVALID_REQUEST),
        (429, ErrorKind.RATE_LIMITED),
        (500, ErrorKind.UPSTREAM_ERROR),
        (503, ErrorKind.UPSTREAM_ERROR),
        (529, ErrorKind.OVERLOADED),
    ],
)
def test_status_of_the_upstream_determines_the_error_kind(status: int, kind: ErrorKind) -> None:
    error_message = whole_message("API Error", model="<synthetic>", error="unknown")
    assert failure_of(error_message, error_result("API Error", status)).kind is kind


@pytest.mark.parametrize(
    ("status", "error_type", "api_error", "kind", "only_model"),
    [
        (403, "authentication_failed", None, ErrorKind.AUTHENTICATION, True),
        (403, "oauth_org_not_allowed", None, ErrorKind.AUTHENTICATION, False),
        (401, "authentication_failed", None, ErrorKind.AUTHENTICATION, False),
        (403, "billing_error", None, ErrorKind.BILLING, False),
        (400, "billing_error", None, ErrorKind.INVALID_REQUEST, False),
        (403, "invalid_request", "api_key_auth_disabled", ErrorKind.AUTHENTICATION, False),
        (400, "invalid_request", "org_disabled_credential", ErrorKind.AUTHENTICATION, False),
        (403, "authentication_failed", "provider_credentials", ErrorKind.AUTHENTICATION, False),
        (404, "model_not_found", None, ErrorKind.MODEL_NOT_FOUND, False),
    ],
)
def test_refused_model_differs_from_a_rejected_login(
    status: int, error_type: str, api_error: str | None, kind: ErrorKind, only_model: bool
) -> None:
    message = {**whole_message("x", model="<synthetic>", error=error_type), "api_error": api_error}
    error = failure_of(message, error_result("Failed to authenticate. API Error: refused", status))
    assert (error.kind, error.concerns_only_model) == (kind, only_model)


@pytest.mark.parametrize("api_error", ["usage_limit_reached", "model_requires_usage_credits"])
def test_reached_limit_of_the_subscription_has_its_own_kind(api_error: str) -> None:
    result = {**error_result("You've hit your 5-hour limit · resets 12:11am (UTC)", 429), "api_error": api_error}
    error = failure_of(whole_message("x", model="<synthetic>", error="rate_limit"), result)
    assert error.kind is ErrorKind.LOGIN_LIMIT_REACHED
    assert error.message == "This gateway's login has reached its usage limit."


def test_status_determines_the_error_kind_after_part_of_the_reply() -> None:
    assert (
        failure_of(message_start_frame(), block_start_frame(), text_delta_frame("one"), error_result("", 529)).kind
        is ErrorKind.OVERLOADED
    )


@pytest.mark.parametrize(
    ("error_type", "kind"),
    [
        ("authentication_failed", ErrorKind.AUTHENTICATION),
        ("billing_error", ErrorKind.BILLING),
        ("oauth_org_not_allowed", ErrorKind.AUTHENTICATION),
        ("rate_limit", ErrorKind.RATE_LIMITED),
        ("overloaded", ErrorKind.OVERLOADED),
        ("invalid_request", ErrorKind.INVALID_REQUEST),
        ("model_not_found", ErrorKind.MODEL_NOT_FOUND),
        ("server_error", ErrorKind.UPSTREAM_ERROR),
        ("a_new_word", ErrorKind.UPSTREAM_ERROR),
    ],
)
def test_error_type_of_the_cli_determines_the_kind_without_a_status(error_type: str, kind: ErrorKind) -> None:
    message = whole_message("oops", model="<synthetic>", error=error_type)
    assert failure_of(message, error_result("oops")).kind is kind


@pytest.mark.parametrize("text", ["Not logged in · Please run /login", "Invalid API key · Fix external API key"])
def test_recognises_a_missing_login_by_its_text(text: str) -> None:
    assert failure_of(error_result(text)).kind is ErrorKind.AUTHENTICATION


def test_error_text_is_never_part_of_the_reply() -> None:
    assert events_of(whole_message("API Error: 529 overloaded", model="<synthetic>", error="overloaded")) == []
    assert events_of(whole_message("No response requested.", model="<synthetic>")) == []


@pytest.mark.parametrize("media", ["image", "document"])
def test_rejected_media_fails_the_job_before_the_cli_asks_again_without_it(media: str) -> None:
    removed = {"api_error": "media_removed", "api_error_params": {"media": media}, "error": "invalid_request"}
    failure = failure_of(whole_message("API Error", model="<synthetic>", **removed), *text_reply_frames("a guess"))
    assert failure.kind is ErrorKind.INVALID_REQUEST
    assert media in failure.message


def test_failure_without_a_reason_after_output_is_a_disconnect() -> None:
    assert (
        failure_of(message_start_frame(), block_start_frame(), text_delta_frame("one"), error_result()).kind
        is ErrorKind.UPSTREAM_DISCONNECTED
    )


def test_failure_without_a_reason_before_output_is_an_upstream_error() -> None:
    assert (
        failure_of(message_start_frame(), error_result(subtype="error_during_execution")).kind
        is ErrorKind.UPSTREAM_ERROR
    )


def test_result_subtype_other_than_success_is_a_failure() -> None:
    assert failure_of(message_start_frame(), result_frame(subtype="error_max_turns")).kind is ErrorKind.UPSTREAM_ERROR


def test_ignores_an_error_result_after_a_complete_reply() -> None:
    events = events_of(message_start_frame(), stop_frame("end_turn"), error_result(subtype="error_during_execution"))
    assert isinstance(events[-1], Finished)


def test_turn_without_a_reply_is_a_protocol_error() -> None:
    assert failure_of(result_frame()).kind is ErrorKind.PROTOCOL_ERROR


def test_synthetic_user_message_before_the_stop_reason_is_a_disconnect() -> None:
    assert (
        failure_of(message_start_frame(), block_start_frame(), text_delta_frame("one"), synthetic_user()).kind
        is ErrorKind.UPSTREAM_DISCONNECTED
    )


def test_compacted_conversation_exceeds_the_context_length() -> None:
    assert failure_of({"type": "system", "subtype": "compact_boundary"}).kind is ErrorKind.CONTEXT_LENGTH_EXCEEDED


def test_prompt_that_the_cli_finds_too_long_exceeds_the_context_length() -> None:
    assert failure_of(error_result("Prompt is too long", 400)).kind is ErrorKind.CONTEXT_LENGTH_EXCEEDED


@pytest.mark.parametrize("wait_ms", [1, 60_000])
def test_reports_a_rate_limit_at_once_with_its_wait(wait_ms: float) -> None:
    failure = failure_of(api_retry(wait_ms, 429))
    assert (failure.kind, failure.retry_after) == (ErrorKind.RATE_LIMITED, wait_ms / 1000)


@pytest.mark.parametrize(
    ("status", "kind"), [(529, ErrorKind.OVERLOADED), (500, ErrorKind.UPSTREAM_ERROR), (None, ErrorKind.UPSTREAM_ERROR)]
)
def test_reports_a_long_wait_to_the_client(status: int | None, kind: ErrorKind) -> None:
    failure = failure_of(api_retry(2_001, status))
    assert (failure.kind, failure.retry_after) == (kind, 2.001)


@pytest.mark.parametrize("status", [529, 500, None])
def test_waits_for_a_short_retry(status: int | None) -> None:
    assert events_of(api_retry(2_000, status), *text_reply_frames("one")) == events_of(*text_reply_frames("one"))


def test_quotes_only_a_rejection_of_the_request_itself() -> None:
    quoted = failure_of(error_result("API Error: 400 messages.0: too odd", 400))
    assert quoted.message == "messages.0: too odd"
    for status in (401, 404, 413, 500, 529):
        failure = failure_of(error_result("see /home/me/.claude", status))
        assert "/home/me" not in failure.message
        assert "see /home/me/.claude" in failure.detail


def test_quotes_a_rejection_in_one_short_line() -> None:
    quoted = failure_of(error_result("API Error: 400 odd\nforged log line " + "x" * 10_000, 400))
    assert "\n" not in quoted.message
    assert len(quoted.message) <= 1_000
    assert len(quoted.detail) < 2_000


@pytest.mark.parametrize("usage", [{"input_tokens": "9"}, {"input_tokens": [1]}, {"output_tokens": -5}])
def test_ignores_invalid_token_counts(usage: dict[str, Any]) -> None:
    start = stream_event_frame("message_start", message={"model": "m", "usage": usage})
    finished = events_of(start, stop := stream_event_frame("message_delta", delta={"stop_reason": "max_tokens"}))[-1]
    assert finished == Finished("max_tokens", TokenUsage()), stop


def test_rejection_without_a_text_has_a_default_message() -> None:
    assert failure_of(error_result("API Error: 400 ", 400)).message == "The upstream rejected the request."
