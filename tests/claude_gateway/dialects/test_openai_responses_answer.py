"""What only this dialect's answers have: items in the caller's own shapes, several ends, and what is remembered."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from claude_gateway.dialects.openai_responses.answer import Answer, WireEvent
from claude_gateway.dialects.openai_responses.encode import StreamEncoder
from claude_gateway.dialects.openai_responses.response_object import Identity, echo
from claude_gateway.dialects.openai_responses.tools import Origin
from claude_gateway.dialects.openai_responses.wire import ResponsesRequest
from claude_gateway.errors import ApiError, from_worker
from tests.claude_gateway.dialects.openai_responses import SEAL
from workers.errors import ErrorKind, WorkerError
from workers.events import (
    BlockEnded,
    BlockStarted,
    Event,
    Finished,
    InputDelta,
    Signed,
    Started,
    StopReason,
    TextDelta,
    ThinkingDelta,
    Usage,
)
from workers.job import RedactedThought, Text, Thought, ToolUse, Turn

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
STARTED = Started("claude-test")
ORIGINS = {
    "patch": Origin("custom", "patch"),
    "shell__exec": Origin("custom", "exec", "shell"),
    "shell__wait": Origin("function", "wait", "shell"),
    "tool_search": Origin("search", "tool_search"),
}


def answer(origins: Mapping[str, Origin] = ORIGINS, *, sealed: bool = False, **request: Any) -> Answer:
    asked = ResponsesRequest.model_validate({"model": "m", "input": "hi", **request})
    return Answer(Identity("resp_1", 1, "m"), echo(asked), origins, SEAL if sealed else None)


def told(one: Answer, *events: Event) -> list[WireEvent]:
    """The wire events, each as the official client's types have it."""
    sent = [wire for event in events for wire in one.feed(event)]
    for wire in sent:
        EVENT.validate_python(wire)
    Response.model_validate(one.response)
    return sent


def text(*pieces: str) -> list[Event]:
    return [BlockStarted(Text("")), *map(TextDelta, pieces), BlockEnded()]


def thought(*pieces: str, signature: str = "sig") -> list[Event]:
    return [BlockStarted(Thought("", "")), *map(ThinkingDelta, pieces), Signed(signature), BlockEnded()]


def call(name: str, *pieces: str) -> list[Event]:
    return [BlockStarted(ToolUse("call_1", name, {})), *map(InputDelta, pieces), BlockEnded()]


def end(reason: StopReason = "end_turn") -> Finished:
    return Finished(reason, Usage(1, 2))


@pytest.mark.promise("responses.custom-tools")
def test_a_custom_tool_is_called_with_raw_text_that_streams() -> None:
    sent = told(answer(), STARTED, *call("patch", '{"input": "a\\', 'nb"}'), end("tool_use"))

    assert [(one["type"], one.get("delta", one.get("input"))) for one in sent[3:6]] == [
        ("response.custom_tool_call_input.delta", "a"),
        ("response.custom_tool_call_input.delta", "\nb"),
        ("response.custom_tool_call_input.done", "a\nb"),
    ]
    assert sent[6]["item"] == {
        "id": "ctc_1_0",
        "type": "custom_tool_call",
        "status": "completed",
        "input": "a\nb",
        "call_id": "call_1",
        "name": "patch",
    }


@pytest.mark.promise("responses.custom-tools")
@pytest.mark.parametrize(("name", "kind"), [("shell__exec", "custom_tool_call"), ("shell__wait", "function_call")])
def test_a_call_inside_a_namespace_names_both(name: str, kind: str) -> None:
    one = answer()
    told(one, STARTED, *call(name, '{"input": "ls"}'), end("tool_use"))

    (item,) = one.response["output"]
    assert (item["type"], item["namespace"], item["name"]) == (kind, "shell", name.removeprefix("shell__"))


def test_a_search_for_tools_is_called_as_one() -> None:
    one = answer()
    sent = told(one, STARTED, *call("tool_search", '{"query":', '"agents"}'), end("tool_use"))

    assert [event["type"] for event in sent[2:4]] == ["response.output_item.added", "response.output_item.done"]
    assert sent[3]["item"] == {
        "id": "tsc_1_0",
        "type": "tool_search_call",
        "status": "completed",
        "execution": "client",
        "arguments": {"query": "agents"},
        "call_id": "call_1",
    }
    assert one.reply() == Turn("assistant", (ToolUse("call_1", "tool_search", {"query": "agents"}),))


def test_a_thought_goes_out_sealed_only_to_who_asks_for_it() -> None:
    for sealed in (True, False):
        one = answer(sealed=sealed)
        told(one, STARTED, *thought("hm"), BlockStarted(RedactedThought("data")), BlockEnded(), *text("yes"), end())

        reasoning = one.response["output"][:2]
        assert [item["summary"] for item in reasoning] == [[{"type": "summary_text", "text": "hm"}], []]
        assert all(("encrypted_content" in item) is sealed for item in reasoning)


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        ("max_tokens", "max_output_tokens"),
        ("model_context_window_exceeded", "max_output_tokens"),
        ("refusal", "content_filter"),
    ],
)
def test_an_answer_cut_off_is_incomplete_with_its_last_item_alone(reason: StopReason, why: str) -> None:
    one = answer()
    last = told(one, STARTED, *text("one"), *call("f", '{"a": '), end(reason))[-1]

    assert (last["type"], one.is_whole) == ("response.incomplete", True)
    assert last["response"]["incomplete_details"] == {"reason": why}
    assert [item["status"] for item in last["response"]["output"]] == ["completed", "incomplete"]


@pytest.mark.parametrize("reason", ["end_turn", "stop_sequence", "tool_use"])
def test_any_other_end_is_complete(reason: StopReason) -> None:
    one = answer()

    assert told(one, STARTED, *text("one"), end(reason))[-1]["type"] == "response.completed"
    assert one.response["incomplete_details"] is None


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ErrorKind.TOO_LONG, "context_length_exceeded"),
        (ErrorKind.RATE_LIMITED, "rate_limit_exceeded"),
        (ErrorKind.QUEUE_FULL, "rate_limit_exceeded"),
        (ErrorKind.INVALID_REQUEST, "invalid_prompt"),
        (ErrorKind.WORKER_DIED, "server_error"),
    ],
)
def test_a_failure_bears_a_code_that_clients_act_upon(kind: ErrorKind, code: str) -> None:
    *_, error, failed = answer().fail(from_worker(WorkerError(kind, "It failed.")))

    assert (error["code"], failed["response"]["error"]["code"]) == (code, code)


def test_a_failure_that_passes_says_when_to_come_back_in_the_words_that_clients_read() -> None:
    failed = answer().fail(from_worker(WorkerError(ErrorKind.RATE_LIMITED, "Slow down.", retry_after=6.2)))[-1]

    assert failed["response"]["error"]["message"] == "Slow down. Try again in 7s."


def test_a_failure_after_the_end_that_was_never_sent_takes_its_number() -> None:
    one = answer()
    *sent, _ = told(one, STARTED, *text("one"), end())

    after = one.fail(ApiError(500, "api_error", "The disk is full."))

    assert [event["sequence_number"] for event in (*sent, *after)] == list(range(len(sent) + 2))
    assert (one.response["status"], one.is_whole) == ("failed", False)


def test_what_waits_in_the_background_is_queued_first() -> None:
    one = answer(background=True)

    sent = [*one.queue(), *told(one, STARTED)]

    assert [(event["type"], event["response"]["status"]) for event in sent] == [
        ("response.created", "queued"),
        ("response.queued", "queued"),
        ("response.in_progress", "in_progress"),
    ]


def test_what_was_cancelled_keeps_what_it_had_said() -> None:
    one = answer()
    told(one, STARTED, *text("one")[:-1])

    last = one.cancel()[-1]

    assert (last["type"], last["response"]["status"]) == ("response.failed", "cancelled")
    assert last["response"]["error"] is None
    assert last["response"]["output"][0]["content"][0]["text"] == "one"


def test_a_reply_is_remembered_block_by_block_with_its_thoughts() -> None:
    one = answer()
    told(one, STARTED, *thought("hm"), *text("one"), *call("patch", '{"input": "x"}'), end("tool_use"))

    assert one.reply() == Turn(
        "assistant", (Thought("hm", "sig"), Text("one"), ToolUse("call_1", "patch", {"input": "x"}))
    )


@pytest.mark.parametrize(
    "events",
    [thought("hm"), [*text(" "), *thought("hm")], call("f", '{"a": '), [], text("")],
    ids=["thought", "blank", "half a call", "nothing", "empty"],
)
def test_what_the_model_would_not_take_back_is_not_remembered(events: list[Event]) -> None:
    one = answer()
    told(one, STARTED, *events, end("max_tokens"))

    assert one.reply() is None


def test_the_response_repeats_its_request() -> None:
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}
    request = {
        "instructions": "be brief",
        "max_output_tokens": 50,
        "metadata": {"k": "v"},
        "parallel_tool_calls": False,
        "previous_response_id": "resp_0",
        "reasoning": {"effort": "low", "summary": "auto"},
        "store": False,
        "temperature": 0.3,
        "text": {"format": {"type": "text"}, "verbosity": "low"},
        "tool_choice": {"type": "function", "name": "f"},
        "tools": [tool],
        "top_p": 0.5,
        "user": "u",
        "prompt_cache_key": "key",
        "safety_identifier": "s",
        "max_tool_calls": 3,
    }

    assert {name: answer(**request).response[name] for name in request} == request


def test_what_cannot_be_written_as_json_is_not_repeated_and_the_rest_is() -> None:
    response = answer(metadata={"n": 10**30}, tools=[{"type": "function", "name": "f"}], user="u").response

    assert (response["metadata"], response["user"]) == (None, "u")
    assert orjson.loads(orjson.dumps(response))["tools"] == [{"type": "function", "name": "f"}]


@pytest.mark.parametrize("events", [[], [*text("one")], [*text("half a character: \ud83d")]], ids=str)
def test_the_error_at_the_end_of_a_stream_depends_on_nothing_that_was_said_before(events: list[Event]) -> None:
    one = Answer(Identity("resp_1", 1, "m"), {"metadata": {"n": 10**30}}, {})
    for event in [STARTED, *events]:
        one.feed(event)

    ended = StreamEncoder(one).fail(from_worker(WorkerError(ErrorKind.CUT, "What happened.")))

    named = [name for name, _ in ended]
    assert named[-2:] == ["error", "response.failed"]
    error, failed = [orjson.loads(data) for _, data in ended[-2:]]
    assert "What happened." in error["message"]
    assert (failed["response"]["id"], failed["response"]["status"]) == ("resp_1", "failed")
    assert "What happened." in failed["response"]["error"]["message"]


def test_what_is_not_as_it_should_be_is_not_repeated() -> None:
    assert (
        answer(user=5, max_tool_calls=True, tools=["f"]).response
        | {
            "user": None,
            "max_tool_calls": None,
            "tools": [],
        }
        == answer(user=5, max_tool_calls=True, tools=["f"]).response
    )
