"""Conversations that stay in their worker: only new turns are sent to it, and the model sees what the client wrote."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio

from claude_gateway.devtools.fake_anthropic.server import run_fake_anthropic
from tests.e2e.helpers.gateway import Gateway, run_gateway_on
from tests.e2e.helpers.upstream_requests import read_system_texts, read_turns

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

Messages = list[dict[str, Any] | str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def larger_gateway(tmp_path_factory: Any) -> AsyncIterator[Gateway]:
    """Run a gateway with room for a conversation beside the worker that stays free for new ones."""
    async with (
        run_fake_anthropic() as upstream,
        run_gateway_on(upstream, tmp_path_factory.mktemp("state"), chat_workers=3) as running,
    ):
        yield running


async def continue_conversation(gateway: Gateway, history: Messages, text: str, **parameters: Any) -> None:
    """Ask with the whole history, as a client does, and add the exchange to it."""
    history.append(text)
    completion = await gateway.ask(*history, **parameters)
    history.append({"role": "assistant", "content": completion.choices[0].message.content})


def read_upstream_turns(gateway: Gateway, number: int = -1) -> list[tuple[str, list[str]]]:
    return read_turns(gateway.upstream.chat_requests[number].body)


def history_as_turns(history: Messages) -> list[tuple[str, list[str]]]:
    return [("user", [turn]) if isinstance(turn, str) else (turn["role"], [turn["content"]]) for turn in history]


@pytest.mark.promise("conversations.exact")
async def test_model_sees_exactly_the_conversation_of_the_client(larger_gateway: Gateway) -> None:
    history: Messages = []
    for number in range(6):
        await continue_conversation(larger_gateway, history, f"turn {number}")
        assert read_upstream_turns(larger_gateway) == history_as_turns(history[:-1])


@pytest.mark.promise("conversations.prefix")
async def test_each_upstream_request_starts_with_the_bytes_of_the_previous_one(larger_gateway: Gateway) -> None:
    history: Messages = []
    for number in range(5):
        await continue_conversation(larger_gateway, history, f"prefix {number}")
    bodies = [request.body["messages"] for request in larger_gateway.upstream.chat_requests[-5:]]
    for before, after in pairwise(bodies):
        for old, new in zip(before[:-1], after, strict=False):
            assert old == new


async def test_changed_history_is_always_noticed(larger_gateway: Gateway) -> None:
    history: Messages = []
    await continue_conversation(larger_gateway, history, "first")
    await continue_conversation(larger_gateway, history, "second")
    changed: Messages = [history[0], {"role": "assistant", "content": "First."}, *history[2:]]
    await continue_conversation(larger_gateway, changed, "third")
    assert read_upstream_turns(larger_gateway) == history_as_turns(changed[:-1])
    await continue_conversation(larger_gateway, history, "other third")
    assert read_upstream_turns(larger_gateway) == history_as_turns(history[:-1])


async def test_two_clients_with_the_same_history_stay_apart(larger_gateway: Gateway) -> None:
    history: Messages = []
    await continue_conversation(larger_gateway, history, "shared")
    branches = [list(history) for _ in range(3)]
    await asyncio.gather(
        *(
            continue_conversation(larger_gateway, branch_history, f"way {number}")
            for number, branch_history in enumerate(branches)
        )
    )
    for number, branch_history in enumerate(branches):
        await continue_conversation(larger_gateway, branch_history, f"and on {number}")
        assert read_upstream_turns(larger_gateway) == history_as_turns(branch_history[:-1])


async def test_other_system_prompt_or_model_starts_a_new_conversation(larger_gateway: Gateway) -> None:
    history: Messages = []
    await continue_conversation(larger_gateway, history, "hello")
    with_system: Messages = [{"role": "system", "content": "Be brief."}, *history]
    await continue_conversation(larger_gateway, with_system, "again")
    assert read_system_texts(larger_gateway.upstream.chat_requests[-1].body) == ["Be brief."]
    await continue_conversation(larger_gateway, history, "again", model="claude-opus-4-20250514")
    assert read_system_texts(larger_gateway.upstream.chat_requests[-1].body) == []
    assert read_upstream_turns(larger_gateway) == history_as_turns(history[:-1])
    assert "/model" not in str(larger_gateway.upstream.chat_requests[-1].body)


async def test_parameters_still_change_within_a_conversation(larger_gateway: Gateway) -> None:
    history: Messages = []
    await continue_conversation(larger_gateway, history, "one", temperature=0.2, max_tokens=50)
    await continue_conversation(larger_gateway, history, "two")
    body = larger_gateway.upstream.chat_requests[-1].body
    assert (body["temperature"], body["max_tokens"]) == (1, 32000)
    assert read_upstream_turns(larger_gateway) == history_as_turns(history[:-1])


async def test_failed_or_interrupted_turn_is_not_part_of_the_conversation(larger_gateway: Gateway) -> None:
    history: Messages = []
    await continue_conversation(larger_gateway, history, "begin")
    with pytest.raises(Exception, match="scripted"):
        await larger_gateway.ask(*history, "bad {{status 400}}")
    await larger_gateway.ask(*history, "long {{silence 0.05}}{{stop max_tokens}}", max_tokens=5)
    await continue_conversation(larger_gateway, history, "good")
    assert read_upstream_turns(larger_gateway) == history_as_turns(history[:-1])


async def test_streamed_reply_continues_like_a_whole_reply(larger_gateway: Gateway) -> None:
    history: Messages = ["streamed start"]
    history.append({"role": "assistant", "content": await larger_gateway.stream_text(*history)})
    await continue_conversation(larger_gateway, history, "then")
    assert read_upstream_turns(larger_gateway) == history_as_turns(history[:-1])


TOOLS: Any = [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}]
CALLS = '{{tool f {"a":1}}}{{tool f {"a":2}}}'


async def call_and_answer(gateway: Gateway, history: Messages, results: list[Any]) -> Any:
    """Ask for calls and add their results to the history, which every request carries whole."""
    completion = await gateway.ask(*history, tools=TOOLS)
    message = completion.choices[0].message
    history.append(message.model_dump(exclude_none=True))
    for call, result in zip(message.tool_calls, results, strict=False):
        history.append({"role": "tool", "tool_call_id": call.id, "content": result})
    return message


@pytest.mark.promise("tools.one-request")
async def test_continuation_after_calls_is_one_request_with_exactly_the_results(larger_gateway: Gateway) -> None:
    larger_gateway.upstream.clear()
    history: Messages = [f"go {CALLS}"]
    for number in range(4):
        await call_and_answer(larger_gateway, history, [f"first {number} {CALLS}", f"second {number}"])
    assert len(larger_gateway.upstream.chat_requests) == 4
    *_, before_last = larger_gateway.upstream.chat_requests
    sent = before_last.body["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant"] * 3 + ["user"]
    for number, message in enumerate(sent[2::2]):
        results = [block["content"][0]["text"] for block in message["content"]]
        assert results == [f"first {number} {CALLS}", f"second {number}"]
    assert "interrupted" not in str(sent).lower()


async def test_tool_rounds_stay_in_their_worker(larger_gateway: Gateway) -> None:
    """Check that each upstream request begins with the bytes of the previous one: no turn was encoded differently."""
    larger_gateway.upstream.clear()
    history: Messages = [f"bytes {CALLS}"]
    for number in range(5):
        await call_and_answer(larger_gateway, history, [f"r {number} {CALLS}", f"s {number}"])
    bodies = [request.body["messages"] for request in larger_gateway.upstream.chat_requests]
    for before, after in pairwise(bodies):
        assert [strip_cache_control(turn) for turn in after[: len(before)]] == [
            strip_cache_control(turn) for turn in before
        ]


def strip_cache_control(message: dict[str, Any]) -> Any:
    return [{k: v for k, v in block.items() if k != "cache_control"} for block in message["content"]]


async def test_question_may_replace_a_missing_result(larger_gateway: Gateway) -> None:
    history: Messages = [f"partly {CALLS}"]
    message = await call_and_answer(larger_gateway, history, ["only this one"])
    await larger_gateway.ask(*history, "never mind", tools=TOOLS)
    last = larger_gateway.upstream.chat_requests[-1].body["messages"][-1]["content"]
    results = {block["tool_use_id"]: block for block in last if block["type"] == "tool_result"}
    first, second = (call.id for call in message.tool_calls)
    assert results[first]["content"][0]["text"] == "only this one"
    assert results[second]["is_error"]
    assert last[-1]["text"] == "never mind"


async def test_results_in_any_order_are_matched_to_their_calls(larger_gateway: Gateway) -> None:
    history: Messages = [f"order {CALLS}"]
    message = await call_and_answer(larger_gateway, history, [])
    first, second = (call.id for call in message.tool_calls)
    swapped = [{"role": "tool", "tool_call_id": id_, "content": f"of {id_}"} for id_ in (second, first)]
    await larger_gateway.ask(*history, *swapped, tools=TOOLS)
    last = larger_gateway.upstream.chat_requests[-1].body["messages"][-1]["content"]
    assert {block["tool_use_id"]: block["content"][0]["text"] for block in last} == {
        first: f"of {first}",
        second: f"of {second}",
    }


async def test_more_conversations_than_workers_can_wait_for_tool_results(larger_gateway: Gateway) -> None:
    histories: list[Messages] = [[f"caller {n} {CALLS}"] for n in range(8)]
    await asyncio.gather(*(call_and_answer(larger_gateway, history, ["one", "two"]) for history in histories))
    larger_gateway.upstream.clear()
    completions = await asyncio.gather(*(larger_gateway.ask(*history, tools=TOOLS) for history in histories))
    assert all(completion.choices[0].finish_reason == "stop" for completion in completions)
    assert len(larger_gateway.upstream.chat_requests) == 8
    first_questions = sorted(
        request.body["messages"][0]["content"][0]["text"] for request in larger_gateway.upstream.chat_requests
    )
    assert first_questions == sorted(history[0] for history in histories)


async def test_conversation_continues_after_a_reply_that_hit_its_limit(larger_gateway: Gateway) -> None:
    history: Messages = ["long {{silence 0.05}}{{stop max_tokens}}"]
    completion = await larger_gateway.ask(*history, max_tokens=5)
    assert completion.choices[0].finish_reason == "length"
    history.append({"role": "assistant", "content": completion.choices[0].message.content})
    await continue_conversation(larger_gateway, history, "and on")
    assert read_upstream_turns(larger_gateway) == history_as_turns(history[:-1])


async def test_repeated_question_and_branch_see_only_their_own_history(larger_gateway: Gateway) -> None:
    history: Messages = []
    for number in range(4):
        await continue_conversation(larger_gateway, history, f"line {number}")
    await larger_gateway.ask(*history[:-1])
    assert read_upstream_turns(larger_gateway) == history_as_turns(history[:-1])
    branch = [*history[:4], "another way"]
    await larger_gateway.ask(*branch)
    assert read_upstream_turns(larger_gateway) == history_as_turns(branch)
    await larger_gateway.ask(*history, "straight on")
    assert read_upstream_turns(larger_gateway) == history_as_turns([*history, "straight on"])


@pytest.mark.promise("conversations.no-foreign-blocks")
async def test_prompt_holds_nothing_that_no_client_sent(larger_gateway: Gateway) -> None:
    """The worker's earlier jobs leave nothing behind: replies, calls, limits, errors and disconnects."""
    await larger_gateway.ask(f"calls {CALLS}", tools=TOOLS)
    await larger_gateway.ask("limit {{silence 0.05}}{{stop max_tokens}}", max_tokens=5)
    with pytest.raises(Exception, match="scripted"):
        await larger_gateway.ask("error {{status 400}}")
    stream = await larger_gateway.ask("leaves {{pace 0.01}}{{deltas 500}}", stream=True)
    async for _ in stream:
        break
    await stream.close()
    for number in range(6):
        await larger_gateway.ask(f"alone {number}")
        (message,) = larger_gateway.upstream.chat_requests[-1].body["messages"]
        assert [block["text"] for block in message["content"]] == [f"alone {number}"]
