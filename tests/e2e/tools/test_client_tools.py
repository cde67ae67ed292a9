"""Client tools through the real CLI: the tools in the upstream request, the calls, and their results."""

import asyncio
from typing import Any

import anthropic
import openai
import orjson
import pytest

from tests.e2e.helpers.client_tools import CITY_SCHEMA, build_chat_tool
from tests.e2e.helpers.gateway import API_KEY, MODEL, Gateway

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("ignore:The model .* is deprecated:DeprecationWarning"),
]


SINGLE_TOOL_CHOICE = {"type": "tool", "name": "f", "disable_parallel_tool_use": True}


def read_offered_tools(gateway: Gateway) -> list[dict[str, Any]]:
    return list(gateway.upstream.chat_requests[-1].body.get("tools") or [])


@pytest.mark.promise("tools.schemas-unchanged")
@pytest.mark.parametrize(
    "definition",
    [
        build_chat_tool("weather"),
        {"type": "function", "name": "weather", "description": "about weather", "parameters": CITY_SCHEMA},
        {"name": "weather", "description": "about weather", "input_schema": CITY_SCHEMA},
    ],
    ids=["openai", "flat", "anthropic"],
)
async def test_tool_reaches_the_model_with_its_schema_unchanged(gateway: Gateway, definition: dict[str, Any]) -> None:
    await gateway.ask("hi", tools=[definition])
    assert read_offered_tools(gateway) == [
        {"name": "weather", "description": "about weather", "input_schema": CITY_SCHEMA}
    ]


async def test_tools_of_one_job_are_not_offered_to_the_next(gateway: Gateway) -> None:
    for names in (["a", "b"], ["c"], [], ["a"], ["b", "a"]):
        await gateway.ask("hi", tools=[build_chat_tool(name) for name in names]) if names else await gateway.ask("hi")
        assert sorted(tool["name"] for tool in read_offered_tools(gateway)) == sorted(names)
    await asyncio.gather(*(gateway.ask(f"hi {n}") for n in range(4)))
    assert all(not request.body.get("tools") for request in gateway.upstream.chat_requests[-4:])


@pytest.mark.promise("tools.keeps-thinking")
async def test_model_still_thinks_after_a_call_returned_without_its_thinking(gateway: Gateway) -> None:
    parameters: Any = {"tools": [build_chat_tool("weather")], "reasoning_effort": "low"}
    history: list[Any] = ['{{think hm}}{{say I look.}}{{tool weather {"city":"Oslo"}}}{{then}}{{say cold}}']
    (choice,) = (await gateway.ask(*history, **parameters)).choices
    (call,) = choice.message.tool_calls
    history += [
        {"role": "assistant", "content": choice.message.content, "tool_calls": [call.to_dict()]},
        {"role": "tool", "tool_call_id": call.id, "content": "-3"},
    ]
    # First in the process that has the conversation, then in another one.
    for others in (0, 2):
        await asyncio.gather(*(gateway.ask(f"{{{{pace 0.05}}}}{n} two three four") for n in range(others)))
        raw = await gateway.client.chat.completions.with_raw_response.create(
            model=MODEL, messages=[{"role": "user", "content": history[0]}, *history[1:]], **parameters
        )
        assert "thinking" not in raw.headers.get("x-gateway-warnings", "")
        body = gateway.upstream.chat_requests[-1].body
        assert body["thinking"]["budget_tokens"] == 2048
        assert [block["type"] for block in body["messages"][1]["content"]] == ["thinking", "text", "tool_use"]


async def test_call_reaches_the_client_and_its_result_the_model(gateway: Gateway) -> None:
    question = 'weather? {{tool weather {"city":"Oslo"}}}'
    first = await gateway.ask(question, tools=[build_chat_tool("weather")])
    message = first.choices[0].message
    assert first.choices[0].finish_reason == "tool_calls"
    (call,) = message.tool_calls
    assert (call.function.name, orjson.loads(call.function.arguments)) == ("weather", {"city": "Oslo"})
    assert len(gateway.upstream.chat_requests) == 1
    second = await gateway.ask(
        question,
        message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
        tools=[build_chat_tool("weather")],
    )
    assert second.choices[0].finish_reason == "stop"
    assert len(gateway.upstream.chat_requests) == 2
    turns = gateway.upstream.chat_requests[-1].body["messages"]
    assert [block["type"] for block in turns[1]["content"]] == ["text", "tool_use"]
    result = turns[2]["content"][0]
    assert (result["type"], result["tool_use_id"]) == ("tool_result", call.id)
    assert result["content"][0]["text"] == "sunny"


@pytest.mark.promise("tools.streamed")
async def test_streamed_calls_have_their_own_index(gateway: Gateway) -> None:
    prompt = 'go {{tool weather {"city":"Oslo"}}}{{tool weather {"city":"Rome"}}}{{tool none {}}}'
    stream = await gateway.ask(prompt, tools=[build_chat_tool("weather"), build_chat_tool("none")], stream=True)
    calls: dict[int, list[str]] = {}
    reasons = []
    async for chunk in stream:
        choice = chunk.choices[0]
        reasons += [choice.finish_reason] if choice.finish_reason else []
        for fragment in choice.delta.tool_calls or ():
            if fragment.id:
                assert fragment.type == "function"
                calls[fragment.index] = [fragment.function.name, ""]
            calls[fragment.index][1] += fragment.function.arguments or ""
    assert reasons == ["tool_calls"]
    assert {index: (name, orjson.loads(text)) for index, (name, text) in calls.items()} == {
        0: ("weather", {"city": "Oslo"}),
        1: ("weather", {"city": "Rome"}),
        2: ("none", {}),
    }


@pytest.mark.promise("tools.any-name")
@pytest.mark.parametrize(
    "name",
    ["Bash", "Read", "Task", "ToolSearch", "StructuredOutput", "mcp__x__y", "a.b/c", "wetter-\u00e4", "x" * 150, "a b"],
)
async def test_any_tool_name_makes_a_round_trip(gateway: Gateway, name: str) -> None:
    # The fake Anthropic API calls the tool by the name in the upstream request.
    await gateway.ask("hi", tools=[build_chat_tool(name)])
    sent = read_offered_tools(gateway)[0]["name"]
    completion = await gateway.ask(f'go {{{{tool {sent} {{"city":"Oslo"}}}}}}', tools=[build_chat_tool(name)])
    (call,) = completion.choices[0].message.tool_calls
    assert call.function.name == name
    next_completion = await gateway.ask(
        "go",
        completion.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "done"},
        tools=[build_chat_tool(name)],
    )
    assert next_completion.choices[0].finish_reason == "stop"


async def test_results_may_come_in_any_order_and_incomplete(gateway: Gateway) -> None:
    ids = [f"call:{n}/odd" for n in range(3)]
    calls = [{"id": id_, "type": "function", "function": {"name": "f", "arguments": "{}"}} for id_ in ids]
    await gateway.ask(
        "go",
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": ids[2], "content": [{"type": "text", "text": "third"}]},
        {"role": "tool", "tool_call_id": ids[0], "content": "first"},
        tools=[build_chat_tool("f")],
    )
    turns = gateway.upstream.chat_requests[-1].body["messages"]
    call_ids = [block["id"] for block in turns[-2]["content"]]
    results = {block["tool_use_id"]: block["content"][0]["text"] for block in turns[-1]["content"]}
    assert [results[id_] for id_ in call_ids][::2] == ["first", "third"]
    assert "abandoned" in results[call_ids[1]]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("required", {"type": "any"}),
        ({"type": "function", "function": {"name": "f"}}, {"type": "tool", "name": "f"}),
        (
            {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
            {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        ),
        ("none", {"type": "none"}),
        ("auto", None),
    ],
    ids=str,
)
async def test_a_tool_choice_reaches_the_model_and_not_the_next_job(
    gateway: Gateway, choice: Any, expected: dict[str, Any] | None
) -> None:
    await gateway.ask("hi", tools=[build_chat_tool("f")], tool_choice=choice)
    assert gateway.upstream.chat_requests[-1].body.get("tool_choice") == expected
    for _ in range(2):
        await gateway.ask("hi", tools=[build_chat_tool("f")])
        assert "tool_choice" not in gateway.upstream.chat_requests[-1].body


async def test_legacy_functions_make_a_round_trip(gateway: Gateway) -> None:
    functions = [{"name": "weather", "description": "about weather", "parameters": CITY_SCHEMA}]
    question = 'weather? {{tool weather {"city":"Oslo"}}}'
    first = await gateway.ask(question, functions=functions)
    message = first.choices[0].message
    assert first.choices[0].finish_reason == "function_call"
    assert (message.function_call.name, message.tool_calls) == ("weather", None)
    assert read_offered_tools(gateway)[0]["input_schema"] == CITY_SCHEMA
    second = await gateway.ask(
        question,
        message.model_dump(exclude_none=True),
        {"role": "function", "name": "weather", "content": "sunny"},
        functions=functions,
    )
    assert second.choices[0].finish_reason == "stop"
    assert gateway.upstream.chat_requests[-1].body["messages"][-1]["content"][0]["content"][0]["text"] == "sunny"


async def test_parallel_calls_can_be_turned_off(gateway: Gateway) -> None:
    await gateway.ask("hi", tools=[build_chat_tool("f")], parallel_tool_calls=False)
    assert gateway.upstream.chat_requests[-1].body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}


@pytest.mark.parametrize(
    "parameters",
    [
        {"tools": [{"type": "function", "function": {}}]},
        {"tools": [build_chat_tool("f", {"type": "array"})]},
        {"tools": [build_chat_tool("f"), build_chat_tool("f")]},
        {"tools": ["f"]},
        {"tools": [build_chat_tool("f")], "tool_choice": {"type": "function", "function": {"name": "g"}}},
        {"tools": [build_chat_tool("f")], "tool_choice": "perhaps"},
    ],
    ids=["no name", "not an object", "twice", "a string", "unknown choice", "odd choice"],
)
async def test_malformed_tool_is_rejected_by_name(gateway: Gateway, parameters: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError, match="tool"):
        await gateway.ask("hi", **parameters)


async def test_hosted_tool_is_ignored_with_a_warning(gateway: Gateway) -> None:
    raw = await gateway.client.chat.completions.with_raw_response.create(
        model=MODEL,
        messages=[{"role": "user", "content": "hi"}],
        tools=[{"type": "web_search_preview"}, build_chat_tool("f")],  # type: ignore[list-item]
    )
    assert "web_search_preview" in raw.headers["x-gateway-warnings"]
    assert [tool["name"] for tool in read_offered_tools(gateway)] == ["f"]


async def test_anthropic_client_runs_a_tool_round_trip(gateway: Gateway) -> None:
    tools: Any = [{"name": "weather", "description": "about weather", "input_schema": CITY_SCHEMA}]
    messages: Any = [{"role": "user", "content": 'weather? {{tool weather {"city":"Rome"}}}'}]
    direct = anthropic.DefaultAsyncHttpxClient(trust_env=False)
    async with anthropic.AsyncAnthropic(
        base_url=gateway.url, api_key=API_KEY, max_retries=0, http_client=direct
    ) as client:
        async with client.messages.stream(model=MODEL, max_tokens=500, messages=messages, tools=tools) as stream:
            first = await stream.get_final_message()
        assert first.stop_reason == "tool_use"
        call = first.content[-1]
        assert call.type == "tool_use"
        assert (call.name, call.input) == ("weather", {"city": "Rome"})
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "rain", "is_error": True}
        messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
        second = await client.messages.create(model=MODEL, max_tokens=500, messages=messages, tools=tools)
    assert second.stop_reason == "end_turn"
    sent = gateway.upstream.chat_requests[-1].body["messages"][-1]["content"][0]
    assert (sent["is_error"], sent["content"]) in [(True, "rain"), (True, [{"type": "text", "text": "rain"}])]
    assert len(gateway.upstream.chat_requests) == 2
