"""The prompt cache of the fake Anthropic API counts shared prefixes as the API documents it."""

from typing import Any

import pytest

from claude_gateway.devtools.fake_anthropic.prompt_cache import PromptCache, PromptUsage
from claude_gateway.devtools.fake_anthropic.token_count import count_input_tokens, split_prompt
from tests.claude_gateway.manual_clock import ManualClock

BREAKPOINT = {"type": "ephemeral"}
LONG = "word " * 2_000


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cache(clock: ManualClock) -> PromptCache:
    return PromptCache(clock)


def request_prompt(cache: PromptCache, *blocks: dict[str, Any], **more: Any) -> PromptUsage:
    request = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": list(blocks)}], **more}
    usage = cache.process_request(request, tuple(split_prompt(request)))
    assert usage.cache_read_tokens + usage.cache_write_tokens + usage.uncached_tokens == count_input_tokens(request)
    return usage


def text_block(content: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": content, **more}


def marked_block(content: str, **more: Any) -> dict[str, Any]:
    return text_block(content, cache_control={**BREAKPOINT, **more})


def test_first_prompt_is_written_up_to_its_breakpoint(cache: PromptCache) -> None:
    usage = request_prompt(cache, marked_block(LONG), text_block("behind the mark"))

    assert (usage.cache_read_tokens, usage.cache_write_tokens > 2_000, 0 < usage.uncached_tokens < 10) == (
        0,
        True,
        True,
    )


def test_later_prompt_reads_the_shared_part_and_writes_the_new_part(cache: PromptCache) -> None:
    first = request_prompt(cache, marked_block(LONG))

    second = request_prompt(cache, text_block(LONG), marked_block(LONG))

    assert second.cache_read_tokens == first.cache_write_tokens
    assert second.cache_write_tokens > 2_000


def test_breakpoint_is_not_part_of_the_prefix(cache: PromptCache) -> None:
    first = request_prompt(cache, marked_block(LONG))

    assert request_prompt(cache, marked_block(LONG, ttl="1h")).cache_read_tokens == first.cache_write_tokens


def test_prompt_without_breakpoint_neither_reads_nor_writes(cache: PromptCache) -> None:
    request_prompt(cache, marked_block(LONG))

    usage = request_prompt(cache, text_block(LONG))

    assert (usage.cache_read_tokens, usage.cache_write_tokens) == (0, 0)


def test_short_prompt_is_not_cached(cache: PromptCache) -> None:
    request_prompt(cache, marked_block("short"))

    usage = request_prompt(cache, marked_block("short"))

    assert (usage.cache_read_tokens, usage.cache_write_tokens) == (0, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"model": "claude-opus-4-1"},
        {"system": "another"},
        {"tools": [{"name": "f", "description": "another", "input_schema": {"type": "object"}}]},
        {"tool_choice": {"type": "none"}},
        {"thinking": {"type": "enabled", "budget_tokens": 2_000}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_different_content_in_front_makes_another_prefix(cache: PromptCache, change: dict[str, Any]) -> None:
    request_prompt(cache, marked_block(LONG))

    assert request_prompt(cache, marked_block(LONG), **change).cache_read_tokens == 0


def test_reads_tools_and_system_if_only_messages_differ(cache: PromptCache) -> None:
    system = {"system": [marked_block(LONG)]}
    first = request_prompt(cache, text_block("one"), **system)

    second = request_prompt(cache, text_block("two"), **system)

    assert (first.cache_write_tokens, first.cache_read_tokens) == (second.cache_read_tokens, 0)
    assert second.cache_write_tokens == 0


def test_billing_line_of_the_cli_makes_no_difference(cache: PromptCache) -> None:
    systems = [[text_block(f"x-anthropic-billing-header: cch={n};"), marked_block(LONG)] for n in range(2)]

    first, second = (request_prompt(cache, text_block("one"), system=system) for system in systems)

    assert second.cache_read_tokens == first.cache_write_tokens


def test_finds_prefix_at_most_twenty_blocks_before_a_breakpoint(cache: PromptCache) -> None:
    request_prompt(cache, marked_block(LONG))

    near = request_prompt(cache, text_block(LONG), *[text_block(f"n{n}") for n in range(19)], marked_block("end"))
    cache.clear()
    request_prompt(cache, marked_block(LONG))
    far = request_prompt(cache, text_block(LONG), *[text_block(f"f{n}") for n in range(20)], marked_block("end"))

    assert (near.cache_read_tokens > 0, far.cache_read_tokens) == (True, 0)


@pytest.mark.parametrize(("ttl", "seconds"), [("5m", 300), ("1h", 3_600)])
def test_prefix_expires(cache: PromptCache, clock: ManualClock, ttl: str, seconds: int) -> None:
    request_prompt(cache, marked_block(LONG, ttl=ttl))
    clock.now = seconds - 1
    within = request_prompt(cache, marked_block(LONG, ttl=ttl))
    clock.now += seconds + 1

    assert (within.cache_read_tokens > 0, request_prompt(cache, marked_block(LONG, ttl=ttl)).cache_read_tokens) == (
        True,
        0,
    )


def test_reports_one_hour_writes_separately(cache: PromptCache) -> None:
    usage = request_prompt(cache, marked_block(LONG, ttl="1h"), marked_block(LONG))

    assert 0 < usage.cache_write_1h_tokens < usage.cache_write_tokens


def test_tool_result_may_have_a_breakpoint(cache: PromptCache) -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": [marked_block(LONG)]}
    request_prompt(cache, result)

    assert request_prompt(cache, result).cache_read_tokens > 0
