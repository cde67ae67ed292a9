"""Calls and results in any number and order, as pairs that the API takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.prompt.tool_pairs import NO_RESULT, Turns, put_in_pairs
from workers.job import Block, Image, Role, Text, ToolResult, ToolUse

F, G = ToolUse("c1", "f", {"a": 1}), ToolUse("c2", "g", {})
PICTURE = Image({"type": "base64", "data": "x"})
GIVEN_UP = (Text(NO_RESULT),)


def result(id_: str, *texts: str, failed: bool = False) -> ToolResult:
    return ToolResult(id_, tuple(map(Text, texts)), is_error=failed)


def given_up(id_: str) -> ToolResult:
    return ToolResult(id_, GIVEN_UP, is_error=True)


def paired(*turns: list[Block]) -> tuple[list[list[Block]], list[str]]:
    """Turns of the assistant and the user by turns, behind a question, as pairs, and the notes."""
    roles: list[Role] = ["assistant", "user"]
    all_turns = [(roles[number % 2], list(blocks)) for number, blocks in enumerate(turns)]
    notes: list[str] = []
    put_in_pairs(all_turns, "messages", notes)
    return [blocks for _, blocks in all_turns], notes


def test_leaves_pairs_as_they_are() -> None:
    turns: list[list[Block]] = [[F, Text("and"), G], [result("c2", "2"), result("c1", "1"), Text("more")]]

    assert paired(*turns) == (turns, [])


def test_tells_of_a_call_without_an_answer() -> None:
    (_, answers), notes = paired([F, G], [result("c2", "2"), Text("more")])

    assert answers == [result("c2", "2"), given_up("c1"), Text("more")]
    assert notes == ["messages: the call 'c1' has no answer; Claude is told so"]


def test_folds_two_answers_in_the_same_words_into_one() -> None:
    (_, answers), notes = paired([F], [result("c1", "18C"), result("c1", "18C")])

    assert answers == [result("c1", "18C")]
    assert notes == ["messages: the call 'c1' of 'f' has the same answer twice, which is given to Claude once"]


def test_joins_answers_that_differ() -> None:
    (_, answers), notes = paired([F, G], [result("c1", "1"), result("c2", "2"), result("c1", "3"), result("c1", "4")])

    assert answers == [result("c1", "1", "3", "4"), result("c2", "2")]
    assert notes == ["messages: the call 'c1' of 'f' has more than one answer; Claude is given them as one"]


@pytest.mark.parametrize(
    ("first", "second", "failed"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_a_joined_answer_failed_where_all_of_it_failed(first: bool, second: bool, failed: bool) -> None:
    (_, (answer,)), _ = paired([F], [result("c1", "1", failed=first), result("c1", "2", failed=second)])

    assert answer == result("c1", "1", "2", failed=failed)


def test_gives_an_answer_to_no_call_as_text_with_its_name() -> None:
    stray = ToolResult("c9", (Text("18C"), PICTURE))

    (_, answers), notes = paired([Text("hello")], [stray, Text("so?")])

    assert answers == [Text('<tool_result call="c9">\n18C\n</tool_result>'), PICTURE, Text("so?")]
    assert notes == ["messages: the result of 'c9' answers no call that was sent, and is given to Claude as text"]


def test_gives_a_late_answer_as_text_where_it_stands() -> None:
    (_, first, _, second), notes = paired([F], [Text("wait")], [Text("ok")], [result("c1", "late", failed=True)])

    assert first == [given_up("c1"), Text("wait")]
    assert second == [Text('<tool_result call="c1" tool="f" is_error="true">\nlate\n</tool_result>')]
    assert "the result of 'c1' answers no call of the message before it" in notes[1]


def test_gives_one_call_that_stands_twice_once() -> None:
    (calls, answers), notes = paired([F, Text("and"), F], [result("c1", "1")])

    assert (calls, answers) == ([F, Text("and")], [result("c1", "1")])
    assert notes == ["messages: the call 'c1' of 'f' stands twice in one message, and is given to Claude once"]


def test_takes_the_answers_to_calls_of_one_id_in_their_order() -> None:
    other, third = ToolUse("c1", "g", {}), ToolUse("c1_2", "h", {})

    (calls, answers), notes = paired([F, other, third], [result("c1", "1"), result("c1_2", "3"), result("c1", "2")])

    assert calls == [F, ToolUse("c1_2_", "g", {}), third]
    assert answers == [result("c1", "1"), result("c1_2", "3"), result("c1_2_", "2")]
    assert notes == ["messages: two calls of one message have the id 'c1'; their results are taken in their order"]


def test_takes_answers_by_other_ids_in_their_order() -> None:
    (_, answers), notes = paired([F, G], [result("x", "1"), Text("more"), result("y", "2"), result("y", "2")])

    assert answers == [result("c1", "1"), result("c2", "2"), Text("more")]
    assert notes[:2] == [
        "messages: the result of 'x' is taken for that of the call 'c1' of 'f'",
        "messages: the result of 'y' is taken for that of the call 'c2' of 'g'",
    ]


@pytest.mark.parametrize("ids", [["x"], ["x", "c1"], ["x", "y", "z"]])
def test_guesses_nothing_where_the_numbers_differ_or_one_id_is_known(ids: list[str]) -> None:
    (_, answers), _ = paired([F, G], [result(id_, "1") for id_ in ids])

    assert sum(isinstance(block, Text) and block.text.startswith("<tool_result ") for block in answers) == sum(
        id_ != "c1" for id_ in ids
    )


blocks = st.sampled_from([F, G, ToolUse("c1", "g", {}), result("c1", "1"), result("c2", "2"), result("c3"), Text("t")])


@given(st.lists(st.lists(blocks, max_size=6), max_size=6))
def test_every_call_has_one_result_in_the_next_turn_and_no_result_stands_alone(drawn: list[list[Block]]) -> None:
    roles: list[Role] = ["assistant", "user"]
    kinds = {"assistant": ToolResult, "user": ToolUse}
    turns: Turns = [
        (roles[number % 2], [block for block in turn if not isinstance(block, kinds[roles[number % 2]])])
        for number, turn in enumerate(drawn)
    ]

    put_in_pairs(turns, "messages", [])

    waiting: list[str] = []
    for role, found in turns:
        if role == "assistant":
            waiting = [block.id for block in found if isinstance(block, ToolUse)]
            assert len(set(waiting)) == len(waiting)
        else:
            assert sorted(block.tool_use_id for block in found if isinstance(block, ToolResult)) == sorted(waiting)
            waiting = []


@given(st.lists(st.lists(blocks, max_size=6), max_size=6))
def test_pairs_stay_the_same_when_they_are_put_in_pairs_again(drawn: list[list[Block]]) -> None:
    once, _ = paired(*drawn)

    assert paired(*once)[0] == once
