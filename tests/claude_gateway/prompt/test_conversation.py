"""Messages that go on from what is remembered: new ones behind it, a whole history never twice."""

import pytest

from claude_gateway.errors import ApiError
from claude_gateway.prompt.conversation import Conversation, ProviderCall, Remembered
from tests.workers.helpers import assistant, user
from workers.job import Block, Image, RedactedThought, Role, Text, Thought, ToolResult, ToolUse, Turn

FIRST = user("one")
ANSWER = Turn("assistant", (Thought("hm", "signed"), RedactedThought("x"), Text("tw"), Text("o")))
PLAIN_ANSWER = assistant("two")
PAST = (FIRST, ANSWER)
CALLS = Turn("assistant", (Text("let me see"), ToolUse("c1", "f", {"a": 1}), ToolUse("c2", "g", {})))
THOUGHTFUL = Turn("assistant", (Thought("hm", "signed"), Text("let me see"), RedactedThought("x"), *CALLS.blocks[1:]))
OWN_THOUGHT = Turn("assistant", (Thought("own", "s"), *CALLS.blocks))
OPEN = (FIRST, CALLS)
GIVEN_UP = ToolResult("c2", (Text("The call was given up; there is no result."),), is_error=True)


def result(id_: str, text: str = "done") -> ToolResult:
    return ToolResult(id_, (Text(text),))


def conversation(past: tuple[Turn, ...], *messages: Turn) -> Conversation:
    talk = Conversation(Remembered(turns=past))
    for message in messages:
        talk.add(message.role, list(message.blocks))
    return talk


def turns(past: tuple[Turn, ...], *messages: Turn) -> tuple[Turn, ...]:
    return conversation(past, *messages).turns()


def results(*blocks: Block, role: Role = "user") -> Turn:
    return Turn(role, blocks)


def test_a_new_message_comes_behind_what_is_remembered() -> None:
    assert turns(PAST, user("three")) == (*PAST, user("three"))


def test_the_same_words_again_are_a_new_message() -> None:
    assert turns(PAST, FIRST) == (*PAST, FIRST)


@pytest.mark.parametrize("answer", [ANSWER, PLAIN_ANSWER], ids=["as-it-was", "without-thoughts-and-in-one-text"])
def test_a_whole_history_is_not_doubled_and_thoughts_are_kept(answer: Turn) -> None:
    assert turns(PAST, FIRST, answer, user("three")) == (*PAST, user("three"))


def test_a_whole_history_of_calls_and_results_is_not_doubled() -> None:
    past = (*OPEN, results(result("c1"), result("c2")), PLAIN_ANSWER)

    assert turns(past, *past, user("next")) == (*past, user("next"))


@pytest.mark.parametrize(
    ("sent", "model", "given"),
    [
        (CALLS, "m", THOUGHTFUL),
        (Turn("assistant", (Text("let me "), Text("see"), *CALLS.blocks[1:])), "m", THOUGHTFUL),
        (CALLS, "another", CALLS),
        (Turn("assistant", CALLS.blocks[1:]), "m", Turn("assistant", CALLS.blocks[1:])),
        (OWN_THOUGHT, "m", OWN_THOUGHT),
    ],
    ids=["as-it-was", "in-other-texts", "of-another-model", "in-other-words", "with-thoughts-of-its-own"],
)  # fmt: skip
def test_an_answer_sent_back_without_its_thoughts_is_whole_again(sent: Turn, model: str, given: Turn) -> None:
    talk = Conversation(Remembered(reply=lambda of, call: THOUGHTFUL if (of, call) == ("m", "c1") else None))
    done = results(result("c1"), result("c2"))
    for message in (FIRST, sent, done):
        talk.add(message.role, list(message.blocks))

    assert talk.turns(model) == (FIRST, given, done)


def test_a_history_sent_in_messages_of_their_own_is_the_same_history() -> None:
    talk = conversation((user("one"), assistant("two")), FIRST, assistant("tw"), assistant("o"), user("three"))

    assert talk.turns() == (FIRST, assistant("two"), user("three"))
    assert talk.notes == []


def test_a_history_that_the_assistant_began_is_recognised() -> None:
    past = turns((), assistant("welcome"), user("hi"))

    talk = conversation((*past, PLAIN_ANSWER), assistant("welcome"), user("hi"), PLAIN_ANSWER, user("three"))

    assert talk.turns() == (*past, PLAIN_ANSWER, user("three"))
    assert talk.notes == []


def test_a_call_that_was_given_up_does_not_make_another_history_of_it() -> None:
    past = (*turns(OPEN, user("never mind")), PLAIN_ANSWER)
    assert GIVEN_UP in past[2].blocks

    talk = conversation(past, *OPEN, user("never mind"), PLAIN_ANSWER, user("three"))

    assert talk.turns() == (*past, user("three"))
    assert talk.notes == []


def test_a_history_told_differently_counts_from_there_as_it_is_told() -> None:
    past = (*PAST, user("three"), assistant("four"))

    talk = conversation(past, FIRST, PLAIN_ANSWER, user("other"))

    assert talk.turns() == (*PAST, user("other"))
    assert talk.notes == ["session_id: what it remembers from turn 3 on was not sent, and is replaced"]


def test_a_history_without_its_last_answer_is_answered_again() -> None:
    past = (*PAST, user("three"), assistant("four"))

    assert turns(past, FIRST, PLAIN_ANSWER, user("three")) == past[:3]


@pytest.mark.parametrize(
    "messages",
    [(user("on"), PLAIN_ANSWER, user("three")), (FIRST, assistant("Two"), user("three"))],
    ids=["another-question", "another-answer"],
)
def test_what_does_not_begin_with_a_remembered_exchange_is_all_new(messages: tuple[Turn, ...]) -> None:
    assert turns(PAST, *messages) == (*PAST, *messages)


def test_an_image_tells_two_questions_apart() -> None:
    shown = Turn("user", (Text("one"), Image({"type": "base64", "data": "x"})))
    past = (shown, PLAIN_ANSWER)

    assert turns(past, shown, PLAIN_ANSWER, user("three")) == (*past, user("three"))
    assert len(turns(past, FIRST, PLAIN_ANSWER, user("three"))) == 5


def test_results_alone_answer_the_calls_that_are_remembered() -> None:
    answers = results(result("c2"), result("c1"))

    assert turns(OPEN, answers) == (*OPEN, answers)


def test_results_in_messages_of_their_own_make_one_turn() -> None:
    assert turns(OPEN, results(result("c1")), results(result("c2"))) == (*OPEN, results(result("c1"), result("c2")))


def test_a_call_without_its_result_is_told_to_have_been_given_up() -> None:
    talk = conversation(OPEN, results(result("c1")))

    assert talk.turns() == (*OPEN, results(result("c1"), GIVEN_UP))
    assert any("c2" in note for note in talk.notes)


def test_a_new_question_may_come_instead_of_results() -> None:
    (*_, last) = turns(OPEN, user("never mind"))

    assert [block.tool_use_id for block in last.blocks if isinstance(block, ToolResult)] == ["c1", "c2"]
    assert last.blocks[-1] == Text("never mind")


def test_refuses_a_result_and_nothing_else_with_the_name_of_its_call() -> None:
    with pytest.raises(ApiError, match="c1"):
        turns((), results(result("c1")))


@pytest.mark.parametrize("past", [PAST, (*OPEN, results(result("c1"), result("c2")), PLAIN_ANSWER)])
def test_gives_a_result_of_no_open_call_as_text(past: tuple[Turn, ...]) -> None:
    talk = conversation(past, results(result("c1")))

    (block,) = talk.turns()[-1].blocks

    assert isinstance(block, Text)
    assert "done" in block.text
    assert any("c1" in note for note in talk.notes)


def test_gives_two_results_of_one_call_as_one() -> None:
    first, second = result("c1"), result("c2")

    assert turns(OPEN, results(first, first, second)) == (*OPEN, results(first, second))


def test_recognises_a_history_that_was_put_right_when_it_was_remembered() -> None:
    sent = (
        FIRST,
        CALLS,
        results(result("c1"), result("c1"), result("c2")),
        PLAIN_ANSWER,
        results(result("c1", "late")),
    )
    past = (*turns((), *sent), assistant("thanks"))

    talk = conversation(past, *sent, assistant("thanks"), user("next"))

    assert talk.turns() == (*past, user("next"))
    assert talk.notes == []


SEARCHED = Turn("assistant", (ProviderCall("searched"), Text("two")))


def test_gives_what_the_provider_did_as_text() -> None:
    assert turns((), FIRST, SEARCHED, user("three")) == (
        FIRST,
        Turn("assistant", (Text("searched"), Text("two"))),
        user("three"),
    )


@pytest.mark.parametrize("past", [(FIRST, PLAIN_ANSWER), turns((), FIRST, SEARCHED, user("x"))[:2]])
def test_recognises_a_history_with_what_the_provider_did_and_without(past: tuple[Turn, ...]) -> None:
    assert turns(past, FIRST, SEARCHED, user("three")) == (*past, user("three"))


def test_recognises_a_history_with_an_answer_of_nothing_but_what_the_provider_did() -> None:
    past = (Turn("user", (Text("one"), Text("more"))), PLAIN_ANSWER)

    sent = (FIRST, Turn("assistant", (ProviderCall("searched"),)), user("more"), PLAIN_ANSWER, user("three"))

    assert turns(past, *sent) == (*past, user("three"))


def test_asks_a_system_prompt_alone() -> None:
    talk = Conversation()

    assert talk.ask_system(["Be kind.", " ", "Be brief."]) == []
    assert talk.turns() == (Turn("user", (Text("Be kind."), Text("Be brief."))),)
    assert len(talk.notes) == 1


def test_keeps_the_system_prompt_beside_a_message() -> None:
    talk = conversation((), FIRST)

    assert talk.ask_system(["Be kind.", " "]) == ["Be kind."]
    assert (talk.turns(), talk.notes) == ((FIRST,), [])


@pytest.mark.parametrize("messages", [(), (user("  "),), (assistant("I say"),)], ids=["none", "blank", "assistant"])
def test_what_is_remembered_is_no_question(messages: tuple[Turn, ...]) -> None:
    with pytest.raises(ApiError, match="no user message"):
        turns(PAST, *messages)


def test_an_answer_that_was_blank_lets_the_questions_stand_together() -> None:
    assert turns((FIRST,), user("two")) == (Turn("user", (Text("one"), Text("two"))),)


def test_what_is_remembered_is_not_changed_by_what_comes() -> None:
    past = (FIRST,)

    turns(past, user("two"))

    assert past == (user("one"),)
