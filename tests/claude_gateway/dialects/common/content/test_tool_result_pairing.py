"""Pairing of calls and results, in any number and order, as the API requires."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gateway.dialects.common.content.tool_result_pairing import (
    MISSING_RESULT_TEXT,
    TurnSequence,
    pair_calls_with_results,
)
from workers.core.job import Block, Image, Role, Text, ToolResult, ToolUse

F, G = ToolUse("c1", "f", {"a": 1}), ToolUse("c2", "g", {})
IMAGE = Image({"type": "base64", "data": "x"})
ABANDONED_TEXT = (Text(MISSING_RESULT_TEXT),)


def tool_result(id_: str, *texts: str, failed: bool = False) -> ToolResult:
    return ToolResult(id_, tuple(map(Text, texts)), is_error=failed)


def abandoned_result(id_: str) -> ToolResult:
    return ToolResult(id_, ABANDONED_TEXT, is_error=True)


def pair_results(*turns: list[Block]) -> tuple[list[list[Block]], list[str]]:
    """Pair alternating turns, the first of the assistant; return the blocks of the turns and the notes."""
    roles: list[Role] = ["assistant", "user"]
    all_turns = [(roles[number % 2], list(blocks)) for number, blocks in enumerate(turns)]
    notes: list[str] = []
    pair_calls_with_results(all_turns, "messages", notes)
    return [blocks for _, blocks in all_turns], notes


def test_leaves_paired_results_unchanged() -> None:
    turns: list[list[Block]] = [[F, Text("and"), G], [tool_result("c2", "2"), tool_result("c1", "1"), Text("more")]]

    assert pair_results(*turns) == (turns, [])


def test_adds_result_for_a_call_without_one() -> None:
    (_, results), notes = pair_results([F, G], [tool_result("c2", "2"), Text("more")])

    assert results == [tool_result("c2", "2"), abandoned_result("c1"), Text("more")]
    assert notes == ["messages: added an error result for the call 'c1' (it has no result)"]


def test_merges_two_equal_results_of_one_call() -> None:
    (_, results), notes = pair_results([F], [tool_result("c1", "18C"), tool_result("c1", "18C")])

    assert results == [tool_result("c1", "18C")]
    assert notes == ["messages: omitted a repeated result of the call 'c1' of 'f'"]


def test_joins_different_results_of_one_call() -> None:
    (_, results), notes = pair_results(
        [F, G], [tool_result("c1", "1"), tool_result("c2", "2"), tool_result("c1", "3"), tool_result("c1", "4")]
    )

    assert results == [tool_result("c1", "1", "3", "4"), tool_result("c2", "2")]
    assert notes == ["messages: merged the results of the call 'c1' of 'f'"]


@pytest.mark.parametrize(
    ("first", "second", "failed"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_joined_result_is_an_error_only_if_all_its_parts_are(first: bool, second: bool, failed: bool) -> None:
    (_, (joined,)), _ = pair_results([F], [tool_result("c1", "1", failed=first), tool_result("c1", "2", failed=second)])

    assert joined == tool_result("c1", "1", "2", failed=failed)


def test_renders_orphan_result_as_text_with_its_tool_name() -> None:
    orphan = ToolResult("c9", (Text("18C"), IMAGE))

    (_, results), notes = pair_results([Text("hello")], [orphan, Text("so?")])

    assert results == [Text('<tool_result call="c9">\n18C\n</tool_result>'), IMAGE, Text("so?")]
    assert notes == ["messages: converted the result of 'c9' to text (the request has no such call)"]


def test_renders_late_result_as_text_at_its_position() -> None:
    (_, first, _, second), notes = pair_results(
        [F], [Text("wait")], [Text("ok")], [tool_result("c1", "late", failed=True)]
    )

    assert first == [abandoned_result("c1"), Text("wait")]
    assert second == [Text('<tool_result call="c1" tool="f" is_error="true">\nlate\n</tool_result>')]
    assert "converted the result of 'c1' to text (the message before it has no such call)" in notes[1]


def test_keeps_one_of_two_identical_calls() -> None:
    (calls, results), notes = pair_results([F, Text("and"), F], [tool_result("c1", "1")])

    assert (calls, results) == ([F, Text("and")], [tool_result("c1", "1")])
    assert notes == ["messages: omitted a repetition of the call 'c1' of 'f'"]


def test_pairs_results_of_repeated_call_id_in_order() -> None:
    other, third = ToolUse("c1", "g", {}), ToolUse("c1_2", "h", {})

    (calls, results), notes = pair_results(
        [F, other, third], [tool_result("c1", "1"), tool_result("c1_2", "3"), tool_result("c1", "2")]
    )

    assert calls == [F, ToolUse("c1_2_", "g", {}), third]
    assert results == [tool_result("c1", "1"), tool_result("c1_2", "3"), tool_result("c1_2_", "2")]
    assert notes == [
        "messages: changed the id 'c1', which two calls in one message have (results are matched by order)"
    ]


def test_pairs_results_with_unknown_ids_in_order() -> None:
    (_, results), notes = pair_results(
        [F, G], [tool_result("x", "1"), Text("more"), tool_result("y", "2"), tool_result("y", "2")]
    )

    assert results == [tool_result("c1", "1"), tool_result("c2", "2"), Text("more")]
    assert notes[:2] == [
        "messages: changed the result of 'x' to that of the call 'c1' of 'f'",
        "messages: changed the result of 'y' to that of the call 'c2' of 'g'",
    ]


@pytest.mark.parametrize("ids", [["x"], ["x", "c1"], ["x", "y", "z"]])
def test_does_not_match_by_order_if_the_counts_differ_or_an_id_is_known(ids: list[str]) -> None:
    (_, results), _ = pair_results([F, G], [tool_result(id_, "1") for id_ in ids])

    assert sum(isinstance(block, Text) and block.text.startswith("<tool_result ") for block in results) == sum(
        id_ != "c1" for id_ in ids
    )


blocks = st.sampled_from(
    [F, G, ToolUse("c1", "g", {}), tool_result("c1", "1"), tool_result("c2", "2"), tool_result("c3"), Text("t")]
)


@given(st.lists(st.lists(blocks, max_size=6), max_size=6))
def test_every_call_gets_one_result_in_the_next_turn_and_no_result_is_orphaned(drawn: list[list[Block]]) -> None:
    roles: list[Role] = ["assistant", "user"]
    kinds = {"assistant": ToolResult, "user": ToolUse}
    turns: TurnSequence = [
        (roles[number % 2], [block for block in turn if not isinstance(block, kinds[roles[number % 2]])])
        for number, turn in enumerate(drawn)
    ]

    pair_calls_with_results(turns, "messages", [])

    open_calls: list[str] = []
    for role, turn_blocks in turns:
        if role == "assistant":
            open_calls = [block.id for block in turn_blocks if isinstance(block, ToolUse)]
            assert len(set(open_calls)) == len(open_calls)
        else:
            assert sorted(block.tool_use_id for block in turn_blocks if isinstance(block, ToolResult)) == sorted(
                open_calls
            )
            open_calls = []


@given(st.lists(st.lists(blocks, max_size=6), max_size=6))
def test_pairing_is_idempotent(drawn: list[list[Block]]) -> None:
    paired, _ = pair_results(*drawn)

    assert pair_results(*paired)[0] == paired
