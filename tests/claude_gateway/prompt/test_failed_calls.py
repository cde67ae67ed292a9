"""The results of calls that failed, as the API takes them: text, and some of it; what else came stands behind."""

from claude_gateway.prompt.conversation import Conversation, Remembered
from workers.job import Block, Image, Text, ToolResult, ToolUse, Turn

PICTURE = Image({"type": "base64", "media_type": "image/png", "data": "AAAA"})


def answered(*blocks: Block) -> tuple[list[Block], list[str]]:
    """The blocks of a user's turn after two calls, and what had to give way."""
    conversation = Conversation()
    conversation.add("user", [Text("go")])
    conversation.add("assistant", [ToolUse("a", "f", {}), ToolUse("b", "f", {})])
    conversation.add("user", list(blocks))
    return list(conversation.turns()[-1].blocks), conversation.notes


def test_an_image_in_an_error_is_put_behind_the_results_and_before_what_follows_them() -> None:
    error = ToolResult("a", (Text("no"), PICTURE), is_error=True)
    fine = ToolResult("b", (Text("yes"), PICTURE))

    blocks, notes = answered(error, fine, Text("and now?"))

    assert blocks == [ToolResult("a", (Text("no"),), is_error=True), fine, PICTURE, Text("and now?")]
    (note,) = notes
    assert "'a'" in note


def test_an_error_is_never_empty() -> None:
    blocks, notes = answered(ToolResult("a", (), is_error=True), ToolResult("b", (PICTURE,), is_error=True))

    assert [type(block) for block in blocks] == [ToolResult, ToolResult, Image]
    assert all(isinstance(block, Image) or len(block.content) == 1 for block in blocks)  # type: ignore[union-attr]
    assert len(notes) == 1


def test_a_result_that_is_no_error_stays_as_it_is() -> None:
    results = [ToolResult("a", ()), ToolResult("b", (PICTURE,))]

    assert answered(*results) == (results, [])


def test_a_history_with_such_an_error_is_known_again_when_it_is_sent_once_more() -> None:
    error = ToolResult("a", (Text("no"), PICTURE), is_error=True)
    told = [
        Turn("user", (Text("go"),)),
        Turn("assistant", (ToolUse("a", "f", {}),)),
        Turn("user", (error, Text("well?"))),
        Turn("assistant", (Text("I see."),)),
    ]
    first = Conversation()
    for turn in told[:3]:
        first.add(turn.role, list(turn.blocks))
    remembered = Remembered(turns=(*first.turns(), told[3]))

    again = Conversation(remembered)
    for turn in (*told, Turn("user", (Text("and now?"),))):
        again.add(turn.role, list(turn.blocks))

    assert again.turns() == (*remembered.turns, Turn("user", (Text("and now?"),)))
