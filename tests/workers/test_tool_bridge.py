"""The caller's tools as an MCP server, and names and ids there and back."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.events import BlockStarted, TextDelta
from workers.job import ChatJob, Image, RemoteResult, Text, Tool, ToolChoice, ToolResult, ToolUse, Tuning, Turn
from workers.tool_bridge import Names, answer, call_answer, inward

API_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def a_job(*names: str, call_id: str = "call_1") -> ChatJob:
    turns = (
        Turn("user", (Text("go"),)),
        Turn("assistant", tuple(ToolUse(f"{call_id}{n}", name, {}) for n, name in enumerate(names))),
        Turn("user", tuple(ToolResult(f"{call_id}{n}", ()) for n, _ in enumerate(names))),
    )
    tools = tuple(Tool(name, "", SCHEMA) for name in names)
    return ChatJob("ann", "m", turns, tuning=Tuning(tool_choice=ToolChoice("tool", names[0])), tools=tools)


@given(st.lists(st.text(min_size=1, max_size=200), min_size=1, max_size=5, unique=True), st.text(min_size=1))
def test_every_name_and_id_is_one_that_the_api_takes_and_comes_back_as_the_caller_s(names: list[str], id_: str) -> None:
    job = a_job(*names, call_id=id_)
    sent = inward(job)
    assert all(API_NAME.fullmatch(tool.name) for tool in sent.tools)
    assert len({tool.name for tool in sent.tools}) == len(names)
    calls, results = sent.turns[1].blocks, sent.turns[2].blocks
    for tool, call, result, name in zip(sent.tools, calls, results, names, strict=True):
        assert isinstance(call, ToolUse)
        assert isinstance(result, ToolResult)
        assert call.name == tool.name
        assert API_NAME.fullmatch(call.id)
        assert result.tool_use_id == call.id
        assert Names(job).outward(BlockStarted(call)) == BlockStarted(ToolUse(call.id, name, {}))
    assert sent.tuning.tool_choice == ToolChoice("tool", sent.tools[0].name)


def test_what_the_api_takes_stays_as_it_is() -> None:
    job = a_job("weather", "mcp__a__b", "Bash")
    assert inward(job) == job


def test_the_one_name_that_the_cli_keeps_for_itself_is_changed() -> None:
    assert inward(a_job("ToolSearch")).tools[0].name != "ToolSearch"


def test_other_events_pass_unchanged() -> None:
    assert Names(a_job("f")).outward(TextDelta("f")) == TextDelta("f")


def test_the_tools_are_listed_with_their_schemas_and_so_that_calls_come_together() -> None:
    reply = answer((Tool("weather", "about it", SCHEMA),), {"method": "tools/list", "id": 4})
    assert reply is not None
    (listed,) = reply["result"]["tools"]
    assert (reply["id"], listed["name"], listed["description"], listed["inputSchema"]) == (
        *(4, "weather", "about it", SCHEMA),
    )
    assert listed["annotations"] == {"readOnlyHint": True}


def test_a_call_stays_open() -> None:
    assert answer((), {"method": "tools/call", "id": 5, "params": {"name": "weather"}}) is None


@pytest.mark.parametrize("method", ["notifications/initialized", "ping", "resources/list"])
def test_whatever_else_is_asked_gets_an_empty_answer(method: str) -> None:
    assert answer((), {"method": method, "id": 6}) == {"jsonrpc": "2.0", "id": 6, "result": {}}


def test_what_was_carried_out_elsewhere_is_answered_to_the_call_it_was_asked_by() -> None:
    call = {"request_id": "r1", "request": {"message": {"id": 7, "method": "tools/call"}}}
    picture = Image({"type": "base64", "media_type": "image/png", "data": "AAAA"})

    frame = call_answer(call, RemoteResult((Text("seen"), picture), is_error=True))

    assert frame["response"]["request_id"] == "r1"
    assert frame["response"]["response"]["mcp_response"] == {
        "jsonrpc": "2.0",
        "id": 7,
        "result": {
            "content": [
                {"type": "text", "text": "seen"},
                {"type": "image", "data": "AAAA", "mimeType": "image/png"},
            ],
            "isError": True,
        },
    }
