"""A request that belongs to no dialect, as frozen data."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Dialect = Literal["chat", "responses", "messages", "gemini"]
DIALECTS: tuple[Dialect, ...] = ("chat", "responses", "messages", "gemini")


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image. `data` is base64."""

    media_type: str
    data: str


@dataclass(frozen=True, slots=True)
class ThinkingBlock:
    thinking: str
    signature: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolResult:
    call: ToolCall
    parts: tuple[Text | Image, ...]
    is_error: bool = False


Part = Text | Image | ThinkingBlock | ToolCall | ToolResult


@dataclass(frozen=True, slots=True)
class Turn:
    role: Literal["user", "assistant"]
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    description: str | None
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Parameters:
    """Parameters of a request.

    None stands for a parameter that the client does not send. `tool_choice` is "auto", "any", "none", or "tool:" and a
    name.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    tool_choice: str | None = None
    parallel_tool_calls: bool | None = None
    thinking_budget_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Job:
    dialect: Dialect
    model: str
    turns: tuple[Turn, ...]
    system: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    parameters: Parameters = field(default_factory=Parameters)
    stream: bool = False
    # Chooses among equivalent forms of a request in its dialect.
    variant_bits: int = 0

    def with_next_question(self, reply: str, question: str) -> "Job":
        """Return the job in which the client continues the conversation after a reply."""
        turns = (Turn("assistant", (Text(reply),)), Turn("user", (Text(question),)))
        return replace(self, turns=self.turns + turns)
