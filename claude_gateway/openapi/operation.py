"""The words in which a resource's file describes what it answers: frozen data, and nothing of how it is written down.
Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import SkipJsonSchema

T = TypeVar("T")
# A field that may be missing, and is never null.
Maybe: TypeAlias = T | SkipJsonSchema[None]


class Answered(BaseModel):
    """The shape of something that this gateway answers: all of it, no field besides."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Group(StrEnum):
    """Under which heading an operation stands; the value of each is its name there."""

    CHAT = "Chat"
    MODELS = "Models"
    SESSIONS = "Sessions"
    TOOLS = "Tools"
    MCP = "MCP"
    USAGE = "Usage"
    ADMIN = "Admin"
    HEALTH = "Health"


class Envelope(Enum):
    """Whose words an error is in; those of whoever asks, on a path of several dialects."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One in the path, the query or a header. `schema` is a JSON Schema."""

    name: str
    description: str
    place: Literal["path", "query", "header"] = "path"
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    example: Any = None


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent: any type that pydantic knows, and examples by the name of each."""

    shape: Any
    examples: Mapping[str, Any] = field(default_factory=dict)
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back: any type that pydantic knows as JSON, or text of `content_type`; `also` is the type of a text
    that may come instead, `stream` the shape of the data of each server-sent event, where it may be a stream."""

    description: str
    shape: Any = None
    example: Any = None
    content_type: str = "application/json"
    also: str = ""
    stream: Any = None
    stream_example: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path, as a caller sees it.

    `answers` are those that are no errors, by status. `errors` are the statuses beside those that every operation has:
    401, 403, 429 and 500 for one that needs a key, and for one with a body 400, 408, 413, 415 and 422.
    """

    method: Literal["get", "post", "put", "delete"]
    path: str
    group: Group
    summary: str
    answers: Mapping[int, Answer]
    description: str = ""
    body: Body | None = None
    parameters: tuple[Parameter, ...] = ()
    errors: tuple[int, ...] = ()
    envelope: Envelope = Envelope.OPENAI
    needs_key: bool = True
