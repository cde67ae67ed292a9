"""What is said of callers' tools that is not done."""

import pytest

from claude_gateway.prompt.tools import read_choice, read_tools
from workers.job import Tool, ToolChoice


def test_who_asks_for_strict_tools_is_told_once_that_the_model_alone_keeps_to_the_schema() -> None:
    notes: list[str] = []
    strict = [{"type": "function", "function": {"name": name, "strict": True}} for name in ("one", "two")]

    tools = read_tools([*strict, {"type": "function", "function": {"name": "three", "strict": False}}], notes, [])

    assert [tool.name for tool in tools] == ["one", "two", "three"]
    assert [note.partition(":")[0] for note in notes] == ["tools"]
    assert "`strict`" in notes[0]


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
