"""A request in the words of no dialect. Frozen data."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Dialect = Literal["chat", "responses", "messages", "gemini"]
DIALECTS: tuple[Dialect, ...] = ("chat", "responses", "messages", "gemini")


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """`data` is base64."""

    media_type: str
    data: str


@dataclass(frozen=True, slots=True)
class Thought:
    thinking: str
    signature: str


@dataclass(frozen=True, slots=True)
class Call:
    id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Result:
    call: Call
    parts: tuple[Text | Picture, ...]
    failed: bool = False


Part = Text | Picture | Thought | Call | Result


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
    """None is what the client does not say. `choice` is "auto", "any", "none", or "tool:" and a name."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    choice: str | None = None
    parallel: bool | None = None
    budget: int | None = None


@dataclass(frozen=True, slots=True)
class Job:
    dialect: Dialect
    model: str
    turns: tuple[Turn, ...]
    system: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    parameters: Parameters = field(default_factory=Parameters)
    stream: bool = False
    # Chooses among the ways in which a dialect may say the same.
    wording: int = 0

    def answered(self, answer: str, question: str) -> "Job":
        """The job by which the client goes on after an answer in words."""
        turns = (Turn("assistant", (Text(answer),)), Turn("user", (Text(question),)))
        return replace(self, turns=self.turns + turns)
