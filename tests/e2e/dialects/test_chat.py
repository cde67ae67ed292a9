"""Chats of an OpenAI client through the real CLI: the completions, and the upstream requests that they cause."""

import asyncio
from typing import Any

import pytest

from tests.e2e.helpers.gateway import Gateway
from tests.e2e.helpers.upstream_requests import read_system_texts, read_turns

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


async def test_stream_carries_each_delta_of_the_model(gateway: Gateway) -> None:
    stream = await gateway.ask("one two three", stream=True)
    pieces = [chunk.choices[0].delta.content async for chunk in stream if chunk.choices[0].delta.content]
    assert pieces == ["one ", "two ", "three"]


async def test_whole_reply_equals_the_joined_stream(gateway: Gateway) -> None:
    whole = await gateway.ask("äöü 漢字 🎉 y")
    streamed = await gateway.stream_text("äöü 漢字 🎉 y")
    assert whole.choices[0].message.content == streamed == "äöü 漢字 🎉 y"
    assert whole.choices[0].finish_reason == "stop"


async def test_usage_counts_cached_tokens_as_prompt_tokens(gateway: Gateway) -> None:
    completion = await gateway.ask("a b {{usage input=10 output=7 cache_read=100 cache_write=5}}")
    assert completion.usage.prompt_tokens == 115
    assert completion.usage.completion_tokens == 7
    assert completion.usage.total_tokens == 122
    assert completion.usage.prompt_tokens_details.cached_tokens == 100


async def test_usage_chunk_comes_last_and_only_on_request(gateway: Gateway) -> None:
    streamed = await gateway.ask("a b", stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in streamed]
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 2
    plain = [chunk async for chunk in await gateway.ask("a b", stream=True)]
    assert all(chunk.usage is None and chunk.choices for chunk in plain)


@pytest.mark.promise("chat.history")
async def test_earlier_turns_reach_the_model_as_structured_turns(gateway: Gateway) -> None:
    await gateway.ask(
        {"role": "system", "content": "Be brief."},
        "first question",
        {"role": "assistant", "content": "first answer"},
        "second question",
        {"role": "assistant", "content": "second answer"},
        "third question",
    )
    body = gateway.upstream.chat_requests[-1].body
    assert read_turns(body) == [
        ("user", ["first question"]),
        ("assistant", ["first answer"]),
        ("user", ["second question"]),
        ("assistant", ["second answer"]),
        ("user", ["third question"]),
    ]
    assert read_system_texts(body) == ["Be brief."]
    assert len(gateway.upstream.chat_requests) == 1


async def test_earlier_tool_call_and_result_stay_structured(gateway: Gateway) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
    await gateway.ask(
        "weather?",
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
        {"role": "assistant", "content": "It is sunny."},
        "thanks",
    )
    messages = gateway.upstream.chat_requests[-1].body["messages"]
    used = messages[1]["content"][0]
    assert (used["type"], used["name"], used["input"]) == ("tool_use", "weather", {"city": "Oslo"})
    result = messages[2]["content"][0]
    assert (result["type"], result["tool_use_id"]) == ("tool_result", used["id"])


async def test_every_role_is_accepted(gateway: Gateway) -> None:
    await gateway.ask(
        {"role": "developer", "content": "Rule one."},
        {"role": "system", "content": [{"type": "text", "text": "Rule two."}]},
        {"role": "user", "content": [{"type": "text", "text": "part one"}, {"type": "text", "text": "part two"}]},
    )
    body = gateway.upstream.chat_requests[-1].body
    assert read_system_texts(body) == ["Rule one.\n\nRule two."]
    assert read_turns(body) == [("user", ["part one", "part two"])]


@pytest.mark.promise("isolation.text-is-text")
@pytest.mark.parametrize("text", ["@/etc/passwd what is this?", "/clear", "/model opus", "!ls", "# note", "/etc/hosts"])
async def test_text_like_a_command_or_a_file_reaches_the_model_unchanged(gateway: Gateway, text: str) -> None:
    completion = await gateway.ask(text)
    assert read_turns(gateway.upstream.chat_requests[-1].body) == [("user", [text])]
    assert completion.choices[0].message.content == text


async def test_text_like_a_file_reference_in_the_history_reaches_the_model_unchanged(gateway: Gateway) -> None:
    await gateway.ask("@/etc/passwd", {"role": "assistant", "content": "@/etc/hosts"}, "go on")
    assert read_turns(gateway.upstream.chat_requests[-1].body) == [
        ("user", ["@/etc/passwd"]),
        ("assistant", ["@/etc/hosts"]),
        ("user", ["go on"]),
    ]


@pytest.mark.promise("models.claude-passed-on")
async def test_requested_model_replies(gateway: Gateway) -> None:
    for model in ("claude-opus-4-1-20250805", "claude-haiku-4-5-20251001", "claude-opus-4-1-20250805"):
        completion = await gateway.ask("hello", model=model)
        assert completion.model == model
        body = gateway.upstream.chat_requests[-1].body
        assert body["model"] == model
        assert read_turns(body) == [("user", ["hello"])]


@pytest.mark.promise("models.aliases")
@pytest.mark.parametrize(("name", "size"), [("gpt-5.5", "sonnet-4-5"), ("gpt-4o-mini", "haiku"), ("opus", "opus")])
async def test_foreign_model_name_is_answered_by_its_claude_model(gateway: Gateway, name: str, size: str) -> None:
    raw = await gateway.client.chat.completions.with_raw_response.create(
        model=name, messages=[{"role": "user", "content": "hello"}]
    )
    used = gateway.upstream.chat_requests[-1].body["model"]
    assert size in used
    assert raw.parse().model == (used if name == "opus" else name)
    assert raw.headers["x-claude-model"] == used


@pytest.mark.promise("isolation.job-from-job")
async def test_nothing_of_one_job_reaches_the_next(gateway: Gateway) -> None:
    secrets = [f"secret-{number}" for number in range(4)]
    for secret in secrets:
        await gateway.ask({"role": "system", "content": f"system {secret}"}, f"user {secret}", max_tokens=77)
    gateway.upstream.clear()
    await asyncio.gather(*(gateway.ask({"role": "system", "content": "clean"}, f"clean {n}") for n in range(4)))
    for upstream_request in gateway.upstream.chat_requests:
        assert not any(secret in str(upstream_request.body) for secret in secrets)
        assert read_system_texts(upstream_request.body) == ["clean"]
        assert upstream_request.body["max_tokens"] > 77


async def test_job_without_a_system_prompt_has_none_after_a_job_with_one(gateway: Gateway) -> None:
    for _ in range(3):
        await gateway.ask({"role": "system", "content": "You are a pirate."}, "hello")
    await gateway.ask("hello")
    assert read_system_texts(gateway.upstream.chat_requests[-1].body) == []


async def test_max_tokens_reaches_the_upstream_request(gateway: Gateway) -> None:
    await gateway.ask("a b", max_tokens=123)
    assert gateway.upstream.chat_requests[-1].body["max_tokens"] == 123
    await gateway.ask("a b", max_completion_tokens=456)
    assert gateway.upstream.chat_requests[-1].body["max_tokens"] == 456


async def test_job_without_a_thinking_parameter_disables_thinking(gateway: Gateway) -> None:
    await gateway.ask("hello")
    assert gateway.upstream.chat_requests[-1].body["thinking"] == {"type": "disabled"}


async def test_thinking_reaches_the_client_as_reasoning(gateway: Gateway) -> None:
    stream = await gateway.ask("yes {{think let me see}}", stream=True)
    deltas = [chunk.choices[0].delta async for chunk in stream if chunk.choices]
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == "let me see"
    assert "".join(delta.content or "" for delta in deltas) == "yes"


async def test_more_clients_than_workers_are_all_answered(gateway: Gateway) -> None:
    texts = [f"caller {number}" for number in range(12)]
    assert await asyncio.gather(*map(gateway.stream_text, texts)) == texts


async def test_long_history_reaches_the_model_whole(gateway: Gateway) -> None:
    history: list[dict[str, Any] | str] = []
    for number in range(30):
        history += [f"question {number}", {"role": "assistant", "content": f"answer {number}"}]
    await gateway.ask(*history, "the end")
    sent = read_turns(gateway.upstream.chat_requests[-1].body)
    assert [texts for _, texts in sent][:-1] == [
        [f"{word} {number}"] for number in range(30) for word in ("question", "answer")
    ]
    assert sent[-1] == ("user", ["the end"])
