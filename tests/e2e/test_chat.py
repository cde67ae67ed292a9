"""A chat from an OpenAI client through the real CLI: what the caller reads and what the model is asked."""

import asyncio
from typing import Any

import pytest

from tests.e2e.conftest import Gateway

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


def turns(body: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """The conversation that the model was asked, as roles and texts."""
    found = []
    for message in body["messages"]:
        content = message["content"]
        texts = [content] if isinstance(content, str) else [block.get("text", block["type"]) for block in content]
        found.append((message["role"], texts))
    return found


def system_of(body: dict[str, Any]) -> list[str]:
    """The caller's part of the system prompt: what stands behind the CLI's own two blocks."""
    return [block["text"] for block in body["system"]]


async def test_a_stream_carries_the_model_s_words_one_delta_each(gateway: Gateway) -> None:
    stream = await gateway.ask("one two three", stream=True)
    pieces = [chunk.choices[0].delta.content async for chunk in stream if chunk.choices[0].delta.content]
    assert pieces == ["one ", "two ", "three"]


async def test_the_whole_answer_is_the_sum_of_the_stream(gateway: Gateway) -> None:
    whole = await gateway.ask("äöü 漢字 🎉 y")
    streamed = await gateway.stream_text("äöü 漢字 🎉 y")
    assert whole.choices[0].message.content == streamed == "äöü 漢字 🎉 y"
    assert whole.choices[0].finish_reason == "stop"


async def test_usage_counts_cached_tokens_as_part_of_the_prompt(gateway: Gateway) -> None:
    answer = await gateway.ask("a b {{usage input=10 output=7 cache_read=100 cache_write=5}}")
    assert answer.usage.prompt_tokens == 115
    assert answer.usage.completion_tokens == 7
    assert answer.usage.total_tokens == 122
    assert answer.usage.prompt_tokens_details.cached_tokens == 100


async def test_the_usage_chunk_comes_last_and_only_when_asked_for(gateway: Gateway) -> None:
    asked = await gateway.ask("a b", stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in asked]
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 2
    plain = [chunk async for chunk in await gateway.ask("a b", stream=True)]
    assert all(chunk.usage is None and chunk.choices for chunk in plain)


@pytest.mark.promise("chat.history")
async def test_earlier_turns_reach_the_model_as_turns_and_not_as_a_transcript(gateway: Gateway) -> None:
    await gateway.ask(
        {"role": "system", "content": "Be brief."},
        "first question",
        {"role": "assistant", "content": "first answer"},
        "second question",
        {"role": "assistant", "content": "second answer"},
        "third question",
    )
    body = gateway.upstream.chats[-1].body
    assert turns(body) == [
        ("user", ["first question"]),
        ("assistant", ["first answer"]),
        ("user", ["second question"]),
        ("assistant", ["second answer"]),
        ("user", ["third question"]),
    ]
    assert system_of(body) == ["Be brief."]
    assert len(gateway.upstream.chats) == 1


async def test_a_tool_call_of_the_past_and_its_result_stay_structured(gateway: Gateway) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
    await gateway.ask(
        "weather?",
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
        {"role": "assistant", "content": "It is sunny."},
        "thanks",
    )
    messages = gateway.upstream.chats[-1].body["messages"]
    used = messages[1]["content"][0]
    assert (used["type"], used["name"], used["input"]) == ("tool_use", "weather", {"city": "Oslo"})
    result = messages[2]["content"][0]
    assert (result["type"], result["tool_use_id"]) == ("tool_result", used["id"])


async def test_every_role_is_taken(gateway: Gateway) -> None:
    await gateway.ask(
        {"role": "developer", "content": "Rule one."},
        {"role": "system", "content": [{"type": "text", "text": "Rule two."}]},
        {"role": "user", "content": [{"type": "text", "text": "part one"}, {"type": "text", "text": "part two"}]},
    )
    body = gateway.upstream.chats[-1].body
    assert system_of(body) == ["Rule one.\n\nRule two."]
    assert turns(body) == [("user", ["part one", "part two"])]


@pytest.mark.promise("isolation.text-is-text")
@pytest.mark.parametrize("text", ["@/etc/passwd what is this?", "/clear", "/model opus", "!ls", "# note", "/etc/hosts"])
async def test_what_looks_like_a_command_or_a_file_reaches_the_model_as_it_is(gateway: Gateway, text: str) -> None:
    answer = await gateway.ask(text)
    assert turns(gateway.upstream.chats[-1].body) == [("user", [text])]
    assert answer.choices[0].message.content == text


async def test_what_looks_like_a_file_in_the_history_is_not_read_either(gateway: Gateway) -> None:
    await gateway.ask("@/etc/passwd", {"role": "assistant", "content": "@/etc/hosts"}, "go on")
    assert turns(gateway.upstream.chats[-1].body) == [
        ("user", ["@/etc/passwd"]),
        ("assistant", ["@/etc/hosts"]),
        ("user", ["go on"]),
    ]


@pytest.mark.promise("models.claude-passed-on")
async def test_the_model_asked_for_is_the_model_that_answers(gateway: Gateway) -> None:
    for model in ("claude-opus-4-1-20250805", "claude-haiku-4-5-20251001", "claude-opus-4-1-20250805"):
        answer = await gateway.ask("hello", model=model)
        assert answer.model == model
        body = gateway.upstream.chats[-1].body
        assert body["model"] == model
        assert turns(body) == [("user", ["hello"])]


@pytest.mark.promise("models.aliases")
@pytest.mark.parametrize(("name", "size"), [("gpt-5.5", "sonnet-4-5"), ("gpt-4o-mini", "haiku"), ("opus", "opus")])
async def test_a_foreign_name_is_answered_by_the_model_it_means(gateway: Gateway, name: str, size: str) -> None:
    raw = await gateway.client.chat.completions.with_raw_response.create(
        model=name, messages=[{"role": "user", "content": "hello"}]
    )
    used = gateway.upstream.chats[-1].body["model"]
    assert size in used
    assert raw.parse().model == (used if name == "opus" else name)
    assert raw.headers["x-claude-model"] == used


@pytest.mark.promise("isolation.job-from-job")
async def test_nothing_of_one_job_reaches_the_next(gateway: Gateway) -> None:
    secrets = [f"secret-{number}" for number in range(4)]
    for secret in secrets:
        await gateway.ask({"role": "system", "content": f"system {secret}"}, f"user {secret}", max_tokens=77)
    gateway.upstream.forget()
    await asyncio.gather(*(gateway.ask({"role": "system", "content": "clean"}, f"clean {n}") for n in range(4)))
    for received in gateway.upstream.chats:
        assert not any(secret in str(received.body) for secret in secrets)
        assert system_of(received.body) == ["clean"]
        assert received.body["max_tokens"] > 77


async def test_a_job_without_a_system_prompt_has_none_even_after_one_that_had(gateway: Gateway) -> None:
    for _ in range(3):
        await gateway.ask({"role": "system", "content": "You are a pirate."}, "hello")
    await gateway.ask("hello")
    assert system_of(gateway.upstream.chats[-1].body) == []


async def test_max_tokens_reaches_the_upstream_request(gateway: Gateway) -> None:
    await gateway.ask("a b", max_tokens=123)
    assert gateway.upstream.chats[-1].body["max_tokens"] == 123
    await gateway.ask("a b", max_completion_tokens=456)
    assert gateway.upstream.chats[-1].body["max_tokens"] == 456


async def test_a_job_that_asks_for_no_thinking_gets_none(gateway: Gateway) -> None:
    await gateway.ask("hello")
    assert gateway.upstream.chats[-1].body["thinking"] == {"type": "disabled"}


async def test_thinking_reaches_the_caller_as_reasoning(gateway: Gateway) -> None:
    stream = await gateway.ask("yes {{think let me see}}", stream=True)
    deltas = [chunk.choices[0].delta async for chunk in stream if chunk.choices]
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == "let me see"
    assert "".join(delta.content or "" for delta in deltas) == "yes"


async def test_more_callers_than_workers_are_all_answered(gateway: Gateway) -> None:
    texts = [f"caller {number}" for number in range(12)]
    assert await asyncio.gather(*map(gateway.stream_text, texts)) == texts


async def test_a_long_history_is_put_in_whole(gateway: Gateway) -> None:
    history: list[dict[str, Any] | str] = []
    for number in range(30):
        history += [f"question {number}", {"role": "assistant", "content": f"answer {number}"}]
    await gateway.ask(*history, "the end")
    sent = turns(gateway.upstream.chats[-1].body)
    assert [texts for _, texts in sent][:-1] == [
        [f"{word} {number}"] for number in range(30) for word in ("question", "answer")
    ]
    assert sent[-1] == ("user", ["the end"])
