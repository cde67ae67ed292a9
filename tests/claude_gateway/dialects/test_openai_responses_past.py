"""A request that goes on from what is stored: the same job as the one whose caller sends everything again."""

from typing import Any

import pytest

from claude_gateway.dialects.openai_responses.items import Past, Said
from claude_gateway.dialects.openai_responses.parse import ParsedResponse, parse, references
from claude_gateway.dialects.openai_responses.wire import ResponsesRequest
from claude_gateway.errors import ApiError
from tests.claude_gateway.dialects.face import MODEL, OWNER
from tests.claude_gateway.dialects.openai_responses import SEAL
from workers.job import Text, ToolResult, ToolUse, Turn

FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}}


def ask(items: Any, past: Past | None = None, **request: Any) -> ParsedResponse:
    asked = ResponsesRequest.model_validate({"model": MODEL, "input": items, **request})
    return parse(asked, OWNER, MODEL, SEAL, past or Past())


def after(parsed: ParsedResponse, *replies: Turn) -> Past:
    return Past(Said(parsed.said.system, (*parsed.said.messages, *replies)))


def test_a_stored_past_and_the_same_past_sent_again_are_one_job() -> None:
    reply = Turn("assistant", (Text("hello"), ToolUse("call_1", "f", {"a": 1})))
    start = [{"role": "developer", "content": "brief"}, {"role": "user", "content": "hi"}]
    call = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"a": 1}'}
    output = {"type": "function_call_output", "call_id": "call_1", "output": "18C"}

    stored = ask([output], after(ask(start), reply), tools=[FUNCTION])
    whole = ask([*start, {"role": "assistant", "content": "hello"}, call, output], tools=[FUNCTION])

    assert stored.job == whole.job
    assert stored.said == Said((), (Turn("user", (ToolResult("call_1", (Text("18C"),)),)),))


def test_instructions_are_for_one_request_and_what_the_input_said_stays() -> None:
    first = ask([{"role": "system", "content": "rule"}, {"role": "user", "content": "hi"}], instructions="be brief")

    second = ask("more", after(first, Turn("assistant", (Text("ok"),))), instructions="be long")

    assert (first.job.system, second.job.system) == ("be brief\n\nrule", "be long\n\nrule")


def test_a_developer_s_word_within_a_conversation_stays_in_its_place() -> None:
    past = after(ask("hi"), Turn("assistant", (Text("ok"),)))

    job = ask([{"role": "developer", "content": "hurry"}, {"role": "user", "content": "more"}], past).job

    assert job.system == ""
    assert "hurry" in str(job.turns[-1].blocks[0])


@pytest.mark.promise("responses.stored")
def test_a_reference_is_the_item_it_names() -> None:
    call = {"type": "function_call", "id": "fc_1_0", "call_id": "call_1", "name": "f", "arguments": "{}"}
    items = [
        {"role": "user", "content": "hi"},
        {"type": "item_reference", "id": "fc_1_0"},
        {"type": "function_call_output", "call_id": "call_1", "output": "18C"},
    ]

    referred = ask(items, Past(items={"fc_1_0": call}), tools=[FUNCTION])

    assert referred.job == ask([items[0], call, items[2]], tools=[FUNCTION]).job
    assert references(ResponsesRequest.model_validate({"model": "m", "input": items})) == ["fc_1_0"]


def test_an_item_is_referred_to_once() -> None:
    said = {"type": "message", "id": "msg_1_0", "role": "user", "content": "long"}

    with pytest.raises(ApiError, match=r"input\.1: refers once more to 'msg_1_0'"):
        ask([{"id": "msg_1_0"}, {"id": "msg_1_0"}], Past(items={"msg_1_0": said}))


def test_a_bare_id_is_a_reference() -> None:
    assert references(ResponsesRequest.model_validate({"model": "m", "input": [{"id": "fc_1_0"}]})) == ["fc_1_0"]


@pytest.mark.promise("responses.reasoning-sealed")
@pytest.mark.parametrize("sealed", ["gAAAAABfake", "", 5, [], "W10="])
def test_reasoning_that_is_not_ours_never_reaches_the_model_and_is_named(sealed: Any) -> None:
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": [], "content": None, "encrypted_content": sealed}

    parsed = ask(
        [
            {"role": "user", "content": "hi"},
            reasoning,
            {"role": "assistant", "content": "ok"},
            {"role": "user", "content": "more"},
        ]
    )

    assert parsed.job.turns[1] == Turn("assistant", (Text("ok"),))
    assert parsed.warnings == ("input.1: reasoning that this gateway did not seal was left out",)


def test_a_thought_that_led_to_nothing_is_left_out() -> None:
    reasoning = {"type": "reasoning", "summary": [], "encrypted_content": SEAL.seal(b'[["hm","sig"]]')}
    items = [{"role": "user", "content": "hi"}, reasoning, {"role": "user", "content": "more"}]

    assert ask(items).job == ask([items[0], items[2]]).job


@pytest.mark.parametrize(
    ("name", "namespace"), [("wait", "shell"), ("wait", None), ("shell__wait", None)], ids=["both", "bare", "flat"]
)
def test_a_call_of_a_namespaced_tool_is_known_with_or_without_its_namespace(name: str, namespace: str | None) -> None:
    tools = [{"type": "namespace", "name": "shell", "description": "", "tools": [{**FUNCTION, "name": "wait"}]}]
    call = {"type": "function_call", "call_id": "call_1", "name": name, "namespace": namespace, "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "call_1", "output": ""}

    job = ask([{"role": "user", "content": "hi"}, call, output], tools=tools).job

    assert job.turns[1].blocks == (ToolUse("call_1", "shell__wait", {}),)
    assert [tool.name for tool in job.tools] == ["shell__wait"]


@pytest.mark.parametrize(
    "call",
    [
        {"type": "custom_tool_call", "input": "*** Begin"},
        {"type": "function_call", "arguments": "*** Begin"},
        {"type": "function_call", "arguments": '{"input": "*** Begin"}'},
    ],
    ids=["custom", "raw", "json"],
)
def test_a_custom_call_comes_back_in_any_of_its_shapes(call: dict[str, Any]) -> None:
    output = {"type": "custom_tool_call_output", "call_id": "call_1", "output": "Done"}
    items = [{"role": "user", "content": "hi"}, {**call, "call_id": "call_1", "name": "patch"}, output]

    job = ask(items, tools=[{"type": "custom", "name": "patch"}]).job

    assert job.turns[1].blocks == (ToolUse("call_1", "patch", {"input": "*** Begin"}),)


def test_a_search_that_the_caller_runs_is_a_function_and_brings_its_tools_into_the_request() -> None:
    search = {"type": "tool_search", "execution": "client", "description": "finds", "parameters": {"type": "object"}}
    found = {"type": "namespace", "name": "agents", "description": "", "tools": [{**FUNCTION, "name": "spawn"}]}
    items = [
        {"role": "user", "content": "hi"},
        {"type": "tool_search_call", "call_id": "call_1", "execution": "client", "arguments": {"query": "agents"}},
        {"type": "tool_search_output", "call_id": "call_1", "execution": "client", "tools": [found, FUNCTION]},
    ]

    job = ask(items, tools=[search]).job

    assert [tool.name for tool in job.tools] == ["tool_search", "agents__spawn", "f"]
    assert job.turns[1].blocks == (ToolUse("call_1", "tool_search", {"query": "agents"}),)
    assert job.turns[2].blocks == (ToolResult("call_1", (Text("Found tool: agents__spawn\nFound tool: f"),)),)


def test_a_search_that_found_nothing_says_so() -> None:
    items = [
        {"role": "user", "content": "hi"},
        {"type": "tool_search_call", "call_id": "call_1", "arguments": {}},
        {"type": "tool_search_output", "call_id": "call_1", "tools": []},
    ]

    assert ask(items).job.turns[2].blocks == (ToolResult("call_1", (Text("No tool was found."),)),)


@pytest.mark.parametrize("kind", ["tool_search_call", "tool_search_output"])
def test_a_search_that_the_provider_ran_is_left_out(kind: str) -> None:
    item = {"type": kind, "call_id": None, "execution": "server", "arguments": {}, "tools": []}

    parsed = ask([{"role": "user", "content": "hi"}, item])

    assert parsed.job == ask("hi").job
    assert parsed.warnings == (f"input.1: an item of type {kind!r} was left out",)


def test_too_many_tools_are_refused() -> None:
    tools = [{**FUNCTION, "name": f"f{number}"} for number in range(513)]

    with pytest.raises(ApiError, match=r"tools\.512: at most 512"):
        ask("hi", tools=tools)
