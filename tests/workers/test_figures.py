"""Whatever figure the upstream tells, what comes of it can be added up, stored and shown."""

import math

import pytest

from workers import figures
from workers.answer import Answer
from workers.errors import WorkerError
from workers.events import Finished, Started, Usage
from workers.fake import message_start, stream_event

ABSURD = [1e308, math.inf, -math.inf, math.nan, -5, 10**400, -(10**400), "many", True, None, [], {}, "1e308", b"7"]


@pytest.mark.promise("figures.bounded")
@pytest.mark.parametrize("told", ABSURD, ids=[repr(one)[:12] for one in ABSURD])
def test_an_absurd_figure_becomes_one_that_can_be(told: object) -> None:
    assert 0 <= figures.tokens(told) <= figures.MAX_TOKENS
    assert type(figures.tokens(told)) is int
    assert figures.usd(told, 0.5) == 0.5
    assert 0 <= figures.seconds(told) <= figures.MAX_WAIT_SECONDS


def test_a_figure_that_can_be_is_what_was_told() -> None:
    assert (figures.tokens(12), figures.tokens(12.0), figures.usd(0.75, 0.5), figures.usd(1, 0.5)) == (12, 12, 0.75, 1)
    assert figures.usd(0.25, 0.5) == 0.5
    assert figures.seconds(1_500) == 1.5


@pytest.mark.promise("figures.bounded")
@pytest.mark.parametrize("told", ABSURD, ids=[repr(one)[:12] for one in ABSURD])
def test_absurd_usage_ends_no_answer(told: object) -> None:
    names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    usage = {**dict.fromkeys(names, told), "output_tokens_details": {"thinking_tokens": told}}
    for whole in (usage, told):
        answer = Answer()
        start = message_start()
        start["event"]["message"]["usage"] = whole
        (started,) = answer.feed(start)
        assert isinstance(started, Started)
        answer.feed(stream_event("message_delta", delta={"stop_reason": "end_turn"}, usage=whole))
        (finished,) = answer.feed({"type": "result", "subtype": "success", "is_error": False})
        assert isinstance(finished, Finished)
        most = figures.MAX_TOKENS
        for used in (started.usage, finished.usage):
            assert used == Usage(
                *(
                    min(most, max(0, count))
                    for count in (used.input, used.output, used.cache_read, used.cache_write, used.thinking)
                )
            )


@pytest.mark.parametrize("told", ABSURD, ids=[repr(one)[:12] for one in ABSURD])
def test_an_absurd_wait_is_no_longer_than_a_day(told: object) -> None:
    with pytest.raises(WorkerError) as raised:
        Answer().feed({"type": "system", "subtype": "api_retry", "error_status": 429, "retry_delay_ms": told})

    assert 0 <= (raised.value.retry_after or 0) <= figures.MAX_WAIT_SECONDS


def test_a_model_of_endless_name_is_cut() -> None:
    (started,) = Answer().feed(message_start("m" * 100_000))

    assert isinstance(started, Started)
    assert len(started.model) == 200
