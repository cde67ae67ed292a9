import pytest

from claude_gateway.errors import ApiError
from claude_gateway.own_tools.built_in import CATALOGUE, USUAL, ToolChoices, choose, read_headers, read_names


def tools_of(*choices: ToolChoices, commands: str = "") -> tuple[str, ...]:
    return choose(choices, commands=commands)[0].tools


def test_where_nobody_says_anything_there_are_the_usual_ones() -> None:
    assert tools_of() == tools_of(ToolChoices(), ToolChoices()) == USUAL


def test_each_thing_is_decided_by_the_first_who_speaks_of_it() -> None:
    header = ToolChoices(disallowed=("Grep",))
    session = ToolChoices(allowed=("Read", "Grep", "Glob"))
    key = ToolChoices(allowed=("Bash",), disallowed=("Read",), max_turns=3)
    assert tools_of(header, session, key) == ("Glob", "Read")
    assert choose([header, session, key])[0].max_turns == 3


def test_an_empty_list_is_said_too() -> None:
    assert tools_of(ToolChoices(allowed=()), ToolChoices(allowed=("Read",))) == ()


def test_names_of_today_and_of_the_guide_mean_the_same() -> None:
    assert read_names(["Task", " Agent", "Read"], "x") == ("Task", "Read")
    assert tools_of(ToolChoices(allowed=("Task",))) == ("Agent",)


def test_what_is_not_to_be_had_is_left_out_and_named() -> None:
    work, _, notes = choose([ToolChoices(allowed=("WebFetch", "Bash", "Read"))], commands="no sandbox")
    assert work.tools == ("Read",)
    assert [note.partition(":")[0] for note in notes] == ["WebFetch", "Bash"]


def test_there_are_fourteen_and_each_says_whether_the_cli_has_it() -> None:
    assert len({tool.name for tool in CATALOGUE}) == 14
    assert all(tool.cli or tool.missing for tool in CATALOGUE)


def test_headers_are_read_whole() -> None:
    assert read_headers(
        {
            "X-Claude-Allowed-Tools": "Read, Bash,",
            "X-Claude-Disallowed-Tools": "",
            "X-Claude-Permission-Mode": "plan",
            "X-Claude-Max-Turns": "5",
            "X-Claude-Max-Thinking-Tokens": "0",
        }
    ) == ToolChoices(("Read", "Bash"), (), "plan", 5, 0)
    assert read_headers({}) == ToolChoices()


@pytest.mark.parametrize("value", ["", "x", "-1", "1.5", "٣", "1" * 5_000])
def test_a_number_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(ApiError, match="X-Claude-Max-Turns"):
        read_headers({"X-Claude-Max-Turns": value})
