"""The fake Anthropic API rejects prompts beyond the context window, and stops replies at its end."""

from typing import Any

import pytest

from claude_gateway.devtools.fake_anthropic.context_window import context_window_tokens, too_long_reason
from claude_gateway.devtools.fake_anthropic.script import Script, ScriptedToolCall, truncate_at_context_window

NEW = "claude-sonnet-4-5-20250929"


def create_request(model: str = NEW, max_tokens: int = 1) -> dict[str, Any]:
    return {"model": model, "max_tokens": max_tokens}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 200_000),
        ({"anthropic-beta": "another-2025-01-01"}, 200_000),
        ({"Anthropic-Beta": "another-2025-01-01,context-1m-2025-08-07"}, 1_000_000),
    ],
)
def test_context_window_is_larger_with_the_beta_header(headers: dict[str, str], expected: int) -> None:
    assert context_window_tokens(headers) == expected


def test_rejects_too_long_prompt_with_the_message_of_the_api() -> None:
    assert too_long_reason(create_request(), 200_001, 200_000) == "prompt is too long: 200001 tokens > 200000 maximum"
    assert too_long_reason(create_request(), 200_000, 200_000) is None


@pytest.mark.parametrize(
    ("model", "is_rejected"),
    [
        ("claude-3-7-sonnet-20250219", True),
        ("claude-sonnet-4-20250514", True),
        ("claude-opus-4-1-20250805", True),
        (NEW, False),
        ("claude-opus-5-5", False),
    ],
)
def test_older_models_reject_a_reply_that_might_not_fit(model: str, is_rejected: bool) -> None:
    problem = too_long_reason(create_request(model, max_tokens=64_000), 190_000, 200_000)

    assert (problem is not None) == is_rejected
    assert not is_rejected or "exceed context limit: 190000 + 64000 > 200000" in str(problem)


def test_reply_stops_at_the_end_of_the_window() -> None:
    script = Script(deltas=("a", "b", "c"), tool_calls=(ScriptedToolCall("f", {}),))

    stopped = truncate_at_context_window(2, script)

    assert (stopped.deltas, stopped.tool_calls) == (("a", "b"), ())
    assert stopped.stop_reason == "model_context_window_exceeded"
    assert truncate_at_context_window(3, script) == script
