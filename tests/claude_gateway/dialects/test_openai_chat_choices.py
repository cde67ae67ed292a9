"""Several choices of one chat request: the same answers as one by one, in one stream or body."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.dialects.openai_chat.choices import ChoicesEncoder, ChoicesFold, usage_of_all
from claude_gateway.dialects.openai_chat.encode import BodyFold, Identity
from claude_gateway.errors import ApiError, cut_short
from tests.claude_gateway.dialects.event_streams import answers
from workers.events import Event, Finished, Restarted, TextDelta, Usage

IDENTITY = Identity("chatcmpl-1", 1_700_000_000, "the-model-asked-for")


@st.composite
def interleaved(draw: st.DrawFn) -> tuple[list[list[Event]], list[tuple[int, Event]]]:
    """Some answers, and their events in some order in which they could come."""
    whole = draw(st.lists(answers(), min_size=1, max_size=4))
    left = [list(answer) for answer in whole]
    order = []
    while any(left):
        index = draw(st.sampled_from([index for index, events in enumerate(left) if events]))
        order.append((index, left[index].pop(0)))
    return whole, order


def streamed(count: int, order: list[tuple[int, Event]], *, usage: bool) -> list[str]:
    encoder = ChoicesEncoder(IDENTITY, count, include_usage=usage)
    return [data for numbered in order for _, data in encoder.feed(numbered)]


def folded(count: int, order: list[tuple[int, Event]]) -> dict[str, Any]:
    fold = ChoicesFold(IDENTITY, count)
    for numbered in order:
        fold.feed(numbered)
    return fold.body()


@pytest.mark.promise("choices.each-an-answer")
@given(interleaved())
def test_the_body_holds_each_answer_as_it_is_alone(case: tuple[list[list[Event]], list[tuple[int, Event]]]) -> None:
    whole, order = case
    choices = folded(len(whole), order)["choices"]

    for index, answer in enumerate(whole):
        alone = BodyFold(IDENTITY)
        for event in answer:
            alone.feed(event)
        assert choices[index] == {**alone.body()["choices"][0], "index": index}


@pytest.mark.promise("choices.each-an-answer")
@given(interleaved())
def test_the_stream_adds_up_to_the_body(case: tuple[list[list[Event]], list[tuple[int, Event]]]) -> None:
    whole, order = case
    body = folded(len(whole), order)
    *sent, usage, done = streamed(len(whole), order, usage=True)
    chunks = [orjson.loads(one) for one in sent]

    assert done == "[DONE]"
    assert orjson.loads(usage)["choices"] == []
    assert orjson.loads(usage)["usage"] == body["usage"]
    for choice in body["choices"]:
        mine = [chunk["choices"][0] for chunk in chunks if chunk["choices"][0]["index"] == choice["index"]]
        assert mine[0]["delta"]["role"] == "assistant"
        assert "".join(one["delta"].get("content", "") for one in mine) == (choice["message"]["content"] or "")
        reasons = [one["finish_reason"] for one in mine]
        assert reasons == [*[None] * (len(mine) - 1), choice["finish_reason"]]


@given(interleaved())
def test_the_usage_is_told_only_when_asked_for(case: tuple[list[list[Event]], list[tuple[int, Event]]]) -> None:
    whole, order = case

    *chunks, _ = streamed(len(whole), order, usage=False)
    assert not any("usage" in orjson.loads(chunk) for chunk in chunks)


def test_the_prompt_is_counted_once_and_every_answer() -> None:
    used = [
        Usage(input=5, output=2, thinking=1),
        Usage(input=1, output=3, cache_read=9, thinking=2),
        Usage(input=1, output=4, cache_write=8),
    ]

    assert usage_of_all(used) == Usage(input=1, output=9, cache_read=9, thinking=3)
    assert usage_of_all(reversed(used)) == usage_of_all(used)


def test_a_choice_that_begins_again_ends_the_stream_in_an_error_and_voids_itself_alone_in_a_body() -> None:
    end = Finished("end_turn", Usage())
    order: list[tuple[int, Event]] = [(0, TextDelta("a")), (1, TextDelta("b")), (1, Restarted()), (0, end), (1, end)]

    with pytest.raises(ApiError):
        streamed(2, order, usage=False)
    assert [choice["message"]["content"] for choice in folded(2, order)["choices"]] == ["a", ""]


def test_a_choice_without_an_end_makes_no_body() -> None:
    with pytest.raises(ApiError):
        folded(2, [(0, Finished("end_turn", Usage()))])


def test_an_error_ends_the_stream_without_done() -> None:
    (only,) = ChoicesEncoder(IDENTITY, 3, include_usage=True).fail(cut_short())

    assert orjson.loads(only[1])["error"]["code"] == "upstream_cut"
