"""Cache of replies with thinking, for clients that resend them without it."""

from dataclasses import replace

from claude_gateway.sessions.thinking_cache import ENTRY_OVERHEAD_BYTES, ThinkingCache
from claude_gateway.sessions.turn_codec import encode_turn
from tests.claude_gateway.scripted import JOB
from workers.core.job import Block, Text, ThinkingBlock, ToolUse, Turn

THINKING = ThinkingBlock("hm", "signed")


def create_reply(call_id: str, *previous_blocks: Block) -> Turn:
    return Turn("assistant", (*previous_blocks, ToolUse(call_id, "f", {})))


def test_finds_a_reply_by_its_first_call_for_its_key_and_model_only() -> None:
    cache = ThinkingCache()
    reply = Turn("assistant", (*create_reply("c1", THINKING).blocks, *create_reply("c2").blocks))
    cache.add(JOB, reply)
    assert cache.lookup_for_key(JOB.key_id)(JOB.model, "c1") is reply
    assert cache.lookup_for_key(JOB.key_id)(JOB.model, "c2") is None
    assert cache.lookup_for_key(JOB.key_id)("another", "c1") is None
    assert cache.lookup_for_key("another")(JOB.model, "c1") is None


def test_does_not_cache_reply_that_the_client_resends_complete() -> None:
    cache = ThinkingCache()
    for reply in (None, create_reply("c1"), create_reply("c1", Text("x")), Turn("assistant", (THINKING, Text("x")))):
        cache.add(JOB, reply)
    assert cache.lookup_for_key(JOB.key_id)(JOB.model, "c1") is None


def test_evicts_the_oldest_replies_and_counts_equal_ones_once() -> None:
    size = len(encode_turn(create_reply("c1", THINKING))) + ENTRY_OVERHEAD_BYTES
    cache = ThinkingCache(max_bytes=2 * size)
    for call in ("c1", "c2", "c1", "c1", "c3"):
        cache.add(JOB, create_reply(call, THINKING))
    find = cache.lookup_for_key(JOB.key_id)
    assert [find(JOB.model, call) is not None for call in ("c1", "c2", "c3")] == [True, False, True]


def test_key_with_many_replies_evicts_only_its_own() -> None:
    size = len(encode_turn(create_reply("c1", THINKING))) + ENTRY_OVERHEAD_BYTES
    cache = ThinkingCache(max_bytes=4 * size + 10)
    cache.add(replace(JOB, key_id="quiet"), create_reply("q", THINKING))
    for number in range(50):
        cache.add(JOB, create_reply(f"c{number}", THINKING))

    assert cache.lookup_for_key("quiet")(JOB.model, "q") is not None
    find = cache.lookup_for_key(JOB.key_id)
    assert [number for number in range(50) if find(JOB.model, f"c{number}")] == [47, 48, 49]
