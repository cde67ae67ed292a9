"""The parameter `n` through the real CLI: as many jobs, one response."""

from typing import Any

import pytest
from openai import APIStatusError

from tests.e2e.helpers.gateway import MODEL, Gateway

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


async def test_three_choices_on_two_workers_are_three_upstream_requests(gateway: Gateway) -> None:
    completion = await gateway.ask("one two {{usage input=10 output=4}}", n=3)

    assert [choice.index for choice in completion.choices] == [0, 1, 2]
    assert [choice.message.content for choice in completion.choices] == ["one two"] * 3
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (10, 12)
    assert len(gateway.upstream.chat_requests) == 3


async def test_choices_stream_under_their_own_index(gateway: Gateway) -> None:
    texts: dict[int, str] = {}
    usages = []
    async for chunk in await gateway.ask("a b c", n=2, stream=True, stream_options={"include_usage": True}):
        usages.append(chunk.usage)
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")

    assert texts == {0: "a b c", 1: "a b c"}
    assert usages[-1].completion_tokens == 6
    assert set(usages[:-1]) == {None}


async def test_every_choice_follows_the_schema(gateway: Gateway) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    response_format: Any = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}

    completion = await gateway.ask('{{say {"a": "x"}}}{{again {"a": 1}}}', n=2, response_format=response_format)

    assert [choice.message.content for choice in completion.choices] == ['{"a": 1}'] * 2
    assert len(gateway.upstream.chat_requests) == 4


async def test_request_fails_if_the_upstream_refuses_one_choice_and_the_next_request_works(gateway: Gateway) -> None:
    with pytest.raises(APIStatusError) as raised:
        await gateway.ask("no {{status 500}}", n=2)

    assert raised.value.status_code == 502
    assert (await gateway.ask("hello", model=MODEL)).choices[0].message.content == "hello"
