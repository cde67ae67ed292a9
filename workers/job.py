"""What a caller wants done, as frozen data without behaviour.

The blocks are those of the Anthropic Messages API, because that is what the CLI takes and gives.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["user", "assistant"]


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text; never empty or blank, the API refuses such a block."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """`source` as in the Messages API: `{"type": "base64", "media_type": …, "data": …}`. `url` is where the caller had
    named it, where it was fetched: of no matter to the model."""

    source: Mapping[str, Any]
    url: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Document:
    """A PDF or a text as the caller sent it: `source`, and any `title`, `context`, `citations`. `url` as of an
    image."""

    fields: Mapping[str, Any]
    url: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found: `source`, `title` and `content`, a list of text blocks, as in the Messages API."""

    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Thought:
    """What the model thought in an earlier turn, with the signature that proves it its own."""

    thinking: str
    signature: str


@dataclass(frozen=True, slots=True)
class RedactedThought:
    """A thought that only the model itself can read."""

    data: str


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A call the model made in an earlier turn; `input` is a JSON object."""

    id: str
    name: str
    input: Mapping[str, Any]


# What the result of a call may hold.
ResultPart = Text | Image | Document | SearchResult


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What the caller's tool answered to the call `tool_use_id`. With `is_error` its content is text, and there is
    some: the API takes nothing else."""

    tool_use_id: str
    content: tuple[ResultPart, ...]
    is_error: bool = False


Block = Text | Image | Document | SearchResult | Thought | RedactedThought | ToolUse | ToolResult


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation; at least one block."""

    role: Role
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function of the client's own, which the model may call and the client runs. `schema` is a JSON Schema. With
    `strict` the API holds calls to it."""

    name: str
    description: str
    schema: Mapping[str, Any]
    strict: bool = False


@dataclass(frozen=True, slots=True)
class RemoteResult:
    """What a tool that is carried out elsewhere answered; at least one block, none of them blank."""

    content: tuple[Text | Image, ...]
    is_error: bool = False


# Of a remote tool's name and what it is called with.
Call = Callable[[str, Mapping[str, Any]], Awaitable[RemoteResult]]


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether the model must call: as it likes, any, the one named `name`, or none; `parallel`: several at once."""

    mode: Literal["auto", "any", "tool", "none"] = "auto"
    name: str = ""
    parallel: bool = True


# How a caller reads of the calls of Claude's own tools: a line each among the thoughts, or the calls and their results.
Progress = Literal["thoughts", "calls"]
Thinking = int | Literal["off", "adaptive"]
# How much of its thoughts is shown: summarized, none but the signature, or news of the work between tool calls.
Display = Literal["summarized", "omitted", "updates"]
Effort = Literal["low", "medium", "high", "xhigh", "max"]


@dataclass(frozen=True, slots=True)
class OutputSchema:
    """What the text of the answer must be: JSON of this shape. `schema` is the caller's own JSON Schema, None for
    any JSON object; `place` is where it stands in his request, for complaints.

    `fitted` is what of it the model itself can be held to; None where it can only be asked for in words.
    """

    schema: Mapping[str, Any] | None
    place: str
    fitted: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Tuning:
    """How the model is to answer, in the units of the Messages API. None leaves a thing to the model.

    `temperature` and `top_p` lie between 0 and 1. `thinking` is a budget in tokens, off, or as much as the
    model sees fit.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    thinking: Thinking = "off"
    display: Display | None = None
    effort: Effort | None = None
    tool_choice: ToolChoice | None = None
    output: OutputSchema | None = None


PLAIN = Tuning()


@dataclass(frozen=True, slots=True)
class ToolWork:
    """Work with Claude's own tools: `tools` by the names that the CLI has for them, sorted.

    `place` names the directory, among those of the owner, that outlives the job; without one it goes with the job.
    With `plan` nothing is carried out. `progress`: how the caller reads of each call, None for not at all. `last_only`:
    what Claude says before its last call is no part of the answer, which must be of a shape that this has not. `remote`
    are tools beside Claude's own, under names that no other tool has, and `call` carries them out: what goes wrong is
    an answer too.
    """

    tools: tuple[str, ...]
    place: str | None = None
    max_turns: int | None = None
    plan: bool = False
    progress: Progress | None = None
    last_only: bool = False
    remote: tuple[Tool, ...] = ()
    call: Call | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class ChatJob:
    """One question to the model, with everything that decides the answer.

    `owner` names the API key the job runs for: a process never serves two. `system` is "" for none.
    `turns` alternate, begin and end with the user's. `work` is None for a plain chat.
    """

    owner: str
    model: str
    turns: tuple[Turn, ...]
    system: str = ""
    tuning: Tuning = PLAIN
    tools: tuple[Tool, ...] = ()
    work: ToolWork | None = None
