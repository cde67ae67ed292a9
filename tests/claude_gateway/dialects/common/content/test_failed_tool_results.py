"""Results of failed calls in the form that the API accepts: only text, and other content behind the results."""

from claude_gateway.dialects.common.content.conversation import ConversationBuilder, SessionHistory
from workers.core.job import Block, Image, Text, ToolResult, ToolUse, Turn

IMAGE = Image({"type": "base64", "media_type": "image/png", "data": "AAAA"})


def answer_calls(*blocks: Block) -> tuple[list[Block], list[str]]:
    """Return the blocks of a user turn after two calls, and the notes."""
    conversation = ConversationBuilder()
    conversation.add_message("user", [Text("go")])
    conversation.add_message("assistant", [ToolUse("a", "f", {}), ToolUse("b", "f", {})])
    conversation.add_message("user", list(blocks))
    return list(conversation.build_turns()[-1].blocks), conversation.notes


def test_moves_image_of_an_error_result_behind_all_results() -> None:
    error = ToolResult("a", (Text("no"), IMAGE), is_error=True)
    success = ToolResult("b", (Text("yes"), IMAGE))

    blocks, notes = answer_calls(error, success, Text("and now?"))

    assert blocks == [ToolResult("a", (Text("no"),), is_error=True), success, IMAGE, Text("and now?")]
    (note,) = notes
    assert "'a'" in note


def test_fills_empty_error_result_with_text() -> None:
    blocks, notes = answer_calls(ToolResult("a", (), is_error=True), ToolResult("b", (IMAGE,), is_error=True))

    assert [type(block) for block in blocks] == [ToolResult, ToolResult, Image]
    assert all(isinstance(block, Image) or len(block.content) == 1 for block in blocks)  # type: ignore[union-attr]
    assert len(notes) == 1


def test_leaves_successful_result_unchanged() -> None:
    results = [ToolResult("a", ()), ToolResult("b", (IMAGE,))]

    assert answer_calls(*results) == (results, [])


def test_recognizes_resent_history_with_an_error_result() -> None:
    error = ToolResult("a", (Text("no"), IMAGE), is_error=True)
    turns = [
        Turn("user", (Text("go"),)),
        Turn("assistant", (ToolUse("a", "f", {}),)),
        Turn("user", (error, Text("well?"))),
        Turn("assistant", (Text("I see."),)),
    ]
    first = ConversationBuilder()
    for turn in turns[:3]:
        first.add_message(turn.role, list(turn.blocks))
    history = SessionHistory(turns=(*first.build_turns(), turns[3]))

    second = ConversationBuilder(history)
    for turn in (*turns, Turn("user", (Text("and now?"),))):
        second.add_message(turn.role, list(turn.blocks))

    assert second.build_turns() == (*history.turns, Turn("user", (Text("and now?"),)))
