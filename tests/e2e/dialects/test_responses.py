"""The official openai client on `/v1/responses` through the real CLI: its responses and the upstream requests."""

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import openai
import orjson
import pytest
from pydantic import BaseModel

from claude_gateway.devtools.fake_anthropic.server import run_fake_anthropic
from tests.e2e.helpers.gateway import MODEL, Gateway, run_gateway_on
from tests.e2e.helpers.upstream_requests import read_system_texts, read_turns

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


async def test_response_is_created_and_retrieved(gateway: Gateway) -> None:
    response = await ask(gateway, "a b {{usage input=10 output=7 cache_read=100}}", instructions="Be brief.")

    assert response.output_text == "a b"
    assert (response.usage.input_tokens, response.usage.input_tokens_details.cached_tokens) == (110, 100)
    assert (response.usage.output_tokens, response.usage.total_tokens) == (7, 117)
    assert await gateway.client.responses.retrieve(response.id) == response
    body = gateway.upstream.chat_requests[-1].body
    assert (read_system_texts(body), len(gateway.upstream.chat_requests)) == (["Be brief."], 1)


async def test_stream_helper_reads_reasoning_text_and_a_call(gateway: Gateway) -> None:
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
async def test_stream_of_two_thousand_deltas_is_read_without_an_error(gateway: Gateway) -> None:
    async with gateway.client.responses.stream(model=MODEL, input="{{deltas 2000}}") as stream:
        events = [event async for event in stream]
        final = await stream.get_final_response()

    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert len(deltas) == 2_000
    assert final.output_text == "".join(deltas) == "".join(f"w{n} " for n in range(2_000))
    numbers = [event.sequence_number for event in events]
    assert numbers == list(range(len(numbers)))


async def test_parse_returns_the_reply_as_its_class(gateway: Gateway) -> None:
    parsed = await gateway.client.responses.parse(model=MODEL, input='{"answer": "yes", "n": 3}', text_format=Out)

    assert parsed.output_parsed == Out(answer="yes", n=3)


async def test_function_call_makes_a_round_trip_by_response_id(gateway: Gateway) -> None:
    first = await ask(gateway, 'weather? {{tool weather {"city":"Oslo"}}}', tools=[WEATHER])
    call = first.output[-1]
    assert (call.type, call.name, orjson.loads(call.arguments)) == ("function_call", "weather", {"city": "Oslo"})

    output = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    second = await ask(gateway, [output], tools=[WEATHER], previous_response_id=first.id)

    assert second.status == "completed"
    messages = gateway.upstream.chat_requests[-1].body["messages"]
    assert [block["type"] for block in messages[1]["content"]] == ["text", "tool_use"]
    result = messages[2]["content"][0]
    assert (result["type"], result["tool_use_id"]) == ("tool_result", call.call_id)
    assert len(gateway.upstream.chat_requests) == 2


@pytest.mark.promise("responses.custom-tools")
async def test_custom_tool_of_a_namespace_makes_a_round_trip_with_raw_text(gateway: Gateway) -> None:
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

    used = gateway.upstream.chat_requests[-1].body["messages"][1]["content"][-1]
    assert (used["name"], used["input"]) == ("files__patch", {"input": raw})


@pytest.mark.promise("responses.reasoning-signed")
async def test_reasoning_that_the_client_sends_back_reaches_the_model_with_its_signature(gateway: Gateway) -> None:
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

    body = gateway.upstream.chat_requests[-1].body
    thinking = body["messages"][1]["content"][0]
    assert (thinking["type"], thinking["thinking"]) == ("thinking", "I should look")
    assert thinking["signature"]
    assert body["thinking"]["type"] == "enabled"


@pytest.mark.promise("responses.chain")
async def test_a_chain_of_fifty_turns_is_one_conversation_that_only_grows(gateway: Gateway) -> None:
    previous = None
    for number in range(CHAIN):
        response = await ask(gateway, f"turn {number}", previous_response_id=previous)
        previous = response.id

    turns = read_turns(gateway.upstream.chat_requests[-1].body)
    assert [texts for _, texts in turns] == [[f"turn {n // 2}"] for n in range(2 * CHAIN - 1)]
    assert len(gateway.upstream.chat_requests) == CHAIN
    bodies = [request.body["messages"] for request in gateway.upstream.chat_requests]
    for before, after in pairwise(bodies):
        assert after[: len(before) - 1] == before[:-1]


async def test_two_branches_continue_one_response(gateway: Gateway) -> None:
    first = await ask(gateway, "start")
    left, right = await asyncio.gather(
        *(ask(gateway, word, previous_response_id=first.id) for word in ("left", "right"))
    )
    for branch, response in (("left", left), ("right", right)):
        await ask(gateway, f"{branch} on", previous_response_id=response.id)
        assert [texts[0] for _, texts in read_turns(gateway.upstream.chat_requests[-1].body)] == [
            *("start", "start", branch, branch, f"{branch} on")
        ]


@pytest.mark.promise("responses.stored")
async def test_stored_responses_and_their_chains_survive_a_restart(tmp_path: Path) -> None:
    async with run_fake_anthropic() as upstream:
        async with run_gateway_on(upstream, tmp_path) as before:
            first = await ask(before, "one")
        async with run_gateway_on(upstream, tmp_path) as after:
            assert (await after.client.responses.retrieve(first.id)).output_text == "one"
            await ask(after, "two", previous_response_id=first.id)
    assert read_turns(upstream.chat_requests[-1].body) == [("user", ["one"]), ("assistant", ["one"]), ("user", ["two"])]


@pytest.mark.promise("responses.background")
async def test_background_response_survives_a_disconnect_and_can_be_resumed_and_polled(gateway: Gateway) -> None:
    stream = await ask(gateway, "{{deltas 30}}{{pace 0.01}}", background=True, stream=True)
    events = []
    async for event in stream:
        events.append(event)
        if event.type == "response.output_text.delta":
            break
    await stream.close()
    id_ = events[0].response.id

    rest = await gateway.client.responses.retrieve(id_, stream=True, starting_after=events[-1].sequence_number)
    events += [event async for event in rest]

    assert [event.sequence_number for event in events] == list(range(len(events)))
    response = await gateway.client.responses.retrieve(id_)
    assert (response.status, response.output_text) == ("completed", "".join(f"w{n} " for n in range(30)))
    assert events[-1].response == response


async def test_a_cancelled_response_ends_its_upstream_request(gateway: Gateway) -> None:
    response = await ask(gateway, "{{hang}}", background=True)
    received = await gateway.upstream.wait_for_request()

    cancelled = await gateway.client.responses.cancel(response.id)

    assert cancelled.status == "cancelled"
    async with asyncio.timeout(10):
        await received.disconnected.wait()


async def test_input_items_are_listed_and_the_response_is_deleted(gateway: Gateway) -> None:
    response = await ask(gateway, [{"role": "user", "content": f"text {n}"} for n in range(3)])

    items = [item async for item in gateway.client.responses.input_items.list(response.id, limit=2)]
    await gateway.client.responses.delete(response.id)

    assert [item.content[0].text for item in items] == ["text 2", "text 1", "text 0"]
    with pytest.raises(openai.NotFoundError):
        await gateway.client.responses.retrieve(response.id)
    with pytest.raises(openai.BadRequestError, match="previous_response_id"):
        await ask(gateway, "more", previous_response_id=response.id)


async def test_agent_body_of_cursor_is_answered_as_a_chat(gateway: Gateway) -> None:
    patch = {"type": "custom", "name": "ApplyPatch", "format": {"type": "text"}}
    prompt = 'go {{tool ApplyPatch {"input":"*** Begin"}}}'
    stream: Any = await gateway.client.chat.completions.create(
        model=MODEL, messages=[], stream=True, extra_body={"input": prompt, "tools": [WEATHER, patch], "store": False}
    )
    calls = [call async for chunk in stream for call in chunk.choices[0].delta.tool_calls or ()]

    assert calls[0].function.name == "ApplyPatch"
    assert "".join(call.function.arguments for call in calls) == "*** Begin"
