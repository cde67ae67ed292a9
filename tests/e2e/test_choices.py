"""`n` through the real CLI: so many jobs, one answer."""

from typing import Any

import pytest
from openai import APIStatusError

from tests.e2e.conftest import MODEL, Gateway

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


async def test_three_answers_on_two_workers_are_three_upstream_requests(gateway: Gateway) -> None:
    answer = await gateway.ask("one two {{usage input=10 output=4}}", n=3)

    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert [choice.message.content for choice in answer.choices] == ["one two"] * 3
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (10, 12)
    assert len(gateway.upstream.chats) == 3


async def test_the_answers_stream_each_under_its_index(gateway: Gateway) -> None:
    texts: dict[int, str] = {}
    usages = []
    async for chunk in await gateway.ask("a b c", n=2, stream=True, stream_options={"include_usage": True}):
        usages.append(chunk.usage)
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")

    assert texts == {0: "a b c", 1: "a b c"}
    assert usages[-1].completion_tokens == 6
    assert set(usages[:-1]) == {None}


async def test_every_choice_is_held_to_the_schema(gateway: Gateway) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}

    answer = await gateway.ask('{{say {"a": "x"}}}{{again {"a": 1}}}', n=2, response_format=wanted)

    assert [choice.message.content for choice in answer.choices] == ['{"a": 1}'] * 2
    assert len(gateway.upstream.chats) == 4


async def test_one_choice_refused_upstream_is_the_answer_s_error_and_the_next_one_is_served(gateway: Gateway) -> None:
    with pytest.raises(APIStatusError) as raised:
        await gateway.ask("no {{status 500}}", n=2)

    assert raised.value.status_code == 502
    assert (await gateway.ask("hello", model=MODEL)).choices[0].message.content == "hello"
