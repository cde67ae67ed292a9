"""Conversation keys, with which a job finds the process that holds the history of its conversation. No I/O.

A conversation key is a hash of everything in a conversation: the API key, the model, the system prompt, the tools and
each turn. The key of a conversation is computed from the key of the same conversation without the last turn. So each
prefix of a conversation also has a key, which is called a prefix key. Two conversations count as the same only if their
keys are equal, so a job never continues a conversation that differs in one character.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from workers.core.events import (
    BlockEnded,
    BlockStarted,
    Event,
    Finished,
    SignatureDelta,
    Started,
    StreamReset,
    TextDelta,
    ThinkingDelta,
    ToolCallFinished,
    ToolCallStarted,
    ToolInputDelta,
)
from workers.core.job import Block, ChatJob, RedactedThinkingBlock, Text, ThinkingBlock, ToolUse, Turn
from workers.core.json_chunks import iter_json_chunks
from workers.core.message_blocks import encode_block
from workers.params.call_arguments import parse_arguments

PrefixKeys = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConversationKeys:
    """The conversation keys of one job.

    Attributes:
        prefixes: One key for each user turn: the key of the conversation before that turn. The first is the key of the
            empty conversation, the last is the key of the conversation that the job continues.
        prompt_key: The key of the conversation that ends with the job's last user turn and has no reply to it yet.
    """

    prefixes: PrefixKeys
    prompt_key: str

    @property
    def history_key(self) -> str:
        """The key of the conversation that the job continues."""
        return self.prefixes[-1]

    def with_reply(self, reply: Turn) -> str:
        """Return the key of the conversation after this reply.

        The names in the reply must be those that the API accepts.
        """
        return extend_key(self.prompt_key, reply)


def compute_prefix_keys(job: ChatJob) -> PrefixKeys:
    """Return the prefix keys of a job. The names in the job must be those that the API accepts."""
    return compute_conversation_keys(job).prefixes


def compute_conversation_keys(job: ChatJob) -> ConversationKeys:
    """Return the conversation keys of a job.

    The names in the job must be those that the API accepts (`sanitize_names`).
    """
    (keys,) = _compute_chains(job.turns, [_compute_root_key(job, job.model, job.system)])
    return keys


def compute_conversation_and_content_keys(job: ChatJob) -> tuple[ConversationKeys, ConversationKeys]:
    """Return the conversation keys and the content keys of a job.

    Content keys are conversation keys that are computed without the model and the system prompt. The turns are encoded
    only once for both.
    """
    keys, content_keys = _compute_chains(
        job.turns, [_compute_root_key(job, job.model, job.system), _compute_root_key(job, "", "")]
    )
    return keys, content_keys


def extend_key(conversation_key: str, *turns: Turn) -> str:
    """Return the key of a conversation after these turns are added to it."""
    for turn in turns:
        (conversation_key,) = _append_turn([conversation_key], turn)
    return conversation_key


def canonicalize_turn(turn: Turn) -> list[dict[str, Any]]:
    """Return the blocks of a turn in the form in which the gateway compares two turns.

    Thinking is omitted: most clients do not send it back, and the model does not read thinking of past turns again.
    The texts of an assistant turn are joined, because dialects without blocks join them.
    """
    blocks = [
        encode_block(block) for block in turn.blocks if not isinstance(block, ThinkingBlock | RedactedThinkingBlock)
    ]
    if turn.role == "user":
        return blocks
    text = "".join(block["text"] for block in blocks if block["type"] == "text")
    return [{"type": "text", "text": text}, *(block for block in blocks if block["type"] != "text")]


class ReplyBuilder:
    """Builds the assistant turn from the events of a reply."""

    def __init__(self) -> None:
        # The blocks of the reply. Each entry contains the block as it started, its deltas and its signature.
        self._blocks: list[tuple[Block, list[str], list[str]]] = []

    def feed_all(self, events: Iterable[Event]) -> None:
        """Add the next events of the reply."""
        for event in events:
            if isinstance(event, TextDelta) and self._blocks:  # saves time, because most events are text deltas
                self._blocks[-1][1].append(event.text)
            else:
                self.feed(event)

    def feed(self, event: Event) -> None:
        """Add the next event of the reply."""
        match event:
            case TextDelta(text) | ThinkingDelta(text) | ToolInputDelta(text) if self._blocks:
                self._blocks[-1][1].append(text)
            case BlockStarted(block):
                self._blocks.append((block, [], []))
            case SignatureDelta(signature) if self._blocks:
                self._blocks[-1][2].append(signature)
            case StreamReset():
                self._blocks.clear()
            case TextDelta() | ThinkingDelta() | ToolInputDelta() | SignatureDelta():
                pass  # a delta that belongs to no block
            case Started() | BlockEnded() | Finished() | ToolCallStarted() | ToolCallFinished():
                pass
            case _:
                assert_never(event)

    def build(self) -> Turn | None:
        """Return the assistant turn, or None if it would have no blocks.

        Blocks that the API would reject are omitted: blank text, thinking without its signature, and a call with
        incomplete arguments.
        """
        blocks = [
            _complete_block(block, "".join(deltas), "".join(signature)) for block, deltas, signature in self._blocks
        ]
        complete = tuple(block for block in blocks if block is not None)
        return Turn("assistant", complete) if complete else None


def _compute_root_key(job: ChatJob, model: str, system: str) -> str:
    tools = [[tool.name, tool.description, tool.schema, tool.strict] for tool in job.tools]
    hash_ = hashlib.sha256()
    for chunk in iter_json_chunks([job.key_id, model, system, tools], sort_keys=True):
        hash_.update(chunk)
    return hash_.hexdigest()


def _compute_chains(turns: Iterable[Turn], root_keys: Sequence[str]) -> list[ConversationKeys]:
    keys = list(root_keys)
    prefixes: list[list[str]] = [[] for _ in keys]
    for turn in turns:
        if turn.role == "user":
            for prefix, key in zip(prefixes, keys, strict=True):
                prefix.append(key)
        keys = _append_turn(keys, turn)
    return [ConversationKeys(tuple(prefix), key) for prefix, key in zip(prefixes, keys, strict=True)]


def _append_turn(keys: Sequence[str], turn: Turn) -> list[str]:
    """Return the keys of several conversations after this turn is added to each. The turn is encoded only once.

    Each key is the SHA-256 of the JSON array [previous key, role, canonical blocks].
    """
    hashes = [hashlib.sha256(f'["{key}","{turn.role}",'.encode()) for key in keys]
    for chunk in iter_json_chunks(canonicalize_turn(turn), sort_keys=True):
        for hash_ in hashes:
            hash_.update(chunk)
    for hash_ in hashes:
        hash_.update(b"]")
    return [hash_.hexdigest() for hash_ in hashes]


def _complete_block(block: Block, text: str, signature: str) -> Block | None:
    match block:
        case Text():
            return Text(text) if text.strip() else None
        case ThinkingBlock():
            return ThinkingBlock(text, signature) if signature else None
        case ToolUse(id_, name):
            arguments = parse_arguments(text or "{}")
            return ToolUse(id_, name, arguments.value) if arguments else None
    return block
