"""Conversations that stay in their worker: only what is new goes in, and the model sees what the caller wrote."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio

from claude_gateway.demo.upstream import stand_in
from tests.e2e.conftest import Gateway, gateway_on
from tests.e2e.test_chat import CLEAR_MARKS, system_of, turns

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
    # No marks of `/clear` come in between: the same process went on.
    heads = [str(body[0]) for body in bodies]
    assert len({any(mark in head for mark in CLEAR_MARKS) for head in heads}) == 1


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
