"""A choice of some of the tools, in the words of each dialect that has them: Claude is offered those alone."""

from collections.abc import Callable
from typing import Any

import pytest

from claude_gateway.errors import ApiError
from tests.claude_gateway.dialects.adapters import DIALECTS
from tests.claude_gateway.dialects.face import Dialect, Json, Parsed
from workers.job import ToolChoice

CHAT, MESSAGES, RESPONSES, GEMINI = DIALECTS


def nested(mode: str, *names: str) -> Json:
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}}


def flat(mode: str, *names: str) -> Json:
    tools = [{"type": "function", "name": name} for name in names]
    return {"tool_choice": {"type": "allowed_tools", "mode": mode, "tools": tools}}


def of_google(mode: str, *names: str) -> Json:
    word = {"auto": "AUTO", "required": "ANY"}[mode]
    return {"toolConfig": {"functionCallingConfig": {"mode": word, "allowedFunctionNames": list(names)}}}


def functions(dialect: Dialect, *names: str) -> Json:
    if dialect is GEMINI:
        return {"tools": [{"functionDeclarations": [{"name": name} for name in names]}]}
    return {"tools": [{"type": "function", "function": {"name": name}, "name": name} for name in names]}


FORMS = [(CHAT, nested), (CHAT, flat), (RESPONSES, flat), (RESPONSES, nested), (GEMINI, of_google)]
every_form = pytest.mark.parametrize(
    ("dialect", "form"), FORMS, ids=lambda one: getattr(one, "name", None) or one.__name__
)

every_list = pytest.mark.parametrize(
    ("dialect", "form"), FORMS[:-1], ids=lambda one: getattr(one, "name", None) or one.__name__
)


def parsed(dialect: Dialect, *more: Json) -> Parsed:
    request = dialect.request()
    for one in more:
        request |= one
    return dialect.parse(request)


@every_form
@pytest.mark.parametrize(("mode", "choice"), [("auto", None), ("required", ToolChoice("any"))])
def test_offers_only_the_allowed_tools_and_demands_a_call_where_the_mode_does(
    dialect: Dialect, form: Callable[..., Json], mode: str, choice: ToolChoice | None
) -> None:
    request = parsed(dialect, functions(dialect, "f", "g", "h"), form(mode, "h", "f"))

    assert [tool.name for tool in request.job.tools] == ["f", "h"]
    assert request.job.tuning.tool_choice == choice
    assert request.warnings == ()


@every_form
def test_refuses_a_tool_that_is_none_by_its_name(dialect: Dialect, form: Callable[..., Json]) -> None:
    with pytest.raises(ApiError, match="'x'") as raised:
        parsed(dialect, functions(dialect, "f"), form("auto", "f", "x"))

    assert raised.value.status == 400


@every_list
def test_an_empty_list_offers_no_tool(dialect: Dialect, form: Callable[..., Json]) -> None:
    request = parsed(dialect, functions(dialect, "f"), form("auto"))

    assert (request.job.tools, request.job.tuning.tool_choice) == ((), None)


@every_list
def test_a_call_that_is_demanded_of_no_tool_is_warned_of(dialect: Dialect, form: Callable[..., Json]) -> None:
    assert parsed(dialect, functions(dialect, "f"), form("required")).warnings == (
        "tool_choice: there is no tool to call",
    )


def test_one_call_at_a_time_holds_among_allowed_tools_too() -> None:
    request = parsed(CHAT, functions(CHAT, "f", "g"), nested("auto", "f"), {"parallel_tool_calls": False})

    assert request.job.tuning.tool_choice == ToolChoice("auto", parallel=False)


@pytest.mark.parametrize(
    "named", [{"type": "custom", "custom": {"name": "patch"}}, {"type": "custom", "name": "patch"}]
)
@pytest.mark.parametrize("dialect", [CHAT, RESPONSES], ids=lambda dialect: dialect.name)
def test_custom_tools_are_allowed_as_functions_are(dialect: Dialect, named: Json) -> None:
    custom = {"type": "custom", "name": "patch", "custom": {"name": "patch"}}
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "custom", **named}]}

    request = parsed(dialect, {"tools": [*functions(dialect, "f")["tools"], custom], "tool_choice": choice})

    assert [tool.name for tool in request.job.tools] == ["patch"]
    assert request.job.tuning.tool_choice == ToolChoice("any")


@pytest.mark.parametrize(
    ("allowed", "hosted"),
    [([], []), ([{"type": "web_search"}], ["web_search"]), ([{"type": "function", "name": "f"}], [])],
    ids=str,
)
@pytest.mark.parametrize("dialect", [CHAT, RESPONSES], ids=lambda dialect: dialect.name)
def test_a_tool_of_the_provider_s_is_used_only_where_it_is_allowed(
    dialect: Dialect, allowed: list[Json], hosted: list[str]
) -> None:
    tools = [*functions(dialect, "f")["tools"], {"type": "web_search"}]

    request = parsed(dialect, {"tools": tools, "tool_choice": {"type": "allowed_tools", "tools": allowed}})

    assert [one.name for one in request.hosted] == hosted
    assert request.warnings == ()


@pytest.mark.parametrize(
    "allowed",
    [{}, {"tools": None}, {"tools": "f"}, {"tools": ["f"]}, {"mode": "perhaps", "tools": []}, {"mode": 5, "tools": []}],
    ids=str,
)
@pytest.mark.parametrize("dialect", [CHAT, RESPONSES], ids=lambda dialect: dialect.name)
def test_refuses_what_is_no_list_of_tools(dialect: Dialect, allowed: Any) -> None:
    for choice in ({"type": "allowed_tools", **allowed}, {"type": "allowed_tools", "allowed_tools": allowed}):
        with pytest.raises(ApiError, match=r"tool_choice\.") as raised:
            parsed(dialect, functions(dialect, "f"), {"tool_choice": choice})

        assert raised.value.status == 400


def test_google_s_mode_that_calls_nothing_leaves_the_functions_as_they_are() -> None:
    config = {"functionCallingConfig": {"mode": "NONE", "allowedFunctionNames": ["f"]}}

    request = parsed(GEMINI, functions(GEMINI, "f", "g"), {"toolConfig": config})

    assert [tool.name for tool in request.job.tools] == ["f", "g"]
    assert request.job.tuning.tool_choice == ToolChoice("none")
