"""Tool choices that allow some of the tools, in each dialect that has them: the model only gets these tools."""

from collections.abc import Callable
from typing import Any

import pytest

from claude_gateway.core.errors import ApiError
from tests.claude_gateway.dialects.adapters.all_dialects import DIALECTS
from tests.claude_gateway.dialects.adapters.dialect_adapter import DialectAdapter, Json, ParsedRequest
from workers.core.job import ToolChoice

CHAT, MESSAGES, RESPONSES, GEMINI = DIALECTS


def nested_choice(mode: str, *names: str) -> Json:
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}}


def flat_choice(mode: str, *names: str) -> Json:
    tools = [{"type": "function", "name": name} for name in names]
    return {"tool_choice": {"type": "allowed_tools", "mode": mode, "tools": tools}}


def gemini_choice(mode: str, *names: str) -> Json:
    gemini_mode = {"auto": "AUTO", "required": "ANY"}[mode]
    return {"toolConfig": {"functionCallingConfig": {"mode": gemini_mode, "allowedFunctionNames": list(names)}}}


def function_tools(dialect: DialectAdapter, *names: str) -> Json:
    if dialect is GEMINI:
        return {"tools": [{"functionDeclarations": [{"name": name} for name in names]}]}
    return {"tools": [{"type": "function", "function": {"name": name}, "name": name} for name in names]}


FORMS = [
    (CHAT, nested_choice),
    (CHAT, flat_choice),
    (RESPONSES, flat_choice),
    (RESPONSES, nested_choice),
    (GEMINI, gemini_choice),
]
every_form = pytest.mark.parametrize(
    ("dialect", "form"), FORMS, ids=lambda param: getattr(param, "name", None) or param.__name__
)

every_openai_form = pytest.mark.parametrize(
    ("dialect", "form"), FORMS[:-1], ids=lambda param: getattr(param, "name", None) or param.__name__
)


def parse_request(dialect: DialectAdapter, *parts: Json) -> ParsedRequest:
    request = dialect.minimal_request()
    for part in parts:
        request |= part
    return dialect.parse(request)


@every_form
@pytest.mark.parametrize(("mode", "choice"), [("auto", None), ("required", ToolChoice("any"))])
def test_passes_only_allowed_tools_and_requires_a_call_if_the_mode_does(
    dialect: DialectAdapter, form: Callable[..., Json], mode: str, choice: ToolChoice | None
) -> None:
    request = parse_request(dialect, function_tools(dialect, "f", "g", "h"), form(mode, "h", "f"))

    assert [tool.name for tool in request.job.tools] == ["f", "h"]
    assert request.job.params.tool_choice == choice
    assert request.warnings == ()


@every_form
def test_rejects_unknown_allowed_tool_with_an_error_that_names_it(
    dialect: DialectAdapter, form: Callable[..., Json]
) -> None:
    with pytest.raises(ApiError, match="'x'") as raised:
        parse_request(dialect, function_tools(dialect, "f"), form("auto", "f", "x"))

    assert raised.value.status == 400


@every_openai_form
def test_passes_no_tool_for_empty_list(dialect: DialectAdapter, form: Callable[..., Json]) -> None:
    request = parse_request(dialect, function_tools(dialect, "f"), form("auto"))

    assert (request.job.tools, request.job.params.tool_choice) == ((), None)


@every_openai_form
def test_warns_about_required_call_without_tools(dialect: DialectAdapter, form: Callable[..., Json]) -> None:
    assert parse_request(dialect, function_tools(dialect, "f"), form("required")).warnings == (
        "tool_choice: ignored (there is no tool to call)",
    )


def test_disables_parallel_calls_among_allowed_tools() -> None:
    request = parse_request(
        CHAT, function_tools(CHAT, "f", "g"), nested_choice("auto", "f"), {"parallel_tool_calls": False}
    )

    assert request.job.params.tool_choice == ToolChoice("auto", parallel=False)


@pytest.mark.parametrize(
    "allowed_tool", [{"type": "custom", "custom": {"name": "patch"}}, {"type": "custom", "name": "patch"}]
)
@pytest.mark.parametrize("dialect", [CHAT, RESPONSES], ids=lambda dialect: dialect.name)
def test_allows_custom_tools_like_functions(dialect: DialectAdapter, allowed_tool: Json) -> None:
    custom = {"type": "custom", "name": "patch", "custom": {"name": "patch"}}
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "custom", **allowed_tool}]}

    request = parse_request(dialect, {"tools": [*function_tools(dialect, "f")["tools"], custom], "tool_choice": choice})

    assert [tool.name for tool in request.job.tools] == ["patch"]
    assert request.job.params.tool_choice == ToolChoice("any")


@pytest.mark.parametrize(
    ("allowed", "hosted"),
    [([], []), ([{"type": "web_search"}], ["web_search"]), ([{"type": "function", "name": "f"}], [])],
    ids=str,
)
@pytest.mark.parametrize("dialect", [CHAT, RESPONSES], ids=lambda dialect: dialect.name)
def test_hosted_tool_is_used_only_if_allowed(dialect: DialectAdapter, allowed: list[Json], hosted: list[str]) -> None:
    tools = [*function_tools(dialect, "f")["tools"], {"type": "web_search"}]

    request = parse_request(dialect, {"tools": tools, "tool_choice": {"type": "allowed_tools", "tools": allowed}})

    assert [tool.name for tool in request.hosted_tools] == hosted
    assert request.warnings == ()


@pytest.mark.parametrize(
    "allowed",
    [{}, {"tools": None}, {"tools": "f"}, {"tools": ["f"]}, {"mode": "perhaps", "tools": []}, {"mode": 5, "tools": []}],
    ids=str,
)
@pytest.mark.parametrize("dialect", [CHAT, RESPONSES], ids=lambda dialect: dialect.name)
def test_rejects_invalid_list_of_allowed_tools(dialect: DialectAdapter, allowed: Any) -> None:
    for choice in ({"type": "allowed_tools", **allowed}, {"type": "allowed_tools", "allowed_tools": allowed}):
        with pytest.raises(ApiError, match=r"tool_choice\.") as raised:
            parse_request(dialect, function_tools(dialect, "f"), {"tool_choice": choice})

        assert raised.value.status == 400


def test_gemini_mode_none_keeps_the_function_declarations() -> None:
    config = {"functionCallingConfig": {"mode": "NONE", "allowedFunctionNames": ["f"]}}

    request = parse_request(GEMINI, function_tools(GEMINI, "f", "g"), {"toolConfig": config})

    assert [tool.name for tool in request.job.tools] == ["f", "g"]
    assert request.job.params.tool_choice == ToolChoice("none")
