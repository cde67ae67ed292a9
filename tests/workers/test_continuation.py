"""Which job goes on where: equal to the letter, or not at all."""

from dataclasses import replace

import pytest

from tests.workers.helpers import a_job, assistant, user
from workers.continuation import Reply, after, beginnings
from workers.events import BlockEnded, BlockStarted, Event, InputDelta, Restarted, Signed, TextDelta, ThinkingDelta
from workers.job import ChatJob, RedactedThought, Text, Thought, Tool, ToolUse, Turn

FIRST = a_job(user("hi"), system="be brief")
AFTER = after(beginnings(FIRST)[-1], FIRST.turns[-1], assistant("one two"))
NEXT = a_job(user("hi"), assistant("one two"), user("and?"), system="be brief")


def goes_on_from(job: ChatJob) -> str:
    return beginnings(job)[-1]


def said(*events: Event) -> Turn | None:
    reply = Reply()
    for event in events:
        reply.feed(event)
    return reply.turn()


@pytest.mark.promise("conversations.never-a-guess")
@pytest.mark.parametrize(
    "job",
    [
        replace(NEXT, owner="bob"),
        replace(NEXT, model="other"),
        replace(NEXT, system="be long"),
        replace(NEXT, tools=(Tool("f", "", {}),)),
        replace(NEXT, turns=(user("hi!"), *NEXT.turns[1:])),
        replace(NEXT, turns=(NEXT.turns[0], assistant("one two "), NEXT.turns[2])),
        replace(NEXT, turns=(*NEXT.turns, assistant("more"), user("x"))),
        FIRST,
    ],
    ids=["owner", "model", "system", "tools", "question", "answer", "length", "beginning"],
)
def test_whatever_differs_is_another_conversation(job: ChatJob) -> None:
    assert goes_on_from(NEXT) == AFTER
    assert goes_on_from(job) != AFTER


def test_every_beginning_has_the_name_it_had_as_a_whole() -> None:
    longer = replace(NEXT, turns=(*NEXT.turns, assistant("three"), user("more")))
    assert beginnings(longer)[:2] == beginnings(NEXT)
    assert beginnings(longer)[0] == goes_on_from(FIRST)
    assert beginnings(longer)[2] == after(AFTER, NEXT.turns[-1], assistant("three"))


def test_thoughts_may_be_sent_back_or_not() -> None:
    thoughtful = Turn("assistant", (Thought("hm", "x"), RedactedThought("y"), Text("one two")))
    assert goes_on_from(replace(NEXT, turns=(NEXT.turns[0], thoughtful, NEXT.turns[2]))) == AFTER


def test_texts_of_an_answer_may_come_back_as_one_but_those_of_a_question_stay_apart() -> None:
    parts = Turn("assistant", (Text("one "), Text("two")))
    assert goes_on_from(replace(NEXT, turns=(NEXT.turns[0], parts, NEXT.turns[2]))) == AFTER
    asked = Turn("user", (Text("h"), Text("i")))
    assert goes_on_from(replace(NEXT, turns=(asked, *NEXT.turns[1:]))) != AFTER


def test_the_reply_is_what_a_caller_would_send_back() -> None:
    call = ToolUse("call_1", "f", {})
    assert said(
        *(BlockStarted(Thought("", "")), ThinkingDelta("hm"), Signed("x"), BlockEnded()),
        *(BlockStarted(Text("")), TextDelta("one "), TextDelta("two"), BlockEnded()),
        *(BlockStarted(call), InputDelta('{"a"'), InputDelta(":1}"), BlockEnded()),
    ) == Turn("assistant", (Thought("hm", "x"), Text("one two"), ToolUse("call_1", "f", {"a": 1})))


def test_a_reply_holds_integers_and_odd_text_as_the_cli_carries_them() -> None:
    call = ToolUse("call_1", "f", {})

    for written, value in (('{"a":1234567890123456789}', "1234567890123456789"), ('{"a":"x\ny"}', "x\ny")):
        assert said(BlockStarted(call), InputDelta(written), BlockEnded()) == Turn(
            "assistant", (ToolUse("call_1", "f", {"a": value}),)
        )


def test_what_was_cut_off_in_a_reply_is_left_out() -> None:
    assert said(
        *(BlockStarted(Text("")), TextDelta("one"), BlockEnded()),
        *(BlockStarted(ToolUse("call_1", "f", {})), InputDelta('{"a"'), BlockEnded()),
        *(BlockStarted(Thought("", "")), ThinkingDelta("h")),
    ) == Turn("assistant", (Text("one"),))


def test_a_reply_of_which_nothing_is_left_is_none() -> None:
    assert said() is None
    assert said(BlockStarted(Text("")), TextDelta(" "), BlockEnded()) is None


def test_after_a_restart_only_what_came_again_counts() -> None:
    old, new = ((BlockStarted(Text("")), TextDelta(text)) for text in ("old", "new"))
    assert said(*old, Restarted(), *new) == Turn("assistant", (Text("new"),))
