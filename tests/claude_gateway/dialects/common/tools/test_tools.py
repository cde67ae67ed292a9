"""Client tools: `strict` and tool choices, and the warnings about them."""

from typing import Any

import pytest

from claude_gateway.dialects.common.tools.tools import drop_unsupported_strict, parse_tool_choice, parse_tools
from workers.core.job import ToolChoice, ToolDefinition

CLOSED_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


def parse_strict_tool(name: str, schema: dict[str, Any] = CLOSED_SCHEMA) -> ToolDefinition:
    return ToolDefinition(name, "", schema, strict=True)


def test_reads_strict_in_every_shape_of_a_tool() -> None:
    shapes = [
        {"type": "function", "function": {"name": "nested", "strict": True}},
        {"type": "function", "name": "flat", "strict": True},
        {"name": "anthropic", "input_schema": {"type": "object"}, "strict": True},
        {"type": "function", "function": {"name": "loose", "strict": False}},
    ]
    assert [tool.strict for tool in parse_tools(shapes, [], [])] == [True, True, True, False]


def test_keeps_strict_tool_with_enforceable_schema() -> None:
    notes: list[str] = []
    tools = (parse_strict_tool("f"), ToolDefinition("g", "", CLOSED_SCHEMA))
    assert drop_unsupported_strict(tools, "claude-sonnet-4-5", notes) == tools
    assert notes == []


@pytest.mark.parametrize(
    ("tools", "model"),
    [
        (
            (parse_strict_tool("f", {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}),),
            "claude-opus-4-7",
        ),
        ((parse_strict_tool("f"),), "claude-3-5-haiku-20241022"),
        (tuple(parse_strict_tool(f"f{number}") for number in range(21)), "claude-opus-4-7"),
    ],
    ids=["schema", "model", "many"],
)
def test_clears_strict_with_a_warning_if_the_api_cannot_enforce_the_schema(
    tools: tuple[ToolDefinition, ...], model: str
) -> None:
    notes: list[str] = []
    assert not any(tool.strict for tool in drop_unsupported_strict(tools, model, notes))
    assert len(notes) == 1
    assert "`strict`" in notes[0]
    assert tools[0].name in notes[0]


def test_warns_about_required_call_without_tools() -> None:
    notes: list[str] = []

    assert parse_tool_choice("required", (), notes, parallel=True) is None
    assert notes == ["tool_choice: ignored (there is no tool to call)"]


def test_choice_none_or_auto_without_tools_gives_no_warning() -> None:
    notes: list[str] = []

    assert [parse_tool_choice(choice, (), notes, parallel=True) for choice in ("none", "auto", None)] == [None] * 3
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
def test_parses_choice_of_one_tool_in_every_shape(choice: object) -> None:
    assert parse_tool_choice(choice, (ToolDefinition("f", "", {}),), [], parallel=True) == ToolChoice("tool", "f", True)
