"""Messages that continue a stored history: new messages are appended, and a resent history is not duplicated."""

import pytest

from claude_gateway.core.errors import ApiError
from claude_gateway.dialects.common.content.conversation import ConversationBuilder, HostedCallText, SessionHistory
from tests.workers.helpers import assistant_turn, user_turn
from workers.core.job import Block, Image, RedactedThinkingBlock, Role, Text, ThinkingBlock, ToolResult, ToolUse, Turn

FIRST = user_turn("one")
REPLY = Turn("assistant", (ThinkingBlock("hm", "signed"), RedactedThinkingBlock("x"), Text("tw"), Text("o")))
PLAIN_REPLY = assistant_turn("two")
HISTORY = (FIRST, REPLY)
CALLS_REPLY = Turn("assistant", (Text("let me see"), ToolUse("c1", "f", {"a": 1}), ToolUse("c2", "g", {})))
REPLY_WITH_THINKING = Turn(
    "assistant",
    (ThinkingBlock("hm", "signed"), Text("let me see"), RedactedThinkingBlock("x"), *CALLS_REPLY.blocks[1:]),
)
REPLY_WITH_OTHER_THINKING = Turn("assistant", (ThinkingBlock("own", "s"), *CALLS_REPLY.blocks))
OPEN_CALLS = (FIRST, CALLS_REPLY)
ABANDONED_RESULT = ToolResult("c2", (Text("The call was abandoned; there is no result."),), is_error=True)


def result(id_: str, text: str = "done") -> ToolResult:
    return ToolResult(id_, (Text(text),))


def add_messages(history: tuple[Turn, ...], *messages: Turn) -> ConversationBuilder:
    conversation = ConversationBuilder(SessionHistory(turns=history))
    for message in messages:
        conversation.add_message(message.role, list(message.blocks))
    return conversation


def build_turns(history: tuple[Turn, ...], *messages: Turn) -> tuple[Turn, ...]:
    return add_messages(history, *messages).build_turns()


def create_turn(*blocks: Block, role: Role = "user") -> Turn:
    return Turn(role, blocks)


def test_appends_new_message_to_stored_history() -> None:
    assert build_turns(HISTORY, user_turn("three")) == (*HISTORY, user_turn("three"))


def test_repeated_text_is_a_new_message() -> None:
    assert build_turns(HISTORY, FIRST) == (*HISTORY, FIRST)


@pytest.mark.parametrize("reply", [REPLY, PLAIN_REPLY], ids=["unchanged", "without-thinking-in-one-text"])
def test_does_not_duplicate_resent_history_and_keeps_its_thinking(reply: Turn) -> None:
    assert build_turns(HISTORY, FIRST, reply, user_turn("three")) == (*HISTORY, user_turn("three"))


def test_does_not_duplicate_resent_history_with_tool_calls() -> None:
    history = (*OPEN_CALLS, create_turn(result("c1"), result("c2")), PLAIN_REPLY)

    assert build_turns(history, *history, user_turn("next")) == (*history, user_turn("next"))


@pytest.mark.parametrize(
    ("resent", "model", "expected"),
    [
        (CALLS_REPLY, "m", REPLY_WITH_THINKING),
        (Turn("assistant", (Text("let me "), Text("see"), *CALLS_REPLY.blocks[1:])), "m", REPLY_WITH_THINKING),
        (CALLS_REPLY, "another", CALLS_REPLY),
        (Turn("assistant", CALLS_REPLY.blocks[1:]), "m", Turn("assistant", CALLS_REPLY.blocks[1:])),
        (REPLY_WITH_OTHER_THINKING, "m", REPLY_WITH_OTHER_THINKING),
    ],
    ids=["unchanged", "split-text", "of-another-model", "changed", "with-other-thinking"],
)  # fmt: skip
def test_restores_thinking_of_resent_reply(resent: Turn, model: str, expected: Turn) -> None:
    conversation = ConversationBuilder(
        SessionHistory(find_reply=lambda model, call: REPLY_WITH_THINKING if (model, call) == ("m", "c1") else None)
    )
    done = create_turn(result("c1"), result("c2"))
    for message in (FIRST, resent, done):
        conversation.add_message(message.role, list(message.blocks))

    assert conversation.build_turns(model) == (FIRST, expected, done)


def test_recognizes_history_that_is_split_into_separate_messages() -> None:
    conversation = add_messages(
        (user_turn("one"), assistant_turn("two")), FIRST, assistant_turn("tw"), assistant_turn("o"), user_turn("three")
    )

    assert conversation.build_turns() == (FIRST, assistant_turn("two"), user_turn("three"))
    assert conversation.notes == []


def test_recognizes_history_that_begins_with_an_assistant_message() -> None:
    history = build_turns((), assistant_turn("welcome"), user_turn("hi"))

    conversation = add_messages(
        (*history, PLAIN_REPLY), assistant_turn("welcome"), user_turn("hi"), PLAIN_REPLY, user_turn("three")
    )

    assert conversation.build_turns() == (*history, PLAIN_REPLY, user_turn("three"))
    assert conversation.notes == []


def test_recognizes_history_with_an_abandoned_call() -> None:
    history = (*build_turns(OPEN_CALLS, user_turn("never mind")), PLAIN_REPLY)
    assert ABANDONED_RESULT in history[2].blocks

    conversation = add_messages(history, *OPEN_CALLS, user_turn("never mind"), PLAIN_REPLY, user_turn("three"))

    assert conversation.build_turns() == (*history, user_turn("three"))
    assert conversation.notes == []


def test_replaces_stored_history_from_the_first_difference() -> None:
    history = (*HISTORY, user_turn("three"), assistant_turn("four"))

    conversation = add_messages(history, FIRST, PLAIN_REPLY, user_turn("other"))

    assert conversation.build_turns() == (*HISTORY, user_turn("other"))
    assert conversation.notes == ["session_id: changed the session from turn 3 on (the request replaces these turns)"]


def test_regenerates_the_last_reply_if_the_resent_history_lacks_it() -> None:
    history = (*HISTORY, user_turn("three"), assistant_turn("four"))

    assert build_turns(history, FIRST, PLAIN_REPLY, user_turn("three")) == history[:3]


@pytest.mark.parametrize(
    "messages",
    [(user_turn("on"), PLAIN_REPLY, user_turn("three")), (FIRST, assistant_turn("Two"), user_turn("three"))],
    ids=["another-message", "another-reply"],
)
def test_treats_messages_as_new_if_they_do_not_begin_with_a_stored_exchange(messages: tuple[Turn, ...]) -> None:
    assert build_turns(HISTORY, *messages) == (*HISTORY, *messages)


def test_message_without_its_image_is_a_new_message() -> None:
    message = Turn("user", (Text("one"), Image({"type": "base64", "data": "x"})))
    history = (message, PLAIN_REPLY)

    assert build_turns(history, message, PLAIN_REPLY, user_turn("three")) == (*history, user_turn("three"))
    assert len(build_turns(history, FIRST, PLAIN_REPLY, user_turn("three"))) == 5


def test_message_with_only_tool_results_answers_the_stored_calls() -> None:
    result_turn = create_turn(result("c2"), result("c1"))

    assert build_turns(OPEN_CALLS, result_turn) == (*OPEN_CALLS, result_turn)


def test_tool_results_in_separate_messages_make_one_turn() -> None:
    assert build_turns(OPEN_CALLS, create_turn(result("c1")), create_turn(result("c2"))) == (
        *OPEN_CALLS,
        create_turn(result("c1"), result("c2")),
    )


def test_marks_a_call_without_result_as_abandoned() -> None:
    conversation = add_messages(OPEN_CALLS, create_turn(result("c1")))

    assert conversation.build_turns() == (*OPEN_CALLS, create_turn(result("c1"), ABANDONED_RESULT))
    assert any("c2" in note for note in conversation.notes)


def test_accepts_new_message_instead_of_tool_results() -> None:
    (*_, last) = build_turns(OPEN_CALLS, user_turn("never mind"))

    assert [block.tool_use_id for block in last.blocks if isinstance(block, ToolResult)] == ["c1", "c2"]
    assert last.blocks[-1] == Text("never mind")


def test_rejects_request_with_only_orphan_results_and_names_the_call() -> None:
    with pytest.raises(ApiError, match="c1"):
        build_turns((), create_turn(result("c1")))


@pytest.mark.parametrize("history", [HISTORY, (*OPEN_CALLS, create_turn(result("c1"), result("c2")), PLAIN_REPLY)])
def test_renders_orphan_result_as_text(history: tuple[Turn, ...]) -> None:
    conversation = add_messages(history, create_turn(result("c1")))

    (block,) = conversation.build_turns()[-1].blocks

    assert isinstance(block, Text)
    assert "done" in block.text
    assert any("c1" in note for note in conversation.notes)


def test_merges_two_results_of_one_call() -> None:
    first, second = result("c1"), result("c2")

    assert build_turns(OPEN_CALLS, create_turn(first, first, second)) == (*OPEN_CALLS, create_turn(first, second))


def test_recognizes_history_that_was_repaired_when_it_was_stored() -> None:
    resent = (
        FIRST,
        CALLS_REPLY,
        create_turn(result("c1"), result("c1"), result("c2")),
        PLAIN_REPLY,
        create_turn(result("c1", "late")),
    )
    history = (*build_turns((), *resent), assistant_turn("thanks"))

    conversation = add_messages(history, *resent, assistant_turn("thanks"), user_turn("next"))

    assert conversation.build_turns() == (*history, user_turn("next"))
    assert conversation.notes == []


SEARCH_BLOCKS = Turn("assistant", (HostedCallText("searched"), Text("two")))


def test_renders_hosted_tool_blocks_as_text() -> None:
    assert build_turns((), FIRST, SEARCH_BLOCKS, user_turn("three")) == (
        FIRST,
        Turn("assistant", (Text("searched"), Text("two"))),
        user_turn("three"),
    )


@pytest.mark.parametrize("history", [(FIRST, PLAIN_REPLY), build_turns((), FIRST, SEARCH_BLOCKS, user_turn("x"))[:2]])
def test_recognizes_history_with_and_without_hosted_tool_blocks(history: tuple[Turn, ...]) -> None:
    assert build_turns(history, FIRST, SEARCH_BLOCKS, user_turn("three")) == (*history, user_turn("three"))


def test_recognizes_history_whose_reply_has_only_hosted_tool_blocks() -> None:
    history = (Turn("user", (Text("one"), Text("more"))), PLAIN_REPLY)

    resent = (
        FIRST,
        Turn("assistant", (HostedCallText("searched"),)),
        user_turn("more"),
        PLAIN_REPLY,
        user_turn("three"),
    )

    assert build_turns(history, *resent) == (*history, user_turn("three"))


def test_sends_lone_system_prompt_as_user_message() -> None:
    conversation = ConversationBuilder()

    assert conversation.resolve_system(["Be kind.", " ", "Be brief."]) == []
    assert conversation.build_turns() == (Turn("user", (Text("Be kind."), Text("Be brief."))),)
    assert len(conversation.notes) == 1


def test_keeps_system_prompt_if_there_is_a_message() -> None:
    conversation = add_messages((), FIRST)

    assert conversation.resolve_system(["Be kind.", " "]) == ["Be kind."]
    assert (conversation.build_turns(), conversation.notes) == ((FIRST,), [])


@pytest.mark.parametrize(
    "messages", [(), (user_turn("  "),), (assistant_turn("I say"),)], ids=["none", "blank", "assistant"]
)
def test_rejects_request_without_a_user_message(messages: tuple[Turn, ...]) -> None:
    with pytest.raises(ApiError, match="no user message"):
        build_turns(HISTORY, *messages)


def test_merges_user_messages_if_the_stored_reply_is_missing() -> None:
    assert build_turns((FIRST,), user_turn("two")) == (Turn("user", (Text("one"), Text("two"))),)


def test_does_not_modify_the_stored_history() -> None:
    history = (FIRST,)

    build_turns(history, user_turn("two"))

    assert history == (user_turn("one"),)
