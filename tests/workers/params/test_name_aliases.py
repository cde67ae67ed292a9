"""Aliases of tools, properties and calls for the API, and the way back to the client's names."""

import re
from collections.abc import Iterable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.core.events import BlockEnded, BlockStarted, Event, TextDelta, ToolInputDelta
from workers.core.job import ChatJob, GenerationParams, Text, ToolChoice, ToolDefinition, ToolResult, ToolUse, Turn
from workers.params.name_aliases import NameRestorer, build_aliases, restore_call, sanitize_names, sanitize_tools

API_TOOL = re.compile(r"[a-zA-Z0-9_-]{1,128}")
API_PROPERTY = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def call_job(*names: str, call_id: str = "call_1", schema: dict[str, Any] = SCHEMA, arguments: Any = None) -> ChatJob:
    turns = (
        Turn("user", (Text("go"),)),
        Turn("assistant", tuple(ToolUse(f"{call_id}{n}", name, arguments or {}) for n, name in enumerate(names))),
        Turn("user", tuple(ToolResult(f"{call_id}{n}", ()) for n, _ in enumerate(names))),
    )
    tools = tuple(ToolDefinition(name, "", schema) for name in names)
    return ChatJob("ann", "m", turns, params=GenerationParams(tool_choice=ToolChoice("tool", names[0])), tools=tools)


def sanitize(job: ChatJob) -> ChatJob:
    return sanitize_names(job, build_aliases(job.tools))


def object_schema(*keys: str) -> dict[str, Any]:
    return {"type": "object", "properties": {key: {"type": "string"} for key in keys}}


def restore_events(job: ChatJob, events: Iterable[Event]) -> list[Event]:
    restorer = NameRestorer(build_aliases(job.tools))
    return [restored for event in events for restored in restorer.feed(event)]


@given(st.lists(st.text(min_size=1, max_size=200), min_size=1, max_size=5, unique=True), st.text(min_size=1))
def test_gives_tools_and_calls_valid_names_and_restores_the_names_of_the_client(names: list[str], id_: str) -> None:
    job = call_job(*names, call_id=id_)
    sanitized = sanitize(job)
    assert all(API_TOOL.fullmatch(tool.name) for tool in sanitized.tools)
    assert len({tool.name for tool in sanitized.tools}) == len(names)
    calls, results = sanitized.turns[1].blocks, sanitized.turns[2].blocks
    for tool, call, result, name in zip(sanitized.tools, calls, results, names, strict=True):
        assert isinstance(call, ToolUse)
        assert isinstance(result, ToolResult)
        assert call.name == tool.name
        assert API_TOOL.fullmatch(call.id)
        assert result.tool_use_id == call.id
        assert restore_events(job, [BlockStarted(call)]) == [BlockStarted(ToolUse(call.id, name, {}))]
    assert sanitized.params.tool_choice == ToolChoice("tool", sanitized.tools[0].name)


@given(st.lists(st.text(max_size=80), min_size=1, max_size=6, unique=True), st.integers(1, 9))
def test_gives_properties_valid_names_and_restores_the_names_of_the_client(keys: list[str], size: int) -> None:
    job = call_job("f", schema=object_schema(*keys), arguments={key: key for key in keys})
    [tool] = sanitize(job).tools
    assert all(map(API_PROPERTY.fullmatch, tool.schema["properties"]))
    assert len(tool.schema["properties"]) == len(keys)
    [call] = sanitize(job).turns[1].blocks
    assert isinstance(call, ToolUse)
    assert list(call.input) == list(tool.schema["properties"])
    arguments = orjson.dumps(call.input).decode()
    chunks = [ToolInputDelta(arguments[start : start + size]) for start in range(0, len(arguments), size)]
    events = restore_events(job, [BlockStarted(call), *chunks, BlockEnded()])
    restored = "".join(event.text for event in events if isinstance(event, ToolInputDelta))
    assert orjson.loads(restored) == {key: key for key in keys}


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
def test_keeps_the_readable_part_of_a_name_in_its_alias(name: str, alias: str) -> None:
    assert sanitize(call_job(name)).tools[0].name == alias
    [tool] = sanitize(call_job("f", schema=object_schema(name + "!"))).tools
    assert list(tool.schema["properties"]) == [alias]


def test_gives_different_aliases_to_names_with_the_same_readable_part() -> None:
    tools = sanitize(call_job("a.b", "a_b", "a/b")).tools
    assert [tool.name[:3] for tool in tools] == ["a_b"] * 3
    assert len({tool.name for tool in tools}) == 3
    assert tools[1].name == "a_b"
    assert {tool.name for tool in sanitize(call_job("a/b", "a.b", "a_b")).tools} == {tool.name for tool in tools}


def test_returns_a_job_with_valid_names_unchanged() -> None:
    job = call_job("weather", "mcp__a__b", "Bash")
    assert sanitize(job) is job


def test_keeps_the_alias_of_a_tool_that_only_the_history_calls() -> None:
    job = ChatJob("ann", "m", call_job("fs/read").turns)
    [call] = sanitize(job).turns[1].blocks
    assert isinstance(call, ToolUse)
    assert call.name == "fs_read"


def test_adds_the_name_of_the_client_as_title_of_a_property() -> None:
    [tool] = sanitize(call_job("f", schema=object_schema("\u0433\u043e\u0440\u043e\u0434"))).tools
    [(alias, subschema)] = tool.schema["properties"].items()
    assert alias.startswith("property_")
    assert subschema == {"title": "\u0433\u043e\u0440\u043e\u0434", "type": "string"}


def test_describes_a_tool_without_readable_alias_by_its_name() -> None:
    job = call_job("\u540d\u524d", "fs/read")
    assert [tool.description for tool in sanitize(job).tools] == ["\u540d\u524d", ""]


def test_adds_the_constraint_of_a_union_to_the_description_with_aliases() -> None:
    schema = {
        "type": "object",
        "properties": {"a b": {}, "c": {}},
        "anyOf": [{"required": ["a b"]}, {"required": ["c"]}],
    }
    tools = [ToolDefinition("f", "Turns it on.", schema)]
    [sanitized] = sanitize_tools(tools, build_aliases(tools))
    assert sanitized.description.startswith("Turns it on.\n\n")
    assert '[{"required":["a_b"]},{"required":["c"]}]' in sanitized.description
    assert sanitized.schema == {"type": "object", "properties": {"a_b": {}, "c": {}}}


def test_uses_the_alias_of_a_property_everywhere_in_its_schema() -> None:
    schema = {
        "type": "object",
        "properties": {"a b": {"type": "string"}, "c": {"$ref": "#/properties/a b"}, "d": {"required": ["a b"]}},
        "required": ["a b", "c"],
        "dependentRequired": {"a b": ["c"], "c": ["a b"]},
        "if": {"required": ["a b"]},
        "$defs": {"x": {"properties": {"a b": {}}}},
    }
    [tool] = sanitize(call_job("f", schema=schema)).tools
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


def test_keeps_nested_keys_and_texts_that_look_like_keys() -> None:
    job = call_job("f", schema=object_schema("a b"))
    arguments = '{"a_b": {"a_b": 1}, "x": "a_b", "a\\u005fb" : 12345678901234567890}'
    events = restore_events(job, [BlockStarted(ToolUse("1", "f", {})), *map(ToolInputDelta, arguments), BlockEnded()])
    restored = "".join(event.text for event in events if isinstance(event, ToolInputDelta))
    assert restored == '{"a b": {"a_b": 1}, "x": "a_b", "a b" : 12345678901234567890}'


def test_keeps_the_text_of_a_call_that_ends_within_a_key() -> None:
    job = call_job("f", schema=object_schema("a b"))
    events = restore_events(job, [BlockStarted(ToolUse("1", "f", {})), ToolInputDelta('{"a_'), BlockEnded()])
    assert "".join(event.text for event in events if isinstance(event, ToolInputDelta)) == '{"a_'


def test_restores_the_names_of_a_remote_tool_in_its_call() -> None:
    tools = (ToolDefinition("fs/read", "", object_schema("a b", "c")),)
    [sanitized] = sanitize_tools(tools, build_aliases(tools))
    assert (sanitized.name, list(sanitized.schema["properties"])) == ("fs_read", ["a_b", "c"])
    assert restore_call(build_aliases(tools), "fs_read", {"a_b": 1, "c": 2}) == ("fs/read", {"a b": 1, "c": 2})
    assert restore_call(build_aliases(tools), "other", {"a_b": 1}) == ("other", {"a_b": 1})


def test_returns_other_events_unchanged() -> None:
    assert restore_events(call_job("f"), [TextDelta("f"), BlockEnded()]) == [TextDelta("f"), BlockEnded()]


def test_builds_aliases_independently_of_the_order_of_tools() -> None:
    job = call_job("a.b", "c d")
    assert build_aliases(job.tools) == build_aliases(reversed(job.tools))
