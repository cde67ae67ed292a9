"""Tool selection from headers, sessions and keys, and the parsing of tool names."""

import pytest

from claude_gateway.builtin_tools.catalog import (
    BUILTIN_TOOLS,
    DEFAULT_TOOLS,
    ToolChoices,
    parse_tool_headers,
    parse_tool_names,
    resolve_tools,
)
from claude_gateway.core.errors import ApiError


def get_tool_names(*choices: ToolChoices, no_commands_reason: str = "") -> tuple[str, ...]:
    return resolve_tools(choices, no_commands_reason=no_commands_reason)[0].builtin_tools


def test_default_tools_without_any_choices() -> None:
    assert get_tool_names() == get_tool_names(ToolChoices(), ToolChoices()) == DEFAULT_TOOLS


def test_first_source_with_a_choice_decides() -> None:
    header = ToolChoices(disallowed=("Grep",))
    session = ToolChoices(allowed=("Read", "Grep", "Glob"))
    key = ToolChoices(allowed=("Bash",), disallowed=("Read",), max_turns=3)
    assert get_tool_names(header, session, key) == ("Glob", "Read")
    assert resolve_tools([header, session, key])[0].max_turns == 3


def test_empty_list_is_a_choice() -> None:
    assert get_tool_names(ToolChoices(allowed=()), ToolChoices(allowed=("Read",))) == ()


def test_accepts_current_and_older_names_of_a_tool() -> None:
    assert parse_tool_names(["Task", " Agent", "Read"], "x") == ("Task", "Read")
    assert get_tool_names(ToolChoices(allowed=("Task",))) == ("Agent",)


def test_omits_unavailable_tools_with_a_note() -> None:
    options, _, notes = resolve_tools(
        [ToolChoices(allowed=("WebFetch", "Bash", "Read"))], no_commands_reason="no sandbox"
    )
    assert options.builtin_tools == ("Read",)
    assert [note.partition(":")[0] for note in notes] == ["WebFetch", "Bash"]


def test_lists_fourteen_tools_and_their_availability() -> None:
    assert len({tool.name for tool in BUILTIN_TOOLS}) == 14
    assert all(tool.cli_name or tool.unavailable_reason for tool in BUILTIN_TOOLS)


def test_parses_all_headers() -> None:
    assert parse_tool_headers(
        {
            "X-Claude-Allowed-Tools": "Read, Bash,",
            "X-Claude-Disallowed-Tools": "",
            "X-Claude-Permission-Mode": "plan",
            "X-Claude-Max-Turns": "5",
            "X-Claude-Max-Thinking-Tokens": "0",
        }
    ) == ToolChoices(("Read", "Bash"), (), "plan", 5, 0)
    assert parse_tool_headers({}) == ToolChoices()


@pytest.mark.parametrize("value", ["", "x", "-1", "1.5", "٣", "1" * 5_000])
def test_rejects_invalid_number(value: str) -> None:
    with pytest.raises(ApiError, match="X-Claude-Max-Turns"):
        parse_tool_headers({"X-Claude-Max-Turns": value})
