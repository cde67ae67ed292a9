"""One question causes one upstream request, however the reply ends; an empty reply is a reply, too."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.e2e.helpers.dialect_requests import DIALECTS, ask
from tests.e2e.helpers.gateway import MODEL, Gateway, run_gateway_on

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

IN_EVERY_DIALECT = pytest.mark.parametrize("dialect", DIALECTS)
STREAMED_OR_NOT = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
ENDS = {"chat": "stop", "responses": "completed", "messages": "end_turn", "gemini": "STOP"}
TOOL = {"name": "f", "input_schema": {"type": "object"}}


async def wait_workers_idle(gateway: Gateway) -> None:
    """Wait until every worker has finished its cleanup, so that all its upstream requests were sent."""
    await asyncio.gather(*(gateway.stream_text(f"settled {number}") for number in range(2)))


def count_upstream_requests(gateway: Gateway, marker: str) -> int:
    return sum(marker in json.dumps(request.body["messages"]) for request in gateway.upstream.chat_requests)


@pytest.mark.promise("replies.empty")
@IN_EVERY_DIALECT
@STREAMED_OR_NOT
@pytest.mark.parametrize("history", [False, True], ids=["first", "after results"])
@pytest.mark.parametrize("silence", ["{{empty}}", '{{blank "\\n\\n"}}', "{{empty}}{{think hm}}"])
async def test_empty_reply_ends_as_its_dialect_ends_a_reply(
    gateway: Gateway, dialect: str, stream: bool, history: bool, silence: str
) -> None:
    response = await ask(
        gateway.url, dialect, f"quiet {{{{silence 0.05}}}}{silence}", stream=stream, tools=[TOOL], with_history=history
    )
    assert (response.status, response.text.strip(), response.calls, response.stop_reason) == (
        200,
        "",
        [],
        ENDS[dialect],
    )
    await wait_workers_idle(gateway)
    assert count_upstream_requests(gateway, "quiet") == 1
    assert "Claude" not in response.text


@IN_EVERY_DIALECT
async def test_next_prompt_after_an_empty_reply_holds_nothing_of_the_cli(gateway: Gateway, dialect: str) -> None:
    for _ in range(3):
        await ask(gateway.url, dialect, "quiet {{empty}}", stream=False)
        gateway.upstream.clear()
        await ask(gateway.url, dialect, "next", stream=False)
        [received] = gateway.upstream.chat_requests
        assert [block["text"] for message in received.body["messages"] for block in message["content"]] == ["next"]


@IN_EVERY_DIALECT
@STREAMED_OR_NOT
@pytest.mark.parametrize(
    "ending", ["{{stop max_tokens}}", "{{stop refusal}}", "{{stop model_context_window_exceeded}}"]
)
async def test_reply_that_ends_early_is_not_continued_silently(
    gateway: Gateway, dialect: str, stream: bool, ending: str
) -> None:
    response = await ask(gateway.url, dialect, f"early one two {ending}", stream=stream)
    assert response.status == 200
    await wait_workers_idle(gateway)
    assert count_upstream_requests(gateway, "early") == 1


@IN_EVERY_DIALECT
@STREAMED_OR_NOT
async def test_call_of_an_unknown_tool_is_passed_to_the_client(gateway: Gateway, dialect: str, stream: bool) -> None:
    prompt = "stray {{tool unheard_of {}}}"
    response = await ask(gateway.url, dialect, prompt, stream=stream, tools=[TOOL])
    assert response.calls == [("unheard_of", "{}")]
    await wait_workers_idle(gateway)
    assert count_upstream_requests(gateway, "stray") == 1


@IN_EVERY_DIALECT
@pytest.mark.parametrize("end", ["", "{{stop max_tokens}}"], ids=["whole", "at the limit"])
async def test_calls_beside_a_call_of_an_unknown_tool_are_passed_to_the_client(
    gateway: Gateway, dialect: str, end: str
) -> None:
    prompt = 'stray {{fine}}{{pace 0.2}}{{tool unheard_of {"a":1}}}{{tool f {"b":1}}}' + end
    response = await ask(gateway.url, dialect, prompt, stream=True, tools=[TOOL])
    assert response.calls == [("unheard_of", '{"a":1}'), ("f", '{"b":1}')]
    await wait_workers_idle(gateway)
    assert count_upstream_requests(gateway, "stray") == 1


async def test_model_may_call_a_tool_of_the_history_beside_offered_tools(gateway: Gateway) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "earlier", "arguments": "{}"}}
    response = await gateway.ask(
        "go",
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": 'stray {{tool earlier {"a":1}}}{{tool f {"b":2}}}'},
        tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    )
    prompt = response.choices[0].message.tool_calls
    assert [(call.function.name, call.function.arguments) for call in prompt] == [
        ("earlier", '{"a":1}'),
        ("f", '{"b":2}'),
    ]
    await wait_workers_idle(gateway)
    assert count_upstream_requests(gateway, "stray") == 1


@IN_EVERY_DIALECT
async def test_client_tool_wins_over_a_cli_tool_of_the_same_name(gateway: Gateway, dialect: str) -> None:
    search = {"name": "ToolSearch", "input_schema": {"type": "object"}}
    prompt = 'named {{tool ToolSearch {"query": "x"}}}'
    response = await ask(gateway.url, dialect, prompt, stream=False, tools=[search])
    assert response.calls == [("ToolSearch", '{"query":"x"}')]
    await wait_workers_idle(gateway)
    assert count_upstream_requests(gateway, "named") == 1


@IN_EVERY_DIALECT
async def test_client_tool_may_have_the_name_of_the_structured_output_tool_of_the_cli(
    gateway: Gateway, dialect: str
) -> None:
    tools = [{"name": "StructuredOutput", "input_schema": {"type": "object"}}, TOOL]
    for prompt in ("named first", "named second"):
        gateway.upstream.clear()
        await ask(gateway.url, dialect, prompt, stream=False, tools=tools)
        [received] = gateway.upstream.chat_requests
        assert [block["text"] for message in received.body["messages"] for block in message["content"]] == [prompt]
        assert [tool["name"] for tool in received.body["tools"]] == ["StructuredOutput", "f"]
    prompt = 'named third {{tool StructuredOutput {"a":1}}}{{tool f {"b":2}}}'
    response = await ask(gateway.url, dialect, prompt, stream=False, tools=tools)
    assert response.calls == [("StructuredOutput", '{"a":1}'), ("f", '{"b":2}')]
    await wait_workers_idle(gateway)
    assert count_upstream_requests(gateway, "named third") == 1


@pytest.mark.parametrize("pace", ["", "{{pace 0.005}}"], ids=["all at once", "paced"])
async def test_no_reply_is_continued_after_its_output_limit(gateway: Gateway, tmp_path: Path, pace: str) -> None:
    async with run_gateway_on(gateway.upstream, tmp_path, chat_workers=4) as busy:

        async def caller(number: int) -> None:
            for turn in range(13):
                await busy.ask(f"limit {number} {turn} one two {pace}{{{{stop max_tokens}}}}", max_tokens=50)

        await asyncio.gather(*map(caller, range(4)))
        await wait_workers_idle(busy)
    assert count_upstream_requests(gateway, "limit") == 52


@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize("fault", ["{{break 2}}", "{{drop 2}}", "{{cut head}}", "{{cut text_end}}", "{{end text}}"])
async def test_interrupted_stream_is_recovered_with_and_without_an_output_limit(
    gateway: Gateway, fault: str, limited: bool
) -> None:
    limit = {"max_tokens": 50} if limited else {}
    for attempt in range(3):
        prompt = f"broken {attempt} one two three {fault}{{{{times 1}}}}"
        response = await gateway.ask(prompt, **limit)
        assert response.choices[0].message.content == f"broken {attempt} one two three"


async def test_unknown_model_costs_only_its_own_refused_requests(
    gateway: Gateway,
) -> None:
    gateway.upstream.retired_models.add("claude-opus-4-9")
    response = await ask(gateway.url, "chat", "hello", stream=False, model="claude-opus-4-9")
    assert response.status == 404
    assert "HEADERS" not in response.raw_response


async def test_model_switch_causes_no_extra_request(gateway: Gateway) -> None:
    for model in ("claude-opus-4-20250514", MODEL, "claude-opus-4-20250514"):
        await gateway.ask("hello", model=model)
    models = [request.body["model"] for request in gateway.upstream.requests]
    assert models == ["claude-opus-4-20250514", MODEL, "claude-opus-4-20250514"]
