"""Answers kept whole for callers who send them back without their thoughts."""

from dataclasses import replace

from claude_gateway.sessions.replies import OVERHEAD_BYTES, Replies
from claude_gateway.stores.turns import dump
from tests.claude_gateway.scripted import JOB
from workers.job import Block, Text, Thought, ToolUse, Turn

THOUGHT = Thought("hm", "signed")


def reply(call: str, *before: Block) -> Turn:
    return Turn("assistant", (*before, ToolUse(call, "f", {})))


def test_an_answer_is_found_by_its_first_call_for_its_key_and_its_model_alone() -> None:
    replies = Replies()
    answer = Turn("assistant", (*reply("c1", THOUGHT).blocks, *reply("c2").blocks))
    replies.add(JOB, answer)
    assert replies.of(JOB.owner)(JOB.model, "c1") is answer
    assert replies.of(JOB.owner)(JOB.model, "c2") is None
    assert replies.of(JOB.owner)("another", "c1") is None
    assert replies.of("another")(JOB.model, "c1") is None


def test_what_a_caller_sends_back_whole_is_not_kept() -> None:
    replies = Replies()
    for answer in (None, reply("c1"), reply("c1", Text("x")), Turn("assistant", (THOUGHT, Text("x")))):
        replies.add(JOB, answer)
    assert replies.of(JOB.owner)(JOB.model, "c1") is None


def test_the_oldest_go_first_and_the_same_again_takes_no_more_room() -> None:
    size = len(dump(reply("c1", THOUGHT))) + OVERHEAD_BYTES
    replies = Replies(most_bytes=2 * size)
    for call in ("c1", "c2", "c1", "c1", "c3"):
        replies.add(JOB, reply(call, THOUGHT))
    find = replies.of(JOB.owner)
    assert [find(JOB.model, call) is not None for call in ("c1", "c2", "c3")] == [True, False, True]


def test_a_key_that_keeps_much_drives_out_its_own_and_nothing_of_others() -> None:
    size = len(dump(reply("c1", THOUGHT))) + OVERHEAD_BYTES
    replies = Replies(most_bytes=4 * size + 10)
    replies.add(replace(JOB, owner="quiet"), reply("q", THOUGHT))
    for number in range(50):
        replies.add(JOB, reply(f"c{number}", THOUGHT))

    assert replies.of("quiet")(JOB.model, "q") is not None
    find = replies.of(JOB.owner)
    assert [number for number in range(50) if find(JOB.model, f"c{number}")] == [47, 48, 49]
