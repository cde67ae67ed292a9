"""The stand-in's prompt cache counts what later prompts share with earlier ones, as the API documents it."""

from typing import Any

import pytest

from claude_gateway.demo.prompt_cache import PromptCache, PromptUsage
from claude_gateway.demo.tokens import count, pieces

MARK = {"type": "ephemeral"}
LONG = "word " * 2_000


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> PromptCache:
    return PromptCache(clock)


def take(cache: PromptCache, *blocks: dict[str, Any], **more: Any) -> PromptUsage:
    asked = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": list(blocks)}], **more}
    usage = cache.take(asked, tuple(pieces(asked)))
    assert usage.read + usage.written + usage.rest == count(asked)
    return usage


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def marked(words: str, **more: Any) -> dict[str, Any]:
    return text(words, cache_control={**MARK, **more})


def test_first_prompt_is_written_up_to_its_mark(cache: PromptCache) -> None:
    usage = take(cache, marked(LONG), text("behind the mark"))

    assert (usage.read, usage.written > 2_000, 0 < usage.rest < 10) == (0, True, True)


def test_later_prompt_reads_what_it_shares_and_writes_what_is_new(cache: PromptCache) -> None:
    first = take(cache, marked(LONG))

    second = take(cache, text(LONG), marked(LONG))

    assert second.read == first.written
    assert second.written > 2_000


def test_mark_itself_is_no_part_of_the_prefix(cache: PromptCache) -> None:
    first = take(cache, marked(LONG))

    assert take(cache, marked(LONG, ttl="1h")).read == first.written


def test_prompt_without_a_mark_neither_reads_nor_writes(cache: PromptCache) -> None:
    take(cache, marked(LONG))

    usage = take(cache, text(LONG))

    assert (usage.read, usage.written) == (0, 0)


def test_short_prompt_is_not_cached(cache: PromptCache) -> None:
    take(cache, marked("short"))

    usage = take(cache, marked("short"))

    assert (usage.read, usage.written) == (0, 0)


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
def test_anything_else_in_front_makes_another_prefix(cache: PromptCache, change: dict[str, Any]) -> None:
    take(cache, marked(LONG))

    assert take(cache, marked(LONG), **change).read == 0


def test_tools_and_system_are_read_where_the_messages_differ(cache: PromptCache) -> None:
    system = {"system": [marked(LONG)]}
    first = take(cache, text("one"), **system)

    second = take(cache, text("two"), **system)

    assert (first.written, first.read) == (second.read, 0)
    assert second.written == 0


def test_billing_line_of_the_cli_does_not_count_as_a_difference(cache: PromptCache) -> None:
    systems = [[text(f"x-anthropic-billing-header: cch={n};"), marked(LONG)] for n in range(2)]

    first, second = (take(cache, text("one"), system=system) for system in systems)

    assert second.read == first.written


def test_prefix_is_found_at_most_twenty_blocks_before_a_mark(cache: PromptCache) -> None:
    take(cache, marked(LONG))

    near = take(cache, text(LONG), *[text(f"n{n}") for n in range(19)], marked("end"))
    cache.forget()
    take(cache, marked(LONG))
    far = take(cache, text(LONG), *[text(f"f{n}") for n in range(20)], marked("end"))

    assert (near.read > 0, far.read) == (True, 0)


@pytest.mark.parametrize(("ttl", "seconds"), [("5m", 300), ("1h", 3_600)])
def test_prefix_is_forgotten_after_its_time(cache: PromptCache, clock: Clock, ttl: str, seconds: int) -> None:
    take(cache, marked(LONG, ttl=ttl))
    clock.now = seconds - 1
    within = take(cache, marked(LONG, ttl=ttl))
    clock.now += seconds + 1

    assert (within.read > 0, take(cache, marked(LONG, ttl=ttl)).read) == (True, 0)


def test_what_is_written_for_an_hour_is_told_apart(cache: PromptCache) -> None:
    usage = take(cache, marked(LONG, ttl="1h"), marked(LONG))

    assert 0 < usage.written_for_an_hour < usage.written


def test_mark_in_a_tool_result_is_one(cache: PromptCache) -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": [marked(LONG)]}
    take(cache, result)

    assert take(cache, result).read > 0
