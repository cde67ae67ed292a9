"""Names of tools, properties and calls: what the API takes, and back to what the client wrote."""

import re
from collections.abc import Iterable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.aliases import Outward, aliases, as_called, inward, offered
from workers.events import BlockEnded, BlockStarted, Event, InputDelta, TextDelta
from workers.job import ChatJob, Text, Tool, ToolChoice, ToolResult, ToolUse, Tuning, Turn

API_TOOL = re.compile(r"[a-zA-Z0-9_-]{1,128}")
API_PROPERTY = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def a_job(*names: str, call_id: str = "call_1", schema: dict[str, Any] = SCHEMA, arguments: Any = None) -> ChatJob:
    turns = (
        Turn("user", (Text("go"),)),
        Turn("assistant", tuple(ToolUse(f"{call_id}{n}", name, arguments or {}) for n, name in enumerate(names))),
        Turn("user", tuple(ToolResult(f"{call_id}{n}", ()) for n, _ in enumerate(names))),
    )
    tools = tuple(Tool(name, "", schema) for name in names)
    return ChatJob("ann", "m", turns, tuning=Tuning(tool_choice=ToolChoice("tool", names[0])), tools=tools)


def of_properties(*keys: str) -> dict[str, Any]:
    return {"type": "object", "properties": {key: {"type": "string"} for key in keys}}


def comes_back(job: ChatJob, events: Iterable[Event]) -> list[Event]:
    outward = Outward(job)
    return [named for event in events for named in outward.feed(event)]


@given(st.lists(st.text(min_size=1, max_size=200), min_size=1, max_size=5, unique=True), st.text(min_size=1))
def test_each_tool_and_call_gets_a_name_that_the_api_takes_and_comes_back_under_its_own(
    names: list[str], id_: str
) -> None:
    job = a_job(*names, call_id=id_)
    sent = inward(job)
    assert all(API_TOOL.fullmatch(tool.name) for tool in sent.tools)
    assert len({tool.name for tool in sent.tools}) == len(names)
    calls, results = sent.turns[1].blocks, sent.turns[2].blocks
    for tool, call, result, name in zip(sent.tools, calls, results, names, strict=True):
        assert isinstance(call, ToolUse)
        assert isinstance(result, ToolResult)
        assert call.name == tool.name
        assert API_TOOL.fullmatch(call.id)
        assert result.tool_use_id == call.id
        assert comes_back(job, [BlockStarted(call)]) == [BlockStarted(ToolUse(call.id, name, {}))]
    assert sent.tuning.tool_choice == ToolChoice("tool", sent.tools[0].name)


@given(st.lists(st.text(max_size=80), min_size=1, max_size=6, unique=True), st.integers(1, 9))
def test_each_property_gets_a_name_that_the_api_takes_and_comes_back_under_its_own(keys: list[str], size: int) -> None:
    job = a_job("f", schema=of_properties(*keys), arguments={key: key for key in keys})
    [tool] = inward(job).tools
    assert all(map(API_PROPERTY.fullmatch, tool.schema["properties"]))
    assert len(tool.schema["properties"]) == len(keys)
    [call] = inward(job).turns[1].blocks
    assert isinstance(call, ToolUse)
    assert list(call.input) == list(tool.schema["properties"])
    written = orjson.dumps(call.input).decode()
    pieces = [InputDelta(written[at : at + size]) for at in range(0, len(written), size)]
    events = comes_back(job, [BlockStarted(call), *pieces, BlockEnded()])
    said = "".join(event.text for event in events if isinstance(event, InputDelta))
    assert orjson.loads(said) == {key: key for key in keys}


@pytest.mark.parametrize(
    ("name", "alias"),
    [
        ("github.create_issue", "github_create_issue"),
        ("fs/read", "fs_read"),
        ("a:b", "a_b"),
        ("Account Number", "Account_Number"),
        ("\uff47\uff45\uff54", "get"),
    ],
)
def test_an_alias_keeps_what_can_be_read_of_the_name(name: str, alias: str) -> None:
    assert inward(a_job(name)).tools[0].name == alias
    [tool] = inward(a_job("f", schema=of_properties(name + "!"))).tools
    assert list(tool.schema["properties"]) == [alias]


def test_two_names_with_one_alias_are_told_apart_whatever_their_order() -> None:
    both = inward(a_job("a.b", "a_b", "a/b")).tools
    assert [tool.name[:3] for tool in both] == ["a_b"] * 3
    assert len({tool.name for tool in both}) == 3
    assert both[1].name == "a_b"
    assert {tool.name for tool in inward(a_job("a/b", "a.b", "a_b")).tools} == {tool.name for tool in both}


def test_what_the_api_takes_stays_as_it_is() -> None:
    job = a_job("weather", "mcp__a__b", "Bash")
    assert inward(job) is job


def test_a_tool_of_the_history_that_is_no_longer_offered_keeps_its_alias() -> None:
    job = ChatJob("ann", "m", a_job("fs/read").turns)
    [call] = inward(job).turns[1].blocks
    assert isinstance(call, ToolUse)
    assert call.name == "fs_read"


def test_the_model_reads_the_client_s_own_name_as_the_title_of_a_property() -> None:
    [tool] = inward(a_job("f", schema=of_properties("\u0433\u043e\u0440\u043e\u0434"))).tools
    [(alias, described)] = tool.schema["properties"].items()
    assert alias.startswith("property_")
    assert described == {"title": "\u0433\u043e\u0440\u043e\u0434", "type": "string"}


def test_a_tool_of_whose_name_the_api_takes_nothing_is_described_by_it_where_it_is_not_described() -> None:
    job = a_job("\u540d\u524d", "fs/read")
    assert [tool.description for tool in inward(job).tools] == ["\u540d\u524d", ""]


def test_the_constraint_of_a_union_stands_behind_the_description_in_the_names_of_the_api() -> None:
    schema = {
        "type": "object",
        "properties": {"a b": {}, "c": {}},
        "anyOf": [{"required": ["a b"]}, {"required": ["c"]}],
    }
    [sent] = offered([Tool("f", "Turns it on.", schema)])
    assert sent.description.startswith("Turns it on.\n\n")
    assert '[{"required":["a_b"]},{"required":["c"]}]' in sent.description
    assert sent.schema == {"type": "object", "properties": {"a_b": {}, "c": {}}}


def test_a_schema_speaks_of_a_renamed_property_by_its_alias_everywhere() -> None:
    schema = {
        "type": "object",
        "properties": {"a b": {"type": "string"}, "c": {"$ref": "#/properties/a b"}, "d": {"required": ["a b"]}},
        "required": ["a b", "c"],
        "dependentRequired": {"a b": ["c"], "c": ["a b"]},
        "if": {"required": ["a b"]},
        "$defs": {"x": {"properties": {"a b": {}}}},
    }
    [tool] = inward(a_job("f", schema=schema)).tools
    assert tool.schema == {
        "type": "object",
        "properties": {
            "a_b": {"type": "string"},
            "c": {"$ref": "#/properties/a_b"},
            "d": {"required": ["a b"]},
        },
        "required": ["a_b", "c"],
        "dependentRequired": {"a_b": ["c"], "c": ["a_b"]},
        "if": {"required": ["a_b"]},
        "$defs": {"x": {"properties": {"a b": {}}}},
    }


def test_keys_deeper_in_a_call_and_texts_that_look_like_keys_are_left_alone() -> None:
    job = a_job("f", schema=of_properties("a b"))
    written = '{"a_b": {"a_b": 1}, "x": "a_b", "a\\u005fb" : 12345678901234567890}'
    events = comes_back(job, [BlockStarted(ToolUse("1", "f", {})), *map(InputDelta, written), BlockEnded()])
    said = "".join(event.text for event in events if isinstance(event, InputDelta))
    assert said == '{"a b": {"a_b": 1}, "x": "a_b", "a b" : 12345678901234567890}'


def test_a_call_that_breaks_off_in_a_key_loses_nothing() -> None:
    job = a_job("f", schema=of_properties("a b"))
    events = comes_back(job, [BlockStarted(ToolUse("1", "f", {})), InputDelta('{"a_'), BlockEnded()])
    assert "".join(event.text for event in events if isinstance(event, InputDelta)) == '{"a_'


def test_a_call_that_is_carried_out_elsewhere_comes_with_the_names_of_the_tool_itself() -> None:
    tools = (Tool("fs/read", "", of_properties("a b", "c")),)
    [sent] = offered(tools)
    assert (sent.name, list(sent.schema["properties"])) == ("fs_read", ["a_b", "c"])
    assert as_called(tools, "fs_read", {"a_b": 1, "c": 2}) == ("fs/read", {"a b": 1, "c": 2})
    assert as_called(tools, "other", {"a_b": 1}) == ("other", {"a_b": 1})


def test_other_events_pass_unchanged() -> None:
    assert comes_back(a_job("f"), [TextDelta("f"), BlockEnded()]) == [TextDelta("f"), BlockEnded()]


def test_the_names_of_one_set_of_tools_do_not_depend_on_the_history() -> None:
    job = a_job("a.b", "c d")
    assert aliases(job.tools) == aliases(reversed(job.tools))
