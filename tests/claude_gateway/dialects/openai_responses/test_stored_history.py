"""Requests that continue a stored response, and stored items."""

from typing import Any

import pytest

from claude_gateway.core.errors import ApiError
from claude_gateway.dialects.openai_responses.input_items import ConversationMessages, ResponseHistory
from claude_gateway.dialects.openai_responses.parse import ParsedResponsesRequest, find_referenced_ids, parse
from claude_gateway.dialects.openai_responses.schema import ResponsesRequest
from tests.claude_gateway.dialects.adapters.dialect_adapter import KEY_ID, MODEL
from tests.claude_gateway.dialects.adapters.openai_responses import SIGNER
from workers.core.job import Text, ToolResult, ToolUse, Turn

FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}}


def parse_request(items: Any, history: ResponseHistory | None = None, **request: Any) -> ParsedResponsesRequest:
    validated = ResponsesRequest.model_validate({"model": MODEL, "input": items, **request})
    return parse(validated, KEY_ID, MODEL, SIGNER, history or ResponseHistory())


def continue_response(parsed: ParsedResponsesRequest, *replies: Turn) -> ResponseHistory:
    return ResponseHistory(
        ConversationMessages(parsed.input_messages.system, (*parsed.input_messages.messages, *replies))
    )


def test_stored_history_and_resent_history_make_the_same_job() -> None:
    reply = Turn("assistant", (Text("hello"), ToolUse("call_1", "f", {"a": 1})))
    first_items = [{"role": "developer", "content": "brief"}, {"role": "user", "content": "hi"}]
    call = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"a": 1}'}
    output = {"type": "function_call_output", "call_id": "call_1", "output": "18C"}

    stored = parse_request([output], continue_response(parse_request(first_items), reply), tools=[FUNCTION])
    full = parse_request([*first_items, {"role": "assistant", "content": "hello"}, call, output], tools=[FUNCTION])

    assert stored.job == full.job
    assert stored.input_messages == ConversationMessages((), (Turn("user", (ToolResult("call_1", (Text("18C"),)),)),))


def test_instructions_apply_to_one_request_but_system_messages_to_all_later_ones() -> None:
    first = parse_request(
        [{"role": "system", "content": "rule"}, {"role": "user", "content": "hi"}], instructions="be brief"
    )

    second = parse_request("more", continue_response(first, Turn("assistant", (Text("ok"),))), instructions="be long")

    assert (first.job.system, second.job.system) == ("be brief\n\nrule", "be long\n\nrule")


def test_developer_message_within_a_conversation_keeps_its_position() -> None:
    history = continue_response(parse_request("hi"), Turn("assistant", (Text("ok"),)))

    job = parse_request([{"role": "developer", "content": "hurry"}, {"role": "user", "content": "more"}], history).job

    assert job.system == ""
    assert "hurry" in str(job.turns[-1].blocks[0])


@pytest.mark.promise("responses.stored")
def test_item_reference_is_replaced_with_the_stored_item() -> None:
    call = {"type": "function_call", "id": "fc_1_0", "call_id": "call_1", "name": "f", "arguments": "{}"}
    items = [
        {"role": "user", "content": "hi"},
        {"type": "item_reference", "id": "fc_1_0"},
        {"type": "function_call_output", "call_id": "call_1", "output": "18C"},
    ]

    parsed = parse_request(items, ResponseHistory(referenced_items={"fc_1_0": call}), tools=[FUNCTION])

    assert parsed.job == parse_request([items[0], call, items[2]], tools=[FUNCTION]).job
    assert find_referenced_ids(ResponsesRequest.model_validate({"model": "m", "input": items})) == ["fc_1_0"]


def test_rejects_repeated_item_reference() -> None:
    stored_item = {"type": "message", "id": "msg_1_0", "role": "user", "content": "long"}

    with pytest.raises(ApiError, match=r"input\.1: refers to 'msg_1_0' again"):
        parse_request(
            [{"id": "msg_1_0"}, {"id": "msg_1_0"}], ResponseHistory(referenced_items={"msg_1_0": stored_item})
        )


def test_bare_id_is_an_item_reference() -> None:
    assert find_referenced_ids(ResponsesRequest.model_validate({"model": "m", "input": [{"id": "fc_1_0"}]})) == [
        "fc_1_0"
    ]


@pytest.mark.promise("responses.reasoning-signed")
@pytest.mark.parametrize("encrypted_content", ["gAAAAABfake", "", 5, [], "W10="])
def test_omits_reasoning_that_this_gateway_did_not_sign_with_a_warning(encrypted_content: Any) -> None:
    reasoning = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [],
        "content": None,
        "encrypted_content": encrypted_content,
    }

    parsed = parse_request(
        [
            {"role": "user", "content": "hi"},
            reasoning,
            {"role": "assistant", "content": "ok"},
            {"role": "user", "content": "more"},
        ]
    )

    assert parsed.job.turns[1] == Turn("assistant", (Text("ok"),))
    assert parsed.warnings == ("input.1: omitted reasoning (this gateway did not sign it)",)


def test_omits_thinking_without_a_following_reply() -> None:
    reasoning = {"type": "reasoning", "summary": [], "encrypted_content": SIGNER.sign(b'[["hm","sig"]]')}
    items = [{"role": "user", "content": "hi"}, reasoning, {"role": "user", "content": "more"}]

    assert parse_request(items).job == parse_request([items[0], items[2]]).job


@pytest.mark.parametrize(
    ("name", "namespace"), [("wait", "shell"), ("wait", None), ("shell__wait", None)], ids=["both", "bare", "flat"]
)
def test_recognizes_call_of_namespaced_tool_with_or_without_namespace(name: str, namespace: str | None) -> None:
    tools = [{"type": "namespace", "name": "shell", "description": "", "tools": [{**FUNCTION, "name": "wait"}]}]
    call = {"type": "function_call", "call_id": "call_1", "name": name, "namespace": namespace, "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "call_1", "output": ""}

    job = parse_request([{"role": "user", "content": "hi"}, call, output], tools=tools).job

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
def test_accepts_resent_custom_call_in_any_format(call: dict[str, Any]) -> None:
    output = {"type": "custom_tool_call_output", "call_id": "call_1", "output": "Done"}
    items = [{"role": "user", "content": "hi"}, {**call, "call_id": "call_1", "name": "patch"}, output]

    job = parse_request(items, tools=[{"type": "custom", "name": "patch"}]).job

    assert job.turns[1].blocks == (ToolUse("call_1", "patch", {"input": "*** Begin"}),)


def test_client_tool_search_is_a_function_that_adds_its_tools_to_the_request() -> None:
    search = {"type": "tool_search", "execution": "client", "description": "finds", "parameters": {"type": "object"}}
    search_result = {"type": "namespace", "name": "agents", "description": "", "tools": [{**FUNCTION, "name": "spawn"}]}
    items = [
        {"role": "user", "content": "hi"},
        {"type": "tool_search_call", "call_id": "call_1", "execution": "client", "arguments": {"query": "agents"}},
        {"type": "tool_search_output", "call_id": "call_1", "execution": "client", "tools": [search_result, FUNCTION]},
    ]

    job = parse_request(items, tools=[search]).job

    assert [tool.name for tool in job.tools] == ["tool_search", "agents__spawn", "f"]
    assert job.turns[1].blocks == (ToolUse("call_1", "tool_search", {"query": "agents"}),)
    assert job.turns[2].blocks == (ToolResult("call_1", (Text("Found tool: agents__spawn\nFound tool: f"),)),)


def test_empty_search_result_tells_the_model_that_no_tool_was_found() -> None:
    items = [
        {"role": "user", "content": "hi"},
        {"type": "tool_search_call", "call_id": "call_1", "arguments": {}},
        {"type": "tool_search_output", "call_id": "call_1", "tools": []},
    ]

    assert parse_request(items).job.turns[2].blocks == (ToolResult("call_1", (Text("No tool was found."),)),)


@pytest.mark.parametrize("kind", ["tool_search_call", "tool_search_output"])
def test_omits_hosted_tool_search(kind: str) -> None:
    item = {"type": kind, "call_id": None, "execution": "server", "arguments": {}, "tools": []}

    parsed = parse_request([{"role": "user", "content": "hi"}, item])

    assert parsed.job == parse_request("hi").job
    assert parsed.warnings == (f"input.1: omitted an item of type {kind!r}",)


def test_rejects_too_many_tools() -> None:
    tools = [{**FUNCTION, "name": f"f{number}"} for number in range(513)]

    with pytest.raises(ApiError, match=r"tools\.512: at most 512"):
        parse_request("hi", tools=tools)
