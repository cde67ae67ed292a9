"""The official openai client on `/v1/responses` through the real CLI: what it reads and what the model is asked."""

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import openai
import orjson
import pytest
from pydantic import BaseModel

from claude_gateway.demo.upstream import stand_in
from tests.e2e.conftest import MODEL, Gateway, gateway_on
from tests.e2e.test_chat import system_of, turns

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = {"type": "function", "name": "weather", "description": "about weather", "parameters": CITY, "strict": True}
CHAIN = 50


class Out(BaseModel):
    answer: str
    n: int


async def ask(gateway: Gateway, text: Any, **parameters: Any) -> Any:
    return await gateway.client.responses.create(model=MODEL, input=text, **parameters)


async def test_a_response_is_made_and_read_again(gateway: Gateway) -> None:
    made = await ask(gateway, "a b {{usage input=10 output=7 cache_read=100}}", instructions="Be brief.")

    assert made.output_text == "a b"
    assert (made.usage.input_tokens, made.usage.input_tokens_details.cached_tokens) == (110, 100)
    assert (made.usage.output_tokens, made.usage.total_tokens) == (7, 117)
    assert await gateway.client.responses.retrieve(made.id) == made
    body = gateway.upstream.chats[-1].body
    assert (system_of(body), len(gateway.upstream.chats)) == (["Be brief."], 1)


async def test_the_stream_helper_reads_a_thought_a_text_and_a_call(gateway: Gateway) -> None:
    prompt = 'yes {{think let me see}}{{tool weather {"city":"Oslo"}}}'
    async with gateway.client.responses.stream(
        model=MODEL, input=prompt, tools=[WEATHER], reasoning={"effort": "low", "summary": "auto"}
    ) as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()

    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    assert [item.type for item in final.output] == ["reasoning", "message", "function_call"]
    assert final.output[0].summary[0].text == "let me see"
    assert final.output_text == "yes"
    assert final.output[2].parsed_arguments == {"city": "Oslo"}


@pytest.mark.promise("responses.events")
async def test_a_stream_of_two_thousand_deltas_is_read_without_a_fault(gateway: Gateway) -> None:
    async with gateway.client.responses.stream(model=MODEL, input="{{deltas 2000}}") as stream:
        events = [event async for event in stream]
        final = await stream.get_final_response()

    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert len(deltas) == 2_000
    assert final.output_text == "".join(deltas) == "".join(f"w{n} " for n in range(2_000))
    numbers = [event.sequence_number for event in events]
    assert numbers == list(range(len(numbers)))


async def test_parse_reads_an_answer_as_its_class(gateway: Gateway) -> None:
    parsed = await gateway.client.responses.parse(model=MODEL, input='{"answer": "yes", "n": 3}', text_format=Out)

    assert parsed.output_parsed == Out(answer="yes", n=3)


async def test_a_function_and_its_result_go_round_by_the_id_of_the_response(gateway: Gateway) -> None:
    first = await ask(gateway, 'weather? {{tool weather {"city":"Oslo"}}}', tools=[WEATHER])
    call = first.output[-1]
    assert (call.type, call.name, orjson.loads(call.arguments)) == ("function_call", "weather", {"city": "Oslo"})

    output = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    second = await ask(gateway, [output], tools=[WEATHER], previous_response_id=first.id)

    assert second.status == "completed"
    messages = gateway.upstream.chats[-1].body["messages"]
    assert [block["type"] for block in messages[1]["content"]] == ["text", "tool_use"]
    result = messages[2]["content"][0]
    assert (result["type"], result["tool_use_id"]) == ("tool_result", call.call_id)
    assert len(gateway.upstream.chats) == 2


@pytest.mark.promise("responses.custom-tools")
async def test_a_custom_tool_of_a_namespace_goes_round_with_its_raw_text(gateway: Gateway) -> None:
    patch = {"type": "custom", "name": "patch", "description": "patches", "format": {"type": "text"}}
    tools: Any = [{"type": "namespace", "name": "files", "description": "", "tools": [patch]}]
    raw = '*** Begin "Patch"\n+é\n'
    prompt = f"go {{{{tool files__patch {orjson.dumps({'input': raw}).decode()}}}}}"
    first = await ask(gateway, prompt, tools=tools, store=False)
    call = first.output[-1]
    assert (call.type, call.namespace, call.name, call.input) == ("custom_tool_call", "files", "patch", raw)

    output = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "Done"}
    history = [{"role": "user", "content": prompt}, *(item.model_dump() for item in first.output), output]
    await ask(gateway, history, tools=tools, store=False)

    used = gateway.upstream.chats[-1].body["messages"][1]["content"][-1]
    assert (used["name"], used["input"]) == ("files__patch", {"input": raw})


@pytest.mark.promise("responses.reasoning-sealed")
async def test_a_thought_that_the_caller_kept_reaches_the_model_with_its_signature(gateway: Gateway) -> None:
    unstored: Any = {
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": "low"},
        "tools": [WEATHER],
    }
    prompt = 'weather? {{think I should look}}{{tool weather {"city":"Oslo"}}}'
    first = await ask(gateway, prompt, **unstored)
    output = {"type": "function_call_output", "call_id": first.output[-1].call_id, "output": "sunny"}
    history = [{"role": "user", "content": prompt}, *(item.model_dump() for item in first.output), output]

    await ask(gateway, history, **unstored)

    body = gateway.upstream.chats[-1].body
    thought = body["messages"][1]["content"][0]
    assert (thought["type"], thought["thinking"]) == ("thinking", "I should look")
    assert thought["signature"]
    assert body["thinking"]["type"] == "enabled"


@pytest.mark.promise("responses.chain")
async def test_a_chain_of_fifty_turns_is_one_conversation_that_only_grows(gateway: Gateway) -> None:
    previous = None
    for number in range(CHAIN):
        made = await ask(gateway, f"turn {number}", previous_response_id=previous)
        previous = made.id

    said = turns(gateway.upstream.chats[-1].body)
    assert [texts for _, texts in said] == [[f"turn {n // 2}"] for n in range(2 * CHAIN - 1)]
    assert len(gateway.upstream.chats) == CHAIN
    bodies = [request.body["messages"] for request in gateway.upstream.chats]
    for before, after in pairwise(bodies):
        assert after[: len(before) - 1] == before[:-1]


async def test_two_ways_go_on_from_one_response(gateway: Gateway) -> None:
    first = await ask(gateway, "start")
    left, right = await asyncio.gather(
        *(ask(gateway, word, previous_response_id=first.id) for word in ("left", "right"))
    )
    for way, made in (("left", left), ("right", right)):
        await ask(gateway, f"{way} on", previous_response_id=made.id)
        assert [texts[0] for _, texts in turns(gateway.upstream.chats[-1].body)] == [
            *("start", "start", way, way, f"{way} on")
        ]


@pytest.mark.promise("responses.stored")
async def test_stored_responses_and_their_chains_survive_a_restart(tmp_path: Path) -> None:
    async with stand_in() as upstream:
        async with gateway_on(upstream, tmp_path) as before:
            first = await ask(before, "one")
        async with gateway_on(upstream, tmp_path) as after:
            assert (await after.client.responses.retrieve(first.id)).output_text == "one"
            await ask(after, "two", previous_response_id=first.id)
    assert turns(upstream.chats[-1].body) == [("user", ["one"]), ("assistant", ["one"]), ("user", ["two"])]


@pytest.mark.promise("responses.background")
async def test_a_response_in_the_background_is_left_taken_up_and_polled(gateway: Gateway) -> None:
    stream = await ask(gateway, "{{deltas 30}}{{pace 0.01}}", background=True, stream=True)
    seen = []
    async for event in stream:
        seen.append(event)
        if event.type == "response.output_text.delta":
            break
    await stream.close()
    id_ = seen[0].response.id

    rest = await gateway.client.responses.retrieve(id_, stream=True, starting_after=seen[-1].sequence_number)
    seen += [event async for event in rest]

    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    made = await gateway.client.responses.retrieve(id_)
    assert (made.status, made.output_text) == ("completed", "".join(f"w{n} " for n in range(30)))
    assert seen[-1].response == made


async def test_a_cancelled_response_ends_its_upstream_request(gateway: Gateway) -> None:
    made = await ask(gateway, "{{hang}}", background=True)
    received = await gateway.upstream.arrived()

    cancelled = await gateway.client.responses.cancel(made.id)

    assert cancelled.status == "cancelled"
    async with asyncio.timeout(10):
        await received.left.wait()


async def test_the_input_of_a_response_is_listed_and_the_response_deleted(gateway: Gateway) -> None:
    made = await ask(gateway, [{"role": "user", "content": f"text {n}"} for n in range(3)])

    listed = [item async for item in gateway.client.responses.input_items.list(made.id, limit=2)]
    await gateway.client.responses.delete(made.id)

    assert [item.content[0].text for item in listed] == ["text 2", "text 1", "text 0"]
    with pytest.raises(openai.NotFoundError):
        await gateway.client.responses.retrieve(made.id)
    with pytest.raises(openai.BadRequestError, match="previous_response_id"):
        await ask(gateway, "more", previous_response_id=made.id)


async def test_cursor_s_agent_body_is_answered_as_a_chat(gateway: Gateway) -> None:
    patch = {"type": "custom", "name": "ApplyPatch", "format": {"type": "text"}}
    prompt = 'go {{tool ApplyPatch {"input":"*** Begin"}}}'
    stream: Any = await gateway.client.chat.completions.create(
        model=MODEL, messages=[], stream=True, extra_body={"input": prompt, "tools": [WEATHER, patch], "store": False}
    )
    calls = [call async for chunk in stream for call in chunk.choices[0].delta.tool_calls or ()]

    assert calls[0].function.name == "ApplyPatch"
    assert "".join(call.function.arguments for call in calls) == "*** Begin"
