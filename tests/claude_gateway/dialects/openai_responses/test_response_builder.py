"""Features that only Responses has: calls in the format of their tool, several ends, and the stored reply."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from claude_gateway.core.errors import ApiError, from_worker_error
from claude_gateway.dialects.openai_responses.encode import ResponsesStreamEncoder
from claude_gateway.dialects.openai_responses.response_builder import ResponseBuilder, ResponseEvent
from claude_gateway.dialects.openai_responses.response_object import ResponseIdentity, echo_request
from claude_gateway.dialects.openai_responses.schema import ResponsesRequest
from claude_gateway.dialects.openai_responses.tools import ClientTool
from tests.claude_gateway.dialects.adapters.openai_responses import SIGNER
from workers.core.errors import ErrorKind, WorkerError
from workers.core.events import (
    BlockEnded,
    BlockStarted,
    Event,
    Finished,
    SignatureDelta,
    Started,
    StopReason,
    TextDelta,
    ThinkingDelta,
    TokenUsage,
    ToolInputDelta,
)
from workers.core.job import RedactedThinkingBlock, Text, ThinkingBlock, ToolUse, Turn

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
STARTED = Started("claude-test")
CLIENT_TOOLS = {
    "patch": ClientTool("custom", "patch"),
    "shell__exec": ClientTool("custom", "exec", "shell"),
    "shell__wait": ClientTool("function", "wait", "shell"),
    "tool_search": ClientTool("search", "tool_search"),
}


def create_builder(
    client_tools: Mapping[str, ClientTool] = CLIENT_TOOLS, *, include_thinking: bool = False, **request: Any
) -> ResponseBuilder:
    request_object = ResponsesRequest.model_validate({"model": "m", "input": "hi", **request})
    return ResponseBuilder(
        ResponseIdentity("resp_1", 1, "m"),
        echo_request(request_object),
        client_tools,
        SIGNER if include_thinking else None,
    )


def feed_events(builder: ResponseBuilder, *events: Event) -> list[ResponseEvent]:
    """Return the response events, each validated with the official client's types."""
    response_events = [response_event for event in events for response_event in builder.feed(event)]
    for response_event in response_events:
        EVENT.validate_python(response_event)
    Response.model_validate(builder.response)
    return response_events


def text_events(*chunks: str) -> list[Event]:
    return [BlockStarted(Text("")), *map(TextDelta, chunks), BlockEnded()]


def thinking_events(*chunks: str, signature: str = "sig") -> list[Event]:
    return [BlockStarted(ThinkingBlock("", "")), *map(ThinkingDelta, chunks), SignatureDelta(signature), BlockEnded()]


def call_events(name: str, *chunks: str) -> list[Event]:
    return [BlockStarted(ToolUse("call_1", name, {})), *map(ToolInputDelta, chunks), BlockEnded()]


def finish_event(reason: StopReason = "end_turn") -> Finished:
    return Finished(reason, TokenUsage(1, 2))


@pytest.mark.promise("responses.custom-tools")
def test_custom_tool_call_streams_raw_text() -> None:
    sent = feed_events(
        create_builder(), STARTED, *call_events("patch", '{"input": "a\\', 'nb"}'), finish_event("tool_use")
    )

    assert [(event["type"], event.get("delta", event.get("input"))) for event in sent[3:6]] == [
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
def test_call_in_a_namespace_has_the_names_of_tool_and_namespace(name: str, kind: str) -> None:
    builder = create_builder()
    feed_events(builder, STARTED, *call_events(name, '{"input": "ls"}'), finish_event("tool_use"))

    (item,) = builder.response["output"]
    assert (item["type"], item["namespace"], item["name"]) == (kind, "shell", name.removeprefix("shell__"))


def test_tool_search_is_encoded_as_a_search_call() -> None:
    builder = create_builder()
    sent = feed_events(
        builder, STARTED, *call_events("tool_search", '{"query":', '"agents"}'), finish_event("tool_use")
    )

    assert [event["type"] for event in sent[2:4]] == ["response.output_item.added", "response.output_item.done"]
    assert sent[3]["item"] == {
        "id": "tsc_1_0",
        "type": "tool_search_call",
        "status": "completed",
        "execution": "client",
        "arguments": {"query": "agents"},
        "call_id": "call_1",
    }
    assert builder.to_turn() == Turn("assistant", (ToolUse("call_1", "tool_search", {"query": "agents"}),))


def test_includes_signed_thinking_only_on_request() -> None:
    for include_thinking in (True, False):
        builder = create_builder(include_thinking=include_thinking)
        feed_events(
            builder,
            STARTED,
            *thinking_events("hm"),
            BlockStarted(RedactedThinkingBlock("data")),
            BlockEnded(),
            *text_events("yes"),
            finish_event(),
        )

        reasoning = builder.response["output"][:2]
        assert [item["summary"] for item in reasoning] == [[{"type": "summary_text", "text": "hm"}], []]
        assert all(("encrypted_content" in item) is include_thinking for item in reasoning)


@pytest.mark.parametrize(
    ("stop_reason", "incomplete_reason"),
    [
        ("max_tokens", "max_output_tokens"),
        ("model_context_window_exceeded", "max_output_tokens"),
        ("refusal", "content_filter"),
    ],
)
def test_truncated_reply_is_incomplete_with_its_last_item_only(stop_reason: StopReason, incomplete_reason: str) -> None:
    builder = create_builder()
    last = feed_events(builder, STARTED, *text_events("one"), *call_events("f", '{"a": '), finish_event(stop_reason))[
        -1
    ]

    assert (last["type"], builder.is_complete) == ("response.incomplete", True)
    assert last["response"]["incomplete_details"] == {"reason": incomplete_reason}
    assert [item["status"] for item in last["response"]["output"]] == ["completed", "incomplete"]


@pytest.mark.parametrize("reason", ["end_turn", "stop_sequence", "tool_use"])
def test_reply_with_any_other_stop_reason_is_complete(reason: StopReason) -> None:
    builder = create_builder()

    assert feed_events(builder, STARTED, *text_events("one"), finish_event(reason))[-1]["type"] == "response.completed"
    assert builder.response["incomplete_details"] is None


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ErrorKind.CONTEXT_LENGTH_EXCEEDED, "context_length_exceeded"),
        (ErrorKind.RATE_LIMITED, "rate_limit_exceeded"),
        (ErrorKind.QUEUE_FULL, "rate_limit_exceeded"),
        (ErrorKind.INVALID_REQUEST, "invalid_prompt"),
        (ErrorKind.WORKER_EXITED, "server_error"),
    ],
)
def test_failure_has_an_error_code_that_clients_handle(kind: ErrorKind, code: str) -> None:
    *_, error, failed = create_builder().fail(from_worker_error(WorkerError(kind, "It failed.")))

    assert (error["code"], failed["response"]["error"]["code"]) == (code, code)


def test_temporary_failure_says_when_to_retry_in_a_sentence_that_clients_parse() -> None:
    failed = create_builder().fail(
        from_worker_error(WorkerError(ErrorKind.RATE_LIMITED, "Slow down.", retry_after=6.2))
    )[-1]

    assert failed["response"]["error"]["message"] == "Slow down. Try again in 7s."


def test_failure_reuses_the_sequence_number_of_an_unsent_end() -> None:
    builder = create_builder()
    *sent, _ = feed_events(builder, STARTED, *text_events("one"), finish_event())

    last_events = builder.fail(ApiError(500, "api_error", "The disk is full."))

    assert [event["sequence_number"] for event in (*sent, *last_events)] == list(range(len(sent) + 2))
    assert (builder.response["status"], builder.is_complete) == ("failed", False)


def test_background_response_is_queued_first() -> None:
    builder = create_builder(background=True)

    sent = [*builder.mark_queued(), *feed_events(builder, STARTED)]

    assert [(event["type"], event["response"]["status"]) for event in sent] == [
        ("response.created", "queued"),
        ("response.queued", "queued"),
        ("response.in_progress", "in_progress"),
    ]


def test_cancelled_response_keeps_its_output_so_far() -> None:
    builder = create_builder()
    feed_events(builder, STARTED, *text_events("one")[:-1])

    last = builder.cancel()[-1]

    assert (last["type"], last["response"]["status"]) == ("response.failed", "cancelled")
    assert last["response"]["error"] is None
    assert last["response"]["output"][0]["content"][0]["text"] == "one"


def test_stored_reply_contains_every_block_with_its_thinking() -> None:
    builder = create_builder()
    feed_events(
        builder,
        STARTED,
        *thinking_events("hm"),
        *text_events("one"),
        *call_events("patch", '{"input": "x"}'),
        finish_event("tool_use"),
    )

    assert builder.to_turn() == Turn(
        "assistant", (ThinkingBlock("hm", "sig"), Text("one"), ToolUse("call_1", "patch", {"input": "x"}))
    )


@pytest.mark.parametrize(
    "events",
    [
        thinking_events("hm"),
        [*text_events(" "), *thinking_events("hm")],
        call_events("f", '{"a": '),
        [],
        text_events(""),
    ],
    ids=["thinking", "blank", "truncated call", "no events", "empty"],
)
def test_stored_reply_omits_blocks_that_the_model_would_reject(events: list[Event]) -> None:
    builder = create_builder()
    feed_events(builder, STARTED, *events, finish_event("max_tokens"))

    assert builder.to_turn() is None


def test_response_echoes_its_request() -> None:
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

    assert {name: create_builder(**request).response[name] for name in request} == request


def test_echo_omits_fields_that_are_not_json_and_keeps_the_others() -> None:
    response = create_builder(metadata={"n": 10**30}, tools=[{"type": "function", "name": "f"}], user="u").response

    assert (response["metadata"], response["user"]) == (None, "u")
    assert orjson.loads(orjson.dumps(response))["tools"] == [{"type": "function", "name": "f"}]


@pytest.mark.parametrize("events", [[], [*text_events("one")], [*text_events("half a character: \ud83d")]], ids=str)
def test_error_at_the_end_of_a_stream_does_not_depend_on_earlier_output(events: list[Event]) -> None:
    builder = ResponseBuilder(ResponseIdentity("resp_1", 1, "m"), {"metadata": {"n": 10**30}}, {})
    for event in [STARTED, *events]:
        builder.feed(event)

    last_messages = ResponsesStreamEncoder(builder).fail(
        from_worker_error(WorkerError(ErrorKind.UPSTREAM_DISCONNECTED, "It failed."))
    )

    event_names = [name for name, _ in last_messages]
    assert event_names[-2:] == ["error", "response.failed"]
    error, failed = [orjson.loads(data) for _, data in last_messages[-2:]]
    assert "It failed." in error["message"]
    assert (failed["response"]["id"], failed["response"]["status"]) == ("resp_1", "failed")
    assert "It failed." in failed["response"]["error"]["message"]


def test_echo_omits_invalid_fields() -> None:
    assert (
        create_builder(user=5, max_tool_calls=True, tools=["f"]).response
        | {
            "user": None,
            "max_tool_calls": None,
            "tools": [],
        }
        == create_builder(user=5, max_tool_calls=True, tools=["f"]).response
    )
