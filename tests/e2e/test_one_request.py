"""One question is one upstream request, whatever ends the answer; an answer without a word is an answer."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.e2e.conftest import MODEL, Gateway, gateway_on
from tests.e2e.four_dialects import DIALECTS, ask

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

IN_EVERY_DIALECT = pytest.mark.parametrize("dialect", DIALECTS)
STREAMED_OR_NOT = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
ENDS = {"chat": "stop", "responses": "completed", "messages": "end_turn", "gemini": "STOP"}
TOOL = {"name": "f", "input_schema": {"type": "object"}}


async def settled(gateway: Gateway) -> None:
    """Every worker has put itself right: what it was about to send has been sent."""
    await asyncio.gather(*(gateway.stream_text(f"settled {number}") for number in range(2)))


def asked(gateway: Gateway, marker: str) -> int:
    return sum(marker in json.dumps(request.body["messages"]) for request in gateway.upstream.chats)


@pytest.mark.promise("answers.empty")
@IN_EVERY_DIALECT
@STREAMED_OR_NOT
@pytest.mark.parametrize("history", [False, True], ids=["first", "after results"])
@pytest.mark.parametrize("silence", ["{{empty}}", '{{blank "\\n\\n"}}', "{{empty}}{{think hm}}"])
async def test_an_answer_without_a_word_ends_as_the_dialect_ends_an_answer(
    gateway: Gateway, dialect: str, stream: bool, history: bool, silence: str
) -> None:
    answer = await ask(
        gateway.url, dialect, f"quiet {{{{silence 0.05}}}}{silence}", stream=stream, tools=[TOOL], history=history
    )
    assert (answer.status, answer.text.strip(), answer.calls, answer.end) == (200, "", [], ENDS[dialect])
    await settled(gateway)
    assert asked(gateway, "quiet") == 1
    assert "Claude" not in answer.text


@IN_EVERY_DIALECT
async def test_behind_an_empty_answer_nothing_of_the_cli_is_in_the_next_prompt(gateway: Gateway, dialect: str) -> None:
    for _ in range(3):
        await ask(gateway.url, dialect, "quiet {{empty}}", stream=False)
        gateway.upstream.forget()
        await ask(gateway.url, dialect, "next", stream=False)
        [received] = gateway.upstream.chats
        assert [block["text"] for message in received.body["messages"] for block in message["content"]] == ["next"]


@IN_EVERY_DIALECT
@STREAMED_OR_NOT
@pytest.mark.parametrize(
    "ending", ["{{stop max_tokens}}", "{{stop refusal}}", "{{stop model_context_window_exceeded}}"]
)
async def test_an_answer_that_ends_early_is_not_continued_behind_the_client_s_back(
    gateway: Gateway, dialect: str, stream: bool, ending: str
) -> None:
    answer = await ask(gateway.url, dialect, f"early one two {ending}", stream=stream)
    assert answer.status == 200
    await settled(gateway)
    assert asked(gateway, "early") == 1


@IN_EVERY_DIALECT
@STREAMED_OR_NOT
async def test_a_call_of_a_tool_that_nobody_offered_is_handed_on_and_not_answered(
    gateway: Gateway, dialect: str, stream: bool
) -> None:
    prompt = "stray {{tool unheard_of {}}}"
    answer = await ask(gateway.url, dialect, prompt, stream=stream, tools=[TOOL])
    assert answer.calls == [("unheard_of", "{}")]
    await settled(gateway)
    assert asked(gateway, "stray") == 1


@IN_EVERY_DIALECT
@pytest.mark.parametrize("end", ["", "{{stop max_tokens}}"], ids=["whole", "at the limit"])
async def test_calls_beside_one_of_a_tool_that_nobody_offered_are_handed_on_too(
    gateway: Gateway, dialect: str, end: str
) -> None:
    prompt = 'stray {{fine}}{{pace 0.2}}{{tool unheard_of {"a":1}}}{{tool f {"b":1}}}' + end
    answer = await ask(gateway.url, dialect, prompt, stream=True, tools=[TOOL])
    assert answer.calls == [("unheard_of", '{"a":1}'), ("f", '{"b":1}')]
    await settled(gateway)
    assert asked(gateway, "stray") == 1


async def test_a_tool_of_the_history_may_be_called_again_beside_those_offered(gateway: Gateway) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "earlier", "arguments": "{}"}}
    answer = await gateway.ask(
        "go",
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": 'stray {{tool earlier {"a":1}}}{{tool f {"b":2}}}'},
        tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    )
    called = answer.choices[0].message.tool_calls
    assert [(one.function.name, one.function.arguments) for one in called] == [("earlier", '{"a":1}'), ("f", '{"b":2}')]
    await settled(gateway)
    assert asked(gateway, "stray") == 1


@IN_EVERY_DIALECT
async def test_a_tool_that_the_cli_has_by_the_same_name_is_the_client_s(gateway: Gateway, dialect: str) -> None:
    search = {"name": "ToolSearch", "input_schema": {"type": "object"}}
    prompt = 'named {{tool ToolSearch {"query": "x"}}}'
    answer = await ask(gateway.url, dialect, prompt, stream=False, tools=[search])
    assert answer.calls == [("ToolSearch", '{"query":"x"}')]
    await settled(gateway)
    assert asked(gateway, "named") == 1


@IN_EVERY_DIALECT
async def test_a_tool_named_as_the_cli_s_own_for_structured_output_is_like_any_other(
    gateway: Gateway, dialect: str
) -> None:
    tools = [{"name": "StructuredOutput", "input_schema": {"type": "object"}}, TOOL]
    for words in ("named first", "named second"):
        gateway.upstream.forget()
        await ask(gateway.url, dialect, words, stream=False, tools=tools)
        [received] = gateway.upstream.chats
        assert [block["text"] for message in received.body["messages"] for block in message["content"]] == [words]
        assert [tool["name"] for tool in received.body["tools"]] == ["StructuredOutput", "f"]
    called = 'named third {{tool StructuredOutput {"a":1}}}{{tool f {"b":2}}}'
    answer = await ask(gateway.url, dialect, called, stream=False, tools=tools)
    assert answer.calls == [("StructuredOutput", '{"a":1}'), ("f", '{"b":2}')]
    await settled(gateway)
    assert asked(gateway, "named third") == 1


@pytest.mark.parametrize("pace", ["", "{{pace 0.005}}"], ids=["all at once", "paced"])
async def test_of_fifty_limited_answers_none_is_continued(gateway: Gateway, tmp_path: Path, pace: str) -> None:
    async with gateway_on(gateway.upstream, tmp_path, chat_workers=4) as busy:

        async def caller(number: int) -> None:
            for turn in range(13):
                await busy.ask(f"limit {number} {turn} one two {pace}{{{{stop max_tokens}}}}", max_tokens=50)

        await asyncio.gather(*map(caller, range(4)))
        await settled(busy)
    assert asked(gateway, "limit") == 52


@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize("fault", ["{{break 2}}", "{{drop 2}}", "{{cut head}}", "{{cut text_end}}", "{{end text}}"])
async def test_a_stream_that_breaks_is_recovered_whether_it_has_a_limit_or_not(
    gateway: Gateway, fault: str, limited: bool
) -> None:
    limit = {"max_tokens": 50} if limited else {}
    for attempt in range(3):
        prompt = f"broken {attempt} one two three {fault}{{{{times 1}}}}"
        answer = await gateway.ask(prompt, **limit)
        assert answer.choices[0].message.content == f"broken {attempt} one two three"


async def test_a_model_that_the_upstream_does_not_know_is_named_after_no_more_than_its_own_refusals(
    gateway: Gateway,
) -> None:
    gateway.upstream.retired.add("claude-opus-4-9")
    answer = await ask(gateway.url, "chat", "hello", stream=False, model="claude-opus-4-9")
    assert answer.status == 404
    assert "HEADERS" not in answer.body


async def test_a_switch_of_model_costs_no_request_of_its_own(gateway: Gateway) -> None:
    for model in ("claude-opus-4-20250514", MODEL, "claude-opus-4-20250514"):
        await gateway.ask("hello", model=model)
    seen = [request.body["model"] for request in gateway.upstream.received]
    assert seen == ["claude-opus-4-20250514", MODEL, "claude-opus-4-20250514"]
