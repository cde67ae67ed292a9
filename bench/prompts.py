"""Benchmark of upstream prompts: bytes that break the prompt cache, and blocks that no client sent."""

from itertools import pairwise
from typing import Any

from bench.client import connect_client
from bench.figures import BenchResult
from bench.parts import ChatMessages, run_gateway_process
from claude_gateway.devtools.fake_anthropic.server import RecordedRequest, run_fake_anthropic

_CACHE_CONTROL_FIELD = b',"cache_control"'
_MESSAGES_FIELD = b'"messages":['


async def measure_prompts(turn_count: int) -> BenchResult:
    """Count the bytes of each upstream request that the next one does not start with, and blocks that no client sent.

    The bytes are those of the messages up to the cache mark, which moves. Blocks are counted in a fresh process and in
    one that served other conversations.
    """
    async with run_fake_anthropic() as upstream:
        settings = {"CHAT_WORKERS": "1", "CHAT_SPARE_WORKERS": "0"}
        async with run_gateway_process(upstream.url, **settings) as gateway, connect_client(gateway.url) as client:
            foreign_counts = []
            for number in range(3):
                upstream.clear()
                conversation: ChatMessages = []
                for turn in range(turn_count):
                    question = f"conversation {number}, question {turn}"
                    _, arrivals = await client.send_chat(question, conversation)
                    reply = "".join(text for _, text in arrivals)
                    conversation += [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]
                client_texts = [message["content"] for message in conversation]
                foreign_counts.append(_count_foreign_blocks(upstream.chat_requests[-1].body, client_texts))
            lost_counts = [count_lost_prefix_bytes(*pair) for pair in pairwise(upstream.chat_requests)]
    return {
        "turns": turn_count,
        "prefix_bytes": len(cacheable_prefix(upstream.chat_requests[-1])),
        "lost_prefix_bytes": sum(lost_counts),
        "foreign_blocks_fresh": foreign_counts[0],
        "foreign_blocks_reused": max(foreign_counts[1:]),
    }


def _count_foreign_blocks(body: dict[str, Any], client_texts: list[str]) -> int:
    """Count the text blocks of an upstream request that the client did not send."""
    texts = [block["text"] for message in body["messages"] for block in message["content"]]
    return len(texts) - sum(text in client_texts for text in texts)


def count_lost_prefix_bytes(earlier: RecordedRequest, later: RecordedRequest) -> int:
    """Count the bytes of the earlier prompt that the later one does not repeat at its start."""
    prefix, messages = cacheable_prefix(earlier), _messages_part(later)
    if messages.startswith(prefix):
        return 0
    common_count = next(i for i, byte in enumerate(prefix) if messages[i : i + 1] != bytes([byte]))
    return len(prefix) - common_count


def _messages_part(request: RecordedRequest) -> bytes:
    return request.raw[request.raw.index(_MESSAGES_FIELD) :]


def cacheable_prefix(request: RecordedRequest) -> bytes:
    """Return the messages of a request up to the cache mark on the newest block."""
    part = _messages_part(request)
    end = part.find(_CACHE_CONTROL_FIELD)
    return part[:end] if end >= 0 else part
