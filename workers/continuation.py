"""Which conversation a job goes on from: an exact comparison by hash, never a guess. Pure.

Every conversation has a name made of whose it is, what it is about, and every word of it: a chain of hashes, so that
each of its beginnings has a name too.
"""

import hashlib
from typing import Any

import orjson

from workers.aliases import inward
from workers.call_arguments import read_arguments
from workers.events import BlockStarted, Event, InputDelta, Restarted, Signed, TextDelta, ThinkingDelta
from workers.job import Block, ChatJob, RedactedThought, Text, Thought, ToolUse, Turn
from workers.protocol import block_frame

Beginnings = tuple[str, ...]


def beginnings(job: ChatJob) -> Beginnings:
    """The name of the conversation before each of the user's turns: the first is the empty one, the last is the one
    that the job goes on from."""
    job = inward(job)
    tools = [[tool.name, tool.description, tool.schema, tool.strict] for tool in job.tools]
    name = _digest([job.owner, job.model, job.system, tools])
    names = []
    for turn in job.turns:
        if turn.role == "user":
            names.append(name)
        name = _then(name, turn)
    return tuple(names)


def after(before: str, asked: Turn, reply: Turn) -> str:
    """The name of a conversation once `asked` was answered with `reply`; names and ids are the model's, as in
    `inward`."""
    return _then(_then(before, asked), reply)


def canonical(turn: Turn) -> list[dict[str, Any]]:
    """A turn's blocks in the one form in which two turns are compared.

    Without thoughts: most callers do not send them back, and those of past turns are not read again by the model.
    The texts of an assistant's turn count as one, since dialects without blocks join them.
    """
    blocks = [block_frame(block) for block in turn.blocks if not isinstance(block, Thought | RedactedThought)]
    if turn.role == "user":
        return blocks
    text = "".join(block["text"] for block in blocks if block["type"] == "text")
    return [{"type": "text", "text": text}, *(block for block in blocks if block["type"] != "text")]


class Reply:
    """What the model answered, put together from the events."""

    def __init__(self) -> None:
        # A block, what was said of it, its signature.
        self._blocks: list[tuple[Block, list[str], list[str]]] = []

    def feed(self, event: Event) -> None:
        match event:
            case BlockStarted(block):
                self._blocks.append((block, [], []))
            case TextDelta(text) | ThinkingDelta(text) | InputDelta(text) if self._blocks:
                self._blocks[-1][1].append(text)
            case Signed(signature) if self._blocks:
                self._blocks[-1][2].append(signature)
            case Restarted():
                self._blocks.clear()

    def turn(self) -> Turn | None:
        """The assistant's turn without what the API would refuse: blank text, a thought without its signature, a call
        that broke off in its arguments. None where nothing is left."""
        blocks = [_whole(block, "".join(said), "".join(signed)) for block, said, signed in self._blocks]
        kept = tuple(block for block in blocks if block is not None)
        return Turn("assistant", kept) if kept else None


def _then(before: str, turn: Turn) -> str:
    return _digest([before, turn.role, canonical(turn)])


def _digest(content: list[Any]) -> str:
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _whole(block: Block, said: str, signature: str) -> Block | None:
    match block:
        case Text():
            return Text(said) if said.strip() else None
        case Thought():
            return Thought(said, signature) if signature else None
        case ToolUse(id_, name):
            read = read_arguments(said or "{}")
            return ToolUse(id_, name, read.value) if read else None
    return block
