"""Whether a job goes on where a worker's conversation stands: an exact comparison by hash, never a guess. Pure."""

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson

from workers.events import BlockStarted, Event, InputDelta, Restarted, Signed, TextDelta, ThinkingDelta
from workers.job import Block, ChatJob, RedactedThought, Text, Thought, ToolUse, Turn
from workers.protocol import block_frame
from workers.tool_bridge import inward


class Reply:
    """What the caller was given, put together from the events; he sends it back as the assistant's turn."""

    def __init__(self) -> None:
        # A block, what was said of it, its signature.
        self._blocks: list[tuple[Text | Thought | RedactedThought | ToolUse, list[str], list[str]]] = []

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

    def turn(self) -> Turn:
        """Every block of it, but for what was cut off and the API would refuse: a thought without its signature, a
        call in the middle of its arguments."""
        blocks = [_whole(block, "".join(said), "".join(signed)) for block, said, signed in self._blocks]
        return Turn("assistant", tuple(block for block in blocks if block is not None))


def history_key(job: ChatJob) -> str | None:
    """The conversation that the job's last turn goes on from; None for one that begins."""
    if len(job.turns) == 1:
        return None
    job = inward(job)
    return _key(job, job.turns[:-1])


def reply_key(job: ChatJob, reply: Turn) -> str:
    """The conversation as it stands after the job was answered; names and ids are the model's, as in `inward`."""
    return _key(job, (*job.turns, reply))


def canonical(turn: Turn) -> list[dict[str, Any]]:
    """A turn's blocks in the one form in which two turns are compared, thoughts aside; the texts of an assistant's
    turn as one, since dialects without blocks join them."""
    blocks = [block_frame(block) for block in turn.blocks if not isinstance(block, Thought | RedactedThought)]
    if turn.role == "user":
        return blocks
    text = "".join(block["text"] for block in blocks if block["type"] == "text")
    return [{"type": "text", "text": text}, *(block for block in blocks if block["type"] != "text")]


def _key(job: ChatJob, turns: Sequence[Turn]) -> str:
    """Whose it is, what it is about and every word of it. Thoughts are left out: most callers do not send them
    back, and those of past turns are not read again by the model."""
    tools = [[tool.name, tool.description, tool.schema] for tool in job.tools]
    content = [job.owner, job.model, job.system, tools, [[turn.role, canonical(turn)] for turn in turns]]
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _whole(block: Text | Thought | RedactedThought | ToolUse, said: str, signature: str) -> Block | None:
    match block:
        case Text():
            return Text(said)
        case Thought():
            return Thought(said, signature) if signature else None
        case RedactedThought():
            return block
        case ToolUse(id_, name):
            try:
                return ToolUse(id_, name, orjson.loads(said or "{}"))
            except orjson.JSONDecodeError:
                return None
