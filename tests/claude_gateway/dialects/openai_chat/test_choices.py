"""Several choices of one chat request: the same replies as for separate requests, in one stream or body."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.core.errors import ApiError, stream_interrupted
from claude_gateway.dialects.openai_chat.choices import ChatChoicesBodyBuilder, ChatChoicesStreamEncoder, sum_usage
from claude_gateway.dialects.openai_chat.encode import ChatBodyBuilder, CompletionIdentity
from tests.claude_gateway.dialects.strategies.event_streams import complete_replies
from workers.core.events import Event, Finished, StreamReset, TextDelta, TokenUsage

IDENTITY = CompletionIdentity("chatcmpl-1", 1_700_000_000, "requested-model")


@st.composite
def interleaved_replies(draw: st.DrawFn) -> tuple[list[list[Event]], list[tuple[int, Event]]]:
    """Draw several replies, and an interleaving of their events."""
    replies = draw(st.lists(complete_replies(), min_size=1, max_size=4))
    remaining = [list(reply) for reply in replies]
    indexed_events = []
    while any(remaining):
        index = draw(st.sampled_from([index for index, events in enumerate(remaining) if events]))
        indexed_events.append((index, remaining[index].pop(0)))
    return replies, indexed_events


def encode_stream(count: int, indexed_events: list[tuple[int, Event]], *, usage: bool) -> list[str]:
    encoder = ChatChoicesStreamEncoder(IDENTITY, count, include_usage=usage)
    return [data for event in indexed_events for _, data in encoder.feed(event)]


def encode_body(count: int, indexed_events: list[tuple[int, Event]]) -> dict[str, Any]:
    builder = ChatChoicesBodyBuilder(IDENTITY, count)
    for event in indexed_events:
        builder.feed(event)
    return builder.body()


@pytest.mark.promise("choices.separate-jobs")
@given(interleaved_replies())
def test_body_contains_each_choice_as_if_it_were_alone(case: tuple[list[list[Event]], list[tuple[int, Event]]]) -> None:
    replies, indexed_events = case
    choices = encode_body(len(replies), indexed_events)["choices"]

    for index, reply in enumerate(replies):
        alone = ChatBodyBuilder(IDENTITY)
        for event in reply:
            alone.feed(event)
        assert choices[index] == {**alone.body()["choices"][0], "index": index}


@pytest.mark.promise("choices.separate-jobs")
@given(interleaved_replies())
def test_stream_adds_up_to_the_body(case: tuple[list[list[Event]], list[tuple[int, Event]]]) -> None:
    replies, indexed_events = case
    body = encode_body(len(replies), indexed_events)
    *chunk_data, usage, done = encode_stream(len(replies), indexed_events, usage=True)
    chunks = [orjson.loads(data) for data in chunk_data]

    assert done == "[DONE]"
    assert orjson.loads(usage)["choices"] == []
    assert orjson.loads(usage)["usage"] == body["usage"]
    for choice in body["choices"]:
        choice_chunks = [chunk["choices"][0] for chunk in chunks if chunk["choices"][0]["index"] == choice["index"]]
        assert choice_chunks[0]["delta"]["role"] == "assistant"
        assert "".join(chunk["delta"].get("content", "") for chunk in choice_chunks) == (
            choice["message"]["content"] or ""
        )
        reasons = [chunk["finish_reason"] for chunk in choice_chunks]
        assert reasons == [*[None] * (len(choice_chunks) - 1), choice["finish_reason"]]


@given(interleaved_replies())
def test_stream_includes_usage_only_on_request(case: tuple[list[list[Event]], list[tuple[int, Event]]]) -> None:
    replies, indexed_events = case

    *chunks, _ = encode_stream(len(replies), indexed_events, usage=False)
    assert not any("usage" in orjson.loads(chunk) for chunk in chunks)


def test_usage_counts_the_prompt_once_and_every_reply() -> None:
    usages = [
        TokenUsage(input_tokens=5, output_tokens=2, thinking_tokens=1),
        TokenUsage(input_tokens=1, output_tokens=3, cache_read_tokens=9, thinking_tokens=2),
        TokenUsage(input_tokens=1, output_tokens=4, cache_write_tokens=8),
    ]

    assert sum_usage(usages) == TokenUsage(input_tokens=1, output_tokens=9, cache_read_tokens=9, thinking_tokens=3)
    assert sum_usage(reversed(usages)) == sum_usage(usages)


def test_reset_of_one_choice_fails_the_stream_and_clears_only_that_choice_in_the_body() -> None:
    end = Finished("end_turn", TokenUsage())
    indexed_events: list[tuple[int, Event]] = [
        (0, TextDelta("a")),
        (1, TextDelta("b")),
        (1, StreamReset()),
        (0, end),
        (1, end),
    ]

    with pytest.raises(ApiError):
        encode_stream(2, indexed_events, usage=False)
    assert [choice["message"]["content"] for choice in encode_body(2, indexed_events)["choices"]] == ["a", ""]


def test_body_fails_if_a_choice_has_no_end() -> None:
    with pytest.raises(ApiError):
        encode_body(2, [(0, Finished("end_turn", TokenUsage()))])


def test_error_ends_the_stream_without_done() -> None:
    (message,) = ChatChoicesStreamEncoder(IDENTITY, 3, include_usage=True).fail(stream_interrupted())

    assert orjson.loads(message[1])["error"]["code"] == "upstream_disconnected"
