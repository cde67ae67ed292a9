"""Numbers that the upstream reports are bounded, so that they can be added up and stored."""

import math

import pytest

from tests.workers.scripted_process import message_start_frame, stream_event_frame
from workers.core import bounded_numbers
from workers.core.errors import WorkerError
from workers.core.events import Finished, Started, TokenUsage
from workers.parsing.turn_parser import TurnParser

IMPOSSIBLE_NUMBERS = [
    1e308,
    math.inf,
    -math.inf,
    math.nan,
    -5,
    10**400,
    -(10**400),
    "many",
    True,
    None,
    [],
    {},
    "1e308",
    b"7",
]


@pytest.mark.promise("usage.bounded-numbers")
@pytest.mark.parametrize("value", IMPOSSIBLE_NUMBERS, ids=[repr(number)[:12] for number in IMPOSSIBLE_NUMBERS])
def test_replaces_an_impossible_number(value: object) -> None:
    assert 0 <= bounded_numbers.parse_token_count(value) <= bounded_numbers.MAX_TOKENS
    assert type(bounded_numbers.parse_token_count(value)) is int
    assert bounded_numbers.parse_usd(value, 0.5) == 0.5
    assert 0 <= bounded_numbers.parse_wait_seconds(value) <= bounded_numbers.MAX_WAIT_SECONDS


def test_keeps_a_possible_number() -> None:
    assert (
        bounded_numbers.parse_token_count(12),
        bounded_numbers.parse_token_count(12.0),
        bounded_numbers.parse_usd(0.75, 0.5),
        bounded_numbers.parse_usd(1, 0.5),
    ) == (12, 12, 0.75, 1)
    assert bounded_numbers.parse_usd(0.25, 0.5) == 0.5
    assert bounded_numbers.parse_wait_seconds(1_500) == 1.5


@pytest.mark.promise("usage.bounded-numbers")
@pytest.mark.parametrize("value", IMPOSSIBLE_NUMBERS, ids=[repr(number)[:12] for number in IMPOSSIBLE_NUMBERS])
def test_impossible_token_usage_does_not_end_the_reply(value: object) -> None:
    names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    usage = {**dict.fromkeys(names, value), "output_tokens_details": {"thinking_tokens": value}}
    for reported_usage in (usage, value):
        parser = TurnParser()
        start = message_start_frame()
        start["event"]["message"]["usage"] = reported_usage
        (started,) = parser.feed(start)
        assert isinstance(started, Started)
        parser.feed(stream_event_frame("message_delta", delta={"stop_reason": "end_turn"}, usage=reported_usage))
        (finished,) = parser.feed({"type": "result", "subtype": "success", "is_error": False})
        assert isinstance(finished, Finished)
        max_tokens = bounded_numbers.MAX_TOKENS
        for token_usage in (started.usage, finished.usage):
            assert token_usage == TokenUsage(
                *(
                    min(max_tokens, max(0, count))
                    for count in (
                        token_usage.input_tokens,
                        token_usage.output_tokens,
                        token_usage.cache_read_tokens,
                        token_usage.cache_write_tokens,
                        token_usage.thinking_tokens,
                    )
                )
            )


@pytest.mark.parametrize("value", IMPOSSIBLE_NUMBERS, ids=[repr(number)[:12] for number in IMPOSSIBLE_NUMBERS])
def test_limits_an_impossible_wait_to_one_day(value: object) -> None:
    with pytest.raises(WorkerError) as raised:
        TurnParser().feed({"type": "system", "subtype": "api_retry", "error_status": 429, "retry_delay_ms": value})

    assert 0 <= (raised.value.retry_after or 0) <= bounded_numbers.MAX_WAIT_SECONDS


def test_truncates_a_very_long_model_name() -> None:
    (started,) = TurnParser().feed(message_start_frame("m" * 100_000))

    assert isinstance(started, Started)
    assert len(started.model) == 200
