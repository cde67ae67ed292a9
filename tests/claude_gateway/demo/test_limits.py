"""The stand-in refuses what is too much for a context window, and stops where one ends."""

from typing import Any

import pytest

from claude_gateway.demo.limits import over_long, window
from claude_gateway.demo.script import Script, ToolCall, ending_at

NEW = "claude-sonnet-4-5-20250929"


def asked(model: str = NEW, max_tokens: int = 1) -> dict[str, Any]:
    return {"model": model, "max_tokens": max_tokens}


@pytest.mark.parametrize(
    ("headers", "most"),
    [
        ({}, 200_000),
        ({"anthropic-beta": "another-2025-01-01"}, 200_000),
        ({"Anthropic-Beta": "another-2025-01-01,context-1m-2025-08-07"}, 1_000_000),
    ],
)
def test_window_is_larger_with_the_beta(headers: dict[str, str], most: int) -> None:
    assert window(headers) == most


def test_over_long_prompt_is_told_in_the_words_of_the_api() -> None:
    assert over_long(asked(), 200_001, 200_000) == "prompt is too long: 200001 tokens > 200000 maximum"
    assert over_long(asked(), 200_000, 200_000) is None


@pytest.mark.parametrize(
    ("model", "refused"),
    [
        ("claude-3-7-sonnet-20250219", True),
        ("claude-sonnet-4-20250514", True),
        ("claude-opus-4-1-20250805", True),
        (NEW, False),
        ("claude-opus-5-5", False),
    ],
)
def test_older_models_are_refused_an_answer_that_might_not_fit(model: str, refused: bool) -> None:
    complaint = over_long(asked(model, max_tokens=64_000), 190_000, 200_000)

    assert (complaint is not None) == refused
    assert not refused or "exceed context limit: 190000 + 64000 > 200000" in str(complaint)


def test_answer_stops_at_the_end_of_the_window() -> None:
    script = Script(deltas=("a", "b", "c"), tools=(ToolCall("f", {}),))

    stopped = ending_at(2, script)

    assert (stopped.deltas, stopped.tools) == (("a", "b"), ())
    assert stopped.stop_reason == "model_context_window_exceeded"
    assert ending_at(3, script) == script
