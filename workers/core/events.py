"""Data types for the events that a running job produces. The events are the same for every dialect. No I/O.

The events of a job form a stream. It begins with `Started`. For each block of the reply, `BlockStarted`, deltas (events
with parts of the block) and `BlockEnded` follow. The last event is `Finished`. If the job fails, the stream ends early
by raising a `workers.core.errors.WorkerError`.

The stream consists of batches. A batch contains the events that arrived together, so that the gateway can send them to
the client with one write. A delta that arrives alone is a batch of its own, so it does not wait for others.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from workers.core.job import RedactedThinkingBlock, Text, ThinkingBlock, ToolUse

# `pause_turn` means that the gateway ended a job with built-in tools before the model had finished.
StopReason = Literal[
    "end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal", "model_context_window_exceeded", "pause_turn"
]


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Numbers of tokens for one reply, as the Messages API reports them.

    `input_tokens` does not include the tokens that were read from the cache or written to it. `output_tokens` includes
    `thinking_tokens`.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    thinking_tokens: int = 0

    def __add__(self, other: "TokenUsage") -> "TokenUsage":
        return TokenUsage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.thinking_tokens + other.thinking_tokens,
        )


NO_TOKEN_USAGE = TokenUsage()


@dataclass(frozen=True, slots=True)
class Started:
    """An event that reports that the upstream has accepted the request.

    Attributes:
        model: The model that replies.
        usage: The numbers of tokens that the upstream has counted until now.
        id: The id that the upstream has assigned to the message.
    """

    model: str
    usage: TokenUsage = NO_TOKEN_USAGE
    id: str = ""


@dataclass(frozen=True, slots=True)
class BlockStarted:
    """An event that reports the start of a block. Deltas follow, unless it is a `RedactedThinkingBlock`."""

    block: Text | ThinkingBlock | RedactedThinkingBlock | ToolUse


@dataclass(frozen=True, slots=True)
class TextDelta:
    """An event that contains the next part of a text block."""

    text: str


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    """An event that contains the next part of a thinking block."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolInputDelta:
    """An event that contains the next part of a tool call's arguments, as JSON text."""

    text: str


@dataclass(frozen=True, slots=True)
class SignatureDelta:
    """An event that contains the signature of the current thinking block.

    The event comes shortly before the end of the block.
    """

    signature: str


@dataclass(frozen=True, slots=True)
class BlockEnded:
    """An event that reports the end of the current block."""


@dataclass(frozen=True, slots=True)
class StreamReset:
    """An event that cancels all earlier events, because the upstream connection broke and the model began a new reply.

    The code that reads the events must discard all earlier events. If it has already sent a part of the reply to a
    client, it must end the response with an error.
    """


@dataclass(frozen=True, slots=True)
class Finished:
    """An event that reports the end of the reply. `stop_sequence` is set only if the stop reason is `stop_sequence`."""

    stop_reason: StopReason
    usage: TokenUsage
    stop_sequence: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    """An event that reports that the model calls a built-in tool. `summary` describes the call on one line."""

    id: str
    name: str
    summary: str
    input: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolCallFinished:
    """An event that reports that the call of a built-in tool has ended.

    Attributes:
        id: The id of the call.
        outcome: `denied` if the gateway did not permit the call, `failed` if the tool reported an error, otherwise
            `ok`.
        text: The result that the model reads.
    """

    id: str
    outcome: Literal["ok", "failed", "denied"]
    text: str = ""


# Events about calls of built-in tools. The stream contains them between the blocks of the reply, but only if the client
# has requested such events and the dialect has a form for them.
ToolProgress = ToolCallStarted | ToolCallFinished

Delta = TextDelta | ThinkingDelta | ToolInputDelta
BlockEvent = BlockStarted | Delta | SignatureDelta | BlockEnded
Event = Started | BlockEvent | StreamReset | Finished | ToolProgress
# Events that arrived together, in their order. No batch of a stream is empty.
EventBatch = Sequence[Event]
EventStream = AsyncGenerator[EventBatch, None]
