"""A job continues a conversation only if it is equal in every character."""

from dataclasses import replace

import pytest

from tests.workers.helpers import assistant_turn, make_job, user_turn
from workers.conversation.prefix_keys import ReplyBuilder, compute_prefix_keys, extend_key
from workers.core.events import (
    BlockEnded,
    BlockStarted,
    Event,
    SignatureDelta,
    StreamReset,
    TextDelta,
    ThinkingDelta,
    ToolInputDelta,
)
from workers.core.job import ChatJob, RedactedThinkingBlock, Text, ThinkingBlock, ToolDefinition, ToolUse, Turn

FIRST = make_job(user_turn("hi"), system="be brief")
FIRST_KEY = extend_key(compute_prefix_keys(FIRST)[-1], FIRST.turns[-1], assistant_turn("one two"))
NEXT = make_job(user_turn("hi"), assistant_turn("one two"), user_turn("and?"), system="be brief")


def history_key(job: ChatJob) -> str:
    return compute_prefix_keys(job)[-1]


def build_reply(*events: Event) -> Turn | None:
    reply = ReplyBuilder()
    for event in events:
        reply.feed(event)
    return reply.build()


@pytest.mark.promise("conversations.never-a-guess")
@pytest.mark.parametrize(
    "job",
    [
        replace(NEXT, key_id="bob"),
        replace(NEXT, model="other"),
        replace(NEXT, system="be long"),
        replace(NEXT, tools=(ToolDefinition("f", "", {}),)),
        replace(NEXT, turns=(user_turn("hi!"), *NEXT.turns[1:])),
        replace(NEXT, turns=(NEXT.turns[0], assistant_turn("one two "), NEXT.turns[2])),
        replace(NEXT, turns=(*NEXT.turns, assistant_turn("more"), user_turn("x"))),
        FIRST,
    ],
    ids=["key", "model", "system", "tools", "user turn", "reply", "length", "prefix"],
)
def test_a_job_with_any_difference_is_another_conversation(job: ChatJob) -> None:
    assert history_key(NEXT) == FIRST_KEY
    assert history_key(job) != FIRST_KEY


def test_a_prefix_has_the_key_of_the_conversation_that_it_was() -> None:
    longer = replace(NEXT, turns=(*NEXT.turns, assistant_turn("three"), user_turn("more")))
    assert compute_prefix_keys(longer)[:2] == compute_prefix_keys(NEXT)
    assert compute_prefix_keys(longer)[0] == history_key(FIRST)
    assert compute_prefix_keys(longer)[2] == extend_key(FIRST_KEY, NEXT.turns[-1], assistant_turn("three"))


def test_ignores_whether_the_client_sends_thinking_back() -> None:
    with_thinking = Turn("assistant", (ThinkingBlock("hm", "x"), RedactedThinkingBlock("y"), Text("one two")))
    assert history_key(replace(NEXT, turns=(NEXT.turns[0], with_thinking, NEXT.turns[2]))) == FIRST_KEY


def test_joins_the_texts_of_a_reply_but_not_those_of_a_user_turn() -> None:
    parts = Turn("assistant", (Text("one "), Text("two")))
    assert history_key(replace(NEXT, turns=(NEXT.turns[0], parts, NEXT.turns[2]))) == FIRST_KEY
    split_user_turn = Turn("user", (Text("h"), Text("i")))
    assert history_key(replace(NEXT, turns=(split_user_turn, *NEXT.turns[1:]))) != FIRST_KEY


def test_builds_the_reply_that_a_client_would_send_back() -> None:
    call = ToolUse("call_1", "f", {})
    assert build_reply(
        *(BlockStarted(ThinkingBlock("", "")), ThinkingDelta("hm"), SignatureDelta("x"), BlockEnded()),
        *(BlockStarted(Text("")), TextDelta("one "), TextDelta("two"), BlockEnded()),
        *(BlockStarted(call), ToolInputDelta('{"a"'), ToolInputDelta(":1}"), BlockEnded()),
    ) == Turn("assistant", (ThinkingBlock("hm", "x"), Text("one two"), ToolUse("call_1", "f", {"a": 1})))


def test_builds_call_arguments_in_the_form_that_the_cli_keeps() -> None:
    call = ToolUse("call_1", "f", {})

    for json_text, value in (('{"a":1234567890123456789}', "1234567890123456789"), ('{"a":"x\ny"}', "x\ny")):
        assert build_reply(BlockStarted(call), ToolInputDelta(json_text), BlockEnded()) == Turn(
            "assistant", (ToolUse("call_1", "f", {"a": value}),)
        )


def test_leaves_incomplete_blocks_out_of_a_reply() -> None:
    assert build_reply(
        *(BlockStarted(Text("")), TextDelta("one"), BlockEnded()),
        *(BlockStarted(ToolUse("call_1", "f", {})), ToolInputDelta('{"a"'), BlockEnded()),
        *(BlockStarted(ThinkingBlock("", "")), ThinkingDelta("h")),
    ) == Turn("assistant", (Text("one"),))


def test_returns_none_for_a_reply_without_complete_blocks() -> None:
    assert build_reply() is None
    assert build_reply(BlockStarted(Text("")), TextDelta(" "), BlockEnded()) is None


def test_discards_blocks_before_a_stream_reset() -> None:
    old, new = ((BlockStarted(Text("")), TextDelta(text)) for text in ("old", "new"))
    assert build_reply(*old, StreamReset(), *new) == Turn("assistant", (Text("new"),))
