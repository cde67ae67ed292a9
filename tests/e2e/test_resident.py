"""Conversations that stay in their worker: only what is new goes in, and the model sees what the caller wrote."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio

from claude_gateway.demo.upstream import stand_in
from tests.e2e.conftest import Gateway, gateway_on
from tests.e2e.test_chat import system_of, turns

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

Messages = list[dict[str, Any] | str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def roomy(tmp_path_factory: Any) -> AsyncIterator[Gateway]:
    """Room for a conversation beside the worker that is kept empty."""
    async with (
        stand_in() as upstream,
        gateway_on(upstream, tmp_path_factory.mktemp("state"), chat_workers=3) as running,
    ):
        yield running


async def go_on(gateway: Gateway, history: Messages, text: str, **parameters: Any) -> None:
    """Ask with the whole history, as a caller does, and add the exchange to it."""
    history.append(text)
    answer = await gateway.ask(*history, **parameters)
    history.append({"role": "assistant", "content": answer.choices[0].message.content})


def sent(gateway: Gateway, number: int = -1) -> list[tuple[str, list[str]]]:
    return turns(gateway.upstream.chats[number].body)


def said(history: Messages) -> list[tuple[str, list[str]]]:
    return [("user", [one]) if isinstance(one, str) else (one["role"], [one["content"]]) for one in history]


@pytest.mark.promise("conversations.exact")
async def test_the_model_always_sees_exactly_the_caller_s_conversation(roomy: Gateway) -> None:
    history: Messages = []
    for number in range(6):
        await go_on(roomy, history, f"turn {number}")
        assert sent(roomy) == said(history[:-1])


@pytest.mark.promise("conversations.prefix")
async def test_each_request_begins_with_the_bytes_of_the_one_before(roomy: Gateway) -> None:
    history: Messages = []
    for number in range(5):
        await go_on(roomy, history, f"prefix {number}")
    bodies = [request.body["messages"] for request in roomy.upstream.chats[-5:]]
    for before, after in pairwise(bodies):
        for old, new in zip(before[:-1], after, strict=False):
            assert old == new


async def test_a_changed_word_of_the_past_is_never_overlooked(roomy: Gateway) -> None:
    history: Messages = []
    await go_on(roomy, history, "first")
    await go_on(roomy, history, "second")
    changed: Messages = [history[0], {"role": "assistant", "content": "First."}, *history[2:]]
    await go_on(roomy, changed, "third")
    assert sent(roomy) == said(changed[:-1])
    await go_on(roomy, history, "other third")
    assert sent(roomy) == said(history[:-1])


async def test_two_callers_with_one_past_do_not_meet(roomy: Gateway) -> None:
    past: Messages = []
    await go_on(roomy, past, "shared")
    ways = [list(past) for _ in range(3)]
    await asyncio.gather(*(go_on(roomy, way, f"way {number}") for number, way in enumerate(ways)))
    for number, way in enumerate(ways):
        await go_on(roomy, way, f"and on {number}")
        assert sent(roomy) == said(way[:-1])


async def test_another_system_prompt_or_model_begins_anew(roomy: Gateway) -> None:
    history: Messages = []
    await go_on(roomy, history, "hello")
    with_system: Messages = [{"role": "system", "content": "Be brief."}, *history]
    await go_on(roomy, with_system, "again")
    assert system_of(roomy.upstream.chats[-1].body) == ["Be brief."]
    await go_on(roomy, history, "again", model="claude-opus-4-20250514")
    assert system_of(roomy.upstream.chats[-1].body) == []
    assert sent(roomy) == said(history[:-1])
    assert "/model" not in str(roomy.upstream.chats[-1].body)


async def test_parameters_still_change_within_a_conversation(roomy: Gateway) -> None:
    history: Messages = []
    await go_on(roomy, history, "one", temperature=0.2, max_tokens=50)
    await go_on(roomy, history, "two")
    body = roomy.upstream.chats[-1].body
    assert (body["temperature"], body["max_tokens"]) == (1, 32000)
    assert sent(roomy) == said(history[:-1])


async def test_a_turn_that_failed_or_was_cut_is_not_remembered(roomy: Gateway) -> None:
    history: Messages = []
    await go_on(roomy, history, "begin")
    with pytest.raises(Exception, match="scripted"):
        await roomy.ask(*history, "bad {{status 400}}")
    await roomy.ask(*history, "long {{silence 0.05}}{{stop max_tokens}}", max_tokens=5)
    await go_on(roomy, history, "good")
    assert sent(roomy) == said(history[:-1])


async def test_a_stream_goes_on_as_a_whole_answer_does(roomy: Gateway) -> None:
    history: Messages = ["streamed start"]
    history.append({"role": "assistant", "content": await roomy.stream_text(*history)})
    await go_on(roomy, history, "then")
    assert sent(roomy) == said(history[:-1])


TOOLS: Any = [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}]
CALLS = '{{tool f {"a":1}}}{{tool f {"a":2}}}'


async def call_and_answer(gateway: Gateway, history: Messages, results: list[Any]) -> Any:
    """Ask for calls, then bring results: the whole history each time, as a caller does."""
    answer = await gateway.ask(*history, tools=TOOLS)
    message = answer.choices[0].message
    history.append(message.model_dump(exclude_none=True))
    for call, result in zip(message.tool_calls, results, strict=False):
        history.append({"role": "tool", "tool_call_id": call.id, "content": result})
    return message


@pytest.mark.promise("tools.one-request")
async def test_a_continuation_after_calls_costs_one_request_and_sees_exactly_the_results(roomy: Gateway) -> None:
    roomy.upstream.forget()
    history: Messages = [f"go {CALLS}"]
    for number in range(4):
        await call_and_answer(roomy, history, [f"first {number} {CALLS}", f"second {number}"])
    assert len(roomy.upstream.chats) == 4
    *_, before_last = roomy.upstream.chats
    sent = before_last.body["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant"] * 3 + ["user"]
    for number, message in enumerate(sent[2::2]):
        results = [block["content"][0]["text"] for block in message["content"]]
        assert results == [f"first {number} {CALLS}", f"second {number}"]
    assert "interrupted" not in str(sent).lower()


async def test_tool_rounds_stay_in_their_worker(roomy: Gateway) -> None:
    """Each request begins with the bytes of the one before: nothing was rebuilt in other words."""
    roomy.upstream.forget()
    history: Messages = [f"bytes {CALLS}"]
    for number in range(5):
        await call_and_answer(roomy, history, [f"r {number} {CALLS}", f"s {number}"])
    bodies = [request.body["messages"] for request in roomy.upstream.chats]
    for before, after in pairwise(bodies):
        assert [plain(one) for one in after[: len(before)]] == [plain(one) for one in before]


def plain(message: dict[str, Any]) -> Any:
    return [{k: v for k, v in block.items() if k != "cache_control"} for block in message["content"]]


async def test_a_result_may_be_missing_and_a_question_may_come_instead(roomy: Gateway) -> None:
    history: Messages = [f"partly {CALLS}"]
    message = await call_and_answer(roomy, history, ["only this one"])
    await roomy.ask(*history, "never mind", tools=TOOLS)
    last = roomy.upstream.chats[-1].body["messages"][-1]["content"]
    results = {block["tool_use_id"]: block for block in last if block["type"] == "tool_result"}
    first, second = (call.id for call in message.tool_calls)
    assert results[first]["content"][0]["text"] == "only this one"
    assert results[second]["is_error"]
    assert last[-1]["text"] == "never mind"


async def test_results_in_another_order_are_given_to_their_calls(roomy: Gateway) -> None:
    history: Messages = [f"order {CALLS}"]
    message = await call_and_answer(roomy, history, [])
    first, second = (call.id for call in message.tool_calls)
    swapped = [{"role": "tool", "tool_call_id": id_, "content": f"of {id_}"} for id_ in (second, first)]
    await roomy.ask(*history, *swapped, tools=TOOLS)
    last = roomy.upstream.chats[-1].body["messages"][-1]["content"]
    assert {block["tool_use_id"]: block["content"][0]["text"] for block in last} == {
        first: f"of {first}",
        second: f"of {second}",
    }


async def test_more_conversations_wait_for_their_tools_than_there_are_workers(roomy: Gateway) -> None:
    histories: list[Messages] = [[f"caller {n} {CALLS}"] for n in range(8)]
    await asyncio.gather(*(call_and_answer(roomy, history, ["one", "two"]) for history in histories))
    roomy.upstream.forget()
    answers = await asyncio.gather(*(roomy.ask(*history, tools=TOOLS) for history in histories))
    assert all(answer.choices[0].finish_reason == "stop" for answer in answers)
    assert len(roomy.upstream.chats) == 8
    asked = sorted(request.body["messages"][0]["content"][0]["text"] for request in roomy.upstream.chats)
    assert asked == sorted(history[0] for history in histories)


async def test_an_answer_that_hit_its_limit_is_gone_on_with(roomy: Gateway) -> None:
    history: Messages = ["long {{silence 0.05}}{{stop max_tokens}}"]
    answer = await roomy.ask(*history, max_tokens=5)
    assert answer.choices[0].finish_reason == "length"
    history.append({"role": "assistant", "content": answer.choices[0].message.content})
    await go_on(roomy, history, "and on")
    assert sent(roomy) == said(history[:-1])


async def test_a_question_asked_again_and_a_branch_see_only_their_own_past(roomy: Gateway) -> None:
    history: Messages = []
    for number in range(4):
        await go_on(roomy, history, f"line {number}")
    await roomy.ask(*history[:-1])
    assert sent(roomy) == said(history[:-1])
    branch = [*history[:4], "another way"]
    await roomy.ask(*branch)
    assert sent(roomy) == said(branch)
    await roomy.ask(*history, "straight on")
    assert sent(roomy) == said([*history, "straight on"])


@pytest.mark.promise("conversations.no-foreign-blocks")
async def test_nothing_stands_in_a_prompt_that_no_caller_sent(roomy: Gateway) -> None:
    """Whatever the worker did before: answers, calls, limits, errors, callers who left."""
    await roomy.ask(f"calls {CALLS}", tools=TOOLS)
    await roomy.ask("limit {{silence 0.05}}{{stop max_tokens}}", max_tokens=5)
    with pytest.raises(Exception, match="scripted"):
        await roomy.ask("error {{status 400}}")
    stream = await roomy.ask("leaves {{pace 0.01}}{{deltas 500}}", stream=True)
    async for _ in stream:
        break
    await stream.close()
    for number in range(6):
        await roomy.ask(f"alone {number}")
        (message,) = roomy.upstream.chats[-1].body["messages"]
        assert [block["text"] for block in message["content"]] == [f"alone {number}"]
