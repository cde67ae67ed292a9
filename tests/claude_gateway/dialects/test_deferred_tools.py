"""Tools with `defer_loading`: hidden from the model until something in the conversation refers to them."""

from typing import Any

import pytest

from tests.claude_gateway.dialects.adapters import DIALECTS
from tests.claude_gateway.dialects.face import MODEL, Json, Parsed

SCHEMA = {"type": "object", "properties": {"q": {"type": "string"}}}
QUESTION = {"role": "user", "content": "weather?"}
SEARCH = {"type": "tool_use", "id": "t1", "name": "search", "input": {"query": "weather"}}
REFERENCE = {"type": "tool_reference", "tool_name": "weather"}
HOSTED_SEARCH = {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"}


def tool(name: str, **more: Any) -> Json:
    return {"name": name, "description": name, "input_schema": SCHEMA, **more}


TOOLS = [tool("search"), tool("placeholder", defer_loading=True), tool("weather", defer_loading=True)]
SEARCHED = [
    QUESTION,
    {"role": "assistant", "content": [SEARCH]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [REFERENCE]}]},
]


def parsed(name: str, request: Json) -> Parsed:
    (dialect,) = [one for one in DIALECTS if one.name == name]
    return dialect.parse({"model": MODEL, **request})


def offered(name: str, request: Json) -> list[str]:
    return [one.name for one in parsed(name, request).job.tools]


takes_blocks = pytest.mark.parametrize("name", ["anthropic", "openai_chat"])


@takes_blocks
def test_hides_a_tool_that_nothing_refers_to(name: str) -> None:
    read = parsed(name, {"messages": [QUESTION], "tools": TOOLS})

    assert [one.name for one in read.job.tools] == ["search"]
    assert read.warnings == ()


@takes_blocks
def test_offers_a_tool_that_a_search_has_found(name: str) -> None:
    assert offered(name, {"messages": SEARCHED, "tools": TOOLS}) == ["search", "weather"]


@takes_blocks
def test_offers_a_tool_that_was_called(name: str) -> None:
    called = {"role": "assistant", "content": [{**SEARCH, "name": "weather"}]}

    assert offered(name, {"messages": [QUESTION, called], "tools": TOOLS}) == ["search", "weather"]


@takes_blocks
def test_offers_a_tool_that_a_search_of_the_provider_s_has_found(name: str) -> None:
    found = {"type": "tool_search_tool_search_result", "tool_references": [REFERENCE]}
    blocks = [{"type": "tool_search_tool_result", "tool_use_id": "s", "content": found}]
    messages = [QUESTION, {"role": "assistant", "content": blocks}, QUESTION]

    assert offered(name, {"messages": messages, "tools": TOOLS}) == ["search", "weather"]


@takes_blocks
@pytest.mark.parametrize("deferred", [True, False, None])
def test_offers_a_tool_that_must_be_called(name: str, deferred: bool | None) -> None:
    choice = {"type": "tool", "name": "weather"}
    tools = [tool("search"), tool("weather", defer_loading=deferred)]

    assert offered(name, {"messages": [QUESTION], "tools": tools, "tool_choice": choice}) == ["search", "weather"]


@takes_blocks
def test_offers_all_tools_where_the_provider_would_run_the_search(name: str) -> None:
    assert offered(name, {"messages": [QUESTION], "tools": [HOSTED_SEARCH, *TOOLS]}) == [
        "search",
        "placeholder",
        "weather",
    ]


@takes_blocks
def test_offers_nothing_where_all_is_deferred_and_demands_no_call(name: str) -> None:
    read = parsed(name, {"messages": [QUESTION], "tools": TOOLS[1:], "tool_choice": {"type": "any"}})

    assert read.job.tools == ()
    assert read.job.tuning.tool_choice is None
    assert len(read.warnings) == 1


def test_hides_a_deferred_function_of_a_chat() -> None:
    function = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA, "defer_loading": True}}

    assert offered("openai_chat", {"messages": [QUESTION], "tools": [function]}) == []


def function(name: str, **more: Any) -> Json:
    return {"type": "function", "name": name, "parameters": SCHEMA, **more}


CLIENT_SEARCH = {"type": "tool_search", "execution": "client", "parameters": SCHEMA}
FUNCTIONS = [CLIENT_SEARCH, function("weather", defer_loading=True), function("mail", defer_loading=True)]
FOUND = [
    {"type": "tool_search_call", "call_id": "c", "arguments": {"q": "weather"}},
    {"type": "tool_search_output", "call_id": "c", "tools": [function("weather", defer_loading=True)]},
]


@pytest.mark.parametrize(
    ("items", "names"),
    [
        ([], ["tool_search"]),
        (FOUND, ["tool_search", "weather"]),
        (
            [{"type": "function_call", "call_id": "d", "name": "mail", "arguments": "{}"}],
            ["tool_search", "mail"],
        ),
    ],
    ids=["nothing", "found", "called"],
)
def test_offers_functions_of_a_response_that_the_input_refers_to(items: list[Json], names: list[str]) -> None:
    assert offered("openai_responses", {"input": [QUESTION, *items], "tools": FUNCTIONS}) == names


def test_offers_functions_of_a_response_that_the_choice_names() -> None:
    for choice in (
        {"type": "function", "name": "mail"},
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "mail"}]},
    ):
        assert "mail" in offered("openai_responses", {"input": "hi", "tools": FUNCTIONS, "tool_choice": choice})


def test_offers_all_functions_of_a_response_where_the_provider_would_run_the_search() -> None:
    tools = [{"type": "tool_search"}, *FUNCTIONS[1:]]

    assert offered("openai_responses", {"input": "hi", "tools": tools}) == ["weather", "mail"]


def test_hides_deferred_tools_of_a_namespace() -> None:
    namespace = {"type": "namespace", "name": "crm", "tools": [function("list", defer_loading=True), function("get")]}
    call = {"type": "function_call", "call_id": "d", "name": "list", "namespace": "crm", "arguments": "{}"}

    assert offered("openai_responses", {"input": "hi", "tools": [namespace]}) == ["crm__get"]
    assert offered("openai_responses", {"input": [QUESTION, call], "tools": [namespace]}) == ["crm__list", "crm__get"]
