"""What the upstream is sent for a conversation: how much of it it has seen before, and how much nobody wrote."""

from itertools import pairwise
from typing import Any

from bench.client import caller
from bench.parts import Messages, gateway_process
from claude_gateway.demo.upstream import Received, stand_in

_MARK = b',"cache_control"'
_MESSAGES = b'"messages":['
Figures = dict[str, Any]


async def prompts(turns: int) -> Figures:
    """Bytes of each request's message part that the next one does not begin with, up to the mark of the cache, which
    moves; and blocks that no caller sent, on a fresh process and on one that has had other conversations."""
    async with stand_in() as upstream:
        settings = {"CHAT_WORKERS": "1", "CHAT_SPARE_WORKERS": "0"}
        async with gateway_process(upstream.url, **settings) as gateway, caller(gateway.url) as client:
            foreign = []
            for number in range(3):
                upstream.forget()
                conversation: Messages = []
                for turn in range(turns):
                    question = f"conversation {number}, question {turn}"
                    _, arrivals = await client.ask(question, conversation)
                    answer = "".join(text for _, text in arrivals)
                    conversation += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
                said = [message["content"] for message in conversation]
                foreign.append(_foreign(upstream.chats[-1].body, said))
            lost = [_not_begun_with(*pair) for pair in pairwise(upstream.chats)]
    return {
        "turns": turns,
        "prefix_bytes": len(_before_mark(upstream.chats[-1])),
        "prefix_bytes_lost": sum(lost),
        "foreign_blocks_fresh": foreign[0],
        "foreign_blocks_reused": max(foreign[1:]),
    }


def _foreign(body: dict[str, Any], said: list[str]) -> int:
    texts = [block["text"] for message in body["messages"] for block in message["content"]]
    return len(texts) - sum(text in said for text in texts)


def _not_begun_with(before: Received, after: Received) -> int:
    """How many bytes of the earlier prompt the later one does not repeat at its head."""
    head, whole = _before_mark(before), _messages(after)
    if whole.startswith(head):
        return 0
    same = next(at for at, byte in enumerate(head) if whole[at : at + 1] != bytes([byte]))
    return len(head) - same


def _messages(request: Received) -> bytes:
    return request.raw[request.raw.index(_MESSAGES) :]


def _before_mark(request: Received) -> bytes:
    """The message part up to the mark on its newest block."""
    part = _messages(request)
    end = part.find(_MARK)
    return part[:end] if end >= 0 else part
