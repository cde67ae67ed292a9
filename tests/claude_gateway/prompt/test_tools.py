"""What is said of callers' tools that is not done."""

from typing import Any

import pytest

from claude_gateway.prompt.tools import read_choice, read_tools, with_possible_strictness
from workers.job import Tool, ToolChoice

CLOSED = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


def strict(name: str, schema: dict[str, Any] = CLOSED) -> Tool:
    return Tool(name, "", schema, strict=True)


def test_a_tool_is_strict_where_the_client_says_so_in_any_shape() -> None:
    shapes = [
        {"type": "function", "function": {"name": "nested", "strict": True}},
        {"type": "function", "name": "flat", "strict": True},
        {"name": "anthropic", "input_schema": {"type": "object"}, "strict": True},
        {"type": "function", "function": {"name": "loose", "strict": False}},
    ]
    assert [tool.strict for tool in read_tools(shapes, [], [])] == [True, True, True, False]


def test_a_schema_that_the_api_can_hold_calls_to_stays_strict_without_a_word() -> None:
    notes: list[str] = []
    tools = (strict("f"), Tool("g", "", CLOSED))
    assert with_possible_strictness(tools, "claude-sonnet-4-5", notes) == tools
    assert notes == []


@pytest.mark.parametrize(
    ("tools", "model"),
    [
        ((strict("f", {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}),), "claude-opus-4-7"),
        ((strict("f"),), "claude-3-5-haiku-20241022"),
        (tuple(strict(f"f{number}") for number in range(21)), "claude-opus-4-7"),
    ],
    ids=["schema", "model", "many"],
)
def test_where_the_api_cannot_hold_calls_to_the_schema_the_tools_are_named_and_not_strict(
    tools: tuple[Tool, ...], model: str
) -> None:
    notes: list[str] = []
    assert not any(tool.strict for tool in with_possible_strictness(tools, model, notes))
    assert len(notes) == 1
    assert "`strict`" in notes[0]
    assert tools[0].name in notes[0]


def test_a_call_that_is_demanded_without_a_tool_is_named_and_breaks_nothing() -> None:
    notes: list[str] = []

    assert read_choice("required", (), notes, parallel=True) is None
    assert notes == ["tool_choice: there is no tool to call"]


def test_none_and_auto_without_tools_say_nothing() -> None:
    notes: list[str] = []

    assert [read_choice(choice, (), notes, parallel=True) for choice in ("none", "auto", None)] == [None] * 3
    assert notes == []


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "function", "function": {"name": "f"}},
        {"type": "custom", "custom": {"name": "f"}},
        *({"type": kind, "name": "f"} for kind in ("function", "custom", "tool")),
    ],
    ids=str,
)
def test_one_tool_is_demanded_in_any_dialects_words(choice: object) -> None:
    assert read_choice(choice, (Tool("f", "", {}),), [], parallel=True) == ToolChoice("tool", "f", True)
