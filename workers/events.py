"""What comes back while a job runs: one stream of these, the same for every dialect.

A stream is `Started`, then blocks one after another (`BlockStarted`, deltas, `BlockEnded`), then one
`Finished`; or it ends early by raising `workers.errors.WorkerError`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from workers.job import RedactedThought, Text, Thought, ToolUse

# `pause_turn`: Claude's own work was ended before the model was done with it.
StopReason = Literal[
    "end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal", "model_context_window_exceeded", "pause_turn"
]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as the Messages API counts them: `input` excludes what the cache read or wrote, `output` includes
    `thinking`."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    thinking: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.input + other.input,
            self.output + other.output,
            self.cache_read + other.cache_read,
            self.cache_write + other.cache_write,
            self.thinking + other.thinking,
        )


NOTHING_USED = Usage()


@dataclass(frozen=True, slots=True)
class Started:
    """The upstream accepted the request; `model` is the one that answers, `usage` what is known so far, `id` the
    upstream's own of the message."""

    model: str
    usage: Usage = NOTHING_USED
    id: str = ""


@dataclass(frozen=True, slots=True)
class BlockStarted:
    """A block of the answer begins. What it says comes in deltas; a `RedactedThought` has none."""

    block: Text | Thought | RedactedThought | ToolUse


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    text: str


@dataclass(frozen=True, slots=True)
class InputDelta:
    """A piece of the JSON text of a tool call's input."""

    text: str


@dataclass(frozen=True, slots=True)
class Signed:
    """The signature of the thought that is about to end."""

    signature: str


@dataclass(frozen=True, slots=True)
class BlockEnded:
    """The block begun last is whole."""


@dataclass(frozen=True, slots=True)
class Restarted:
    """Everything so far is void: the upstream connection broke and the model answered anew, differently.

    A reader that already showed something must end in an error; one that did not can simply forget.
    """


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of an answer that did not fail; `stop_sequence` only with that stop reason."""

    stop_reason: StopReason
    usage: Usage
    stop_sequence: str | None = None


@dataclass(frozen=True, slots=True)
class ToolBegan:
    """Claude calls one of its own tools; `summary` is what it is about, in a line."""

    id: str
    name: str
    summary: str
    input: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolEnded:
    """What became of the call: `denied` by the rules of this gateway, or failed by itself. `text` is what the tool told
    the model."""

    id: str
    outcome: Literal["ok", "failed", "denied"]
    text: str = ""


# What a job with Claude's own tools tells between the blocks of its answer. A dialect sees it only where its caller
# asked for that, and the dialect has words for it.
Working = ToolBegan | ToolEnded

Delta = TextDelta | ThinkingDelta | InputDelta
Piece = BlockStarted | Delta | Signed | BlockEnded
Event = Started | Piece | Restarted | Finished | Working
