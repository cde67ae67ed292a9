"""Tools with `defer_loading`: the model does not see them until something in the conversation refers to them."""

from typing import Any

import pytest

from tests.claude_gateway.dialects.adapters.all_dialects import get_dialect
from tests.claude_gateway.dialects.adapters.dialect_adapter import MODEL, Json, ParsedRequest

SCHEMA = {"type": "object", "properties": {"q": {"type": "string"}}}
QUESTION = {"role": "user", "content": "weather?"}
SEARCH = {"type": "tool_use", "id": "t1", "name": "search", "input": {"query": "weather"}}
REFERENCE = {"type": "tool_reference", "tool_name": "weather"}
HOSTED_SEARCH = {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"}


def create_tool(name: str, **fields: Any) -> Json:
    return {"name": name, "description": name, "input_schema": SCHEMA, **fields}


TOOLS = [
    create_tool("search"),
    create_tool("placeholder", defer_loading=True),
    create_tool("weather", defer_loading=True),
]
SEARCH_RESULT = [
    QUESTION,
    {"role": "assistant", "content": [SEARCH]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [REFERENCE]}]},
]


def parse_request(name: str, request: Json) -> ParsedRequest:
    return get_dialect(name).parse({"model": MODEL, **request})


def get_tool_names(name: str, request: Json) -> list[str]:
    return [tool.name for tool in parse_request(name, request).job.tools]


every_dialect_with_blocks = pytest.mark.parametrize("name", ["anthropic", "openai_chat"])


@every_dialect_with_blocks
def test_hides_deferred_tool_without_a_reference(name: str) -> None:
    parsed = parse_request(name, {"messages": [QUESTION], "tools": TOOLS})

    assert [tool.name for tool in parsed.job.tools] == ["search"]
    assert parsed.warnings == ()


@every_dialect_with_blocks
def test_offers_tool_found_by_a_client_search(name: str) -> None:
    assert get_tool_names(name, {"messages": SEARCH_RESULT, "tools": TOOLS}) == ["search", "weather"]


@every_dialect_with_blocks
def test_offers_tool_that_was_called(name: str) -> None:
    called = {"role": "assistant", "content": [{**SEARCH, "name": "weather"}]}

    assert get_tool_names(name, {"messages": [QUESTION, called], "tools": TOOLS}) == ["search", "weather"]


@every_dialect_with_blocks
def test_offers_tool_found_by_a_hosted_search(name: str) -> None:
    search_result = {"type": "tool_search_tool_search_result", "tool_references": [REFERENCE]}
    blocks = [{"type": "tool_search_tool_result", "tool_use_id": "s", "content": search_result}]
    messages = [QUESTION, {"role": "assistant", "content": blocks}, QUESTION]

    assert get_tool_names(name, {"messages": messages, "tools": TOOLS}) == ["search", "weather"]


@every_dialect_with_blocks
@pytest.mark.parametrize("deferred", [True, False, None])
def test_offers_tool_that_must_be_called(name: str, deferred: bool | None) -> None:
    choice = {"type": "tool", "name": "weather"}
    tools = [create_tool("search"), create_tool("weather", defer_loading=deferred)]

    assert get_tool_names(name, {"messages": [QUESTION], "tools": tools, "tool_choice": choice}) == [
        "search",
        "weather",
    ]


@every_dialect_with_blocks
def test_offers_all_tools_if_the_search_is_hosted(name: str) -> None:
    assert get_tool_names(name, {"messages": [QUESTION], "tools": [HOSTED_SEARCH, *TOOLS]}) == [
        "search",
        "placeholder",
        "weather",
    ]


@every_dialect_with_blocks
def test_offers_no_tool_and_requires_no_call_if_all_are_deferred(name: str) -> None:
    parsed = parse_request(name, {"messages": [QUESTION], "tools": TOOLS[1:], "tool_choice": {"type": "any"}})

    assert parsed.job.tools == ()
    assert parsed.job.params.tool_choice is None
    assert len(parsed.warnings) == 1


def test_hides_deferred_function_of_a_chat() -> None:
    deferred_function = {
        "type": "function",
        "function": {"name": "weather", "parameters": SCHEMA, "defer_loading": True},
    }

    assert get_tool_names("openai_chat", {"messages": [QUESTION], "tools": [deferred_function]}) == []


def create_function(name: str, **fields: Any) -> Json:
    return {"type": "function", "name": name, "parameters": SCHEMA, **fields}


CLIENT_SEARCH = {"type": "tool_search", "execution": "client", "parameters": SCHEMA}
FUNCTIONS = [
    CLIENT_SEARCH,
    create_function("weather", defer_loading=True),
    create_function("mail", defer_loading=True),
]
CLIENT_SEARCH_RESULT = [
    {"type": "tool_search_call", "call_id": "c", "arguments": {"q": "weather"}},
    {"type": "tool_search_output", "call_id": "c", "tools": [create_function("weather", defer_loading=True)]},
]


@pytest.mark.parametrize(
    ("items", "names"),
    [
        ([], ["tool_search"]),
        (CLIENT_SEARCH_RESULT, ["tool_search", "weather"]),
        (
            [{"type": "function_call", "call_id": "d", "name": "mail", "arguments": "{}"}],
            ["tool_search", "mail"],
        ),
    ],
    ids=["nothing", "found", "called"],
)
def test_offers_response_functions_that_the_input_references(items: list[Json], names: list[str]) -> None:
    assert get_tool_names("openai_responses", {"input": [QUESTION, *items], "tools": FUNCTIONS}) == names


def test_offers_response_functions_that_the_choice_names() -> None:
    for choice in (
        {"type": "function", "name": "mail"},
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "mail"}]},
    ):
        assert "mail" in get_tool_names("openai_responses", {"input": "hi", "tools": FUNCTIONS, "tool_choice": choice})


def test_offers_all_response_functions_if_the_search_is_hosted() -> None:
    tools = [{"type": "tool_search"}, *FUNCTIONS[1:]]

    assert get_tool_names("openai_responses", {"input": "hi", "tools": tools}) == ["weather", "mail"]


def test_hides_deferred_tools_of_a_namespace() -> None:
    namespace = {
        "type": "namespace",
        "name": "crm",
        "tools": [create_function("list", defer_loading=True), create_function("get")],
    }
    call = {"type": "function_call", "call_id": "d", "name": "list", "namespace": "crm", "arguments": "{}"}

    assert get_tool_names("openai_responses", {"input": "hi", "tools": [namespace]}) == ["crm__get"]
    assert get_tool_names("openai_responses", {"input": [QUESTION, call], "tools": [namespace]}) == [
        "crm__list",
        "crm__get",
    ]
