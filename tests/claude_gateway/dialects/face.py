"""What the laws ask of a dialect, and the words in which an answer is read whatever its dialect."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from claude_gateway.errors import ApiError
from claude_gateway.prompt.hosted_tools import Hosted
from workers.events import Event
from workers.job import ChatJob

OWNER = "owner"
MODEL = "claude-sonnet-4-5-20250929"
Json = dict[str, Any]
# A server-sent event: its name, where the dialect gives one, and its data.
Sent = tuple[str | None, str]


@dataclass(frozen=True)
class Parsed:
    """What every dialect makes of a request."""

    job: ChatJob
    stream: bool
    include_usage: bool
    warnings: tuple[str, ...]
    hosted: tuple[Hosted, ...] = ()


@dataclass(frozen=True)
class Said:
    """A block of an answer as its reader puts it together. `text` is what was said or thought, the data of a redacted
    thought, or the JSON of a call's input."""

    kind: Literal["text", "thinking", "redacted", "call"]
    text: str = ""
    signature: str = ""
    id: str = ""
    name: str = ""


@dataclass(frozen=True)
class Answer:
    """What a caller of any dialect reads out of an answer, streamed or whole."""

    said: tuple[Said, ...]
    finish: str
    usage: Json | None


class Dialect(Protocol):
    """A dialect as the laws see it. The readers are strict: they assert the dialect's own grammar as they go."""

    name: str
    # The dialect's own words: an unknown field has another name.
    fields: frozenset[str]
    # True where a stream tells the usage only to those who ask for it.
    usage_is_asked_for: bool

    def request(self, *, usage: bool = False) -> Json:
        """A streaming request of the smallest kind."""
        ...

    def parse(self, request: Json) -> Parsed:
        """Raises `ApiError`, or pydantic's `ValidationError` for a wrong shape."""
        ...

    def render(self, job: ChatJob) -> Json:
        """The request that asks for the job."""
        ...

    def can_ask(self, job: ChatJob) -> ChatJob:
        """What of a job the dialect has words for."""
        ...

    def can_tell(self, said: Sequence[Said]) -> tuple[Said, ...]:
        """What of an answer the dialect has words for, in the order in which its readers find it."""
        ...

    def told_so_far(self, events: Sequence[Event]) -> tuple[Said, ...]:
        """What of an answer that broke off has been passed on."""
        ...

    def stream(self, events: Iterable[Event], *, usage: bool = True) -> list[Sent]: ...
    def broken_stream(self, events: Iterable[Event], error: ApiError) -> list[Sent]: ...
    def body(self, events: Iterable[Event]) -> Json: ...
    def read_stream(self, sent: Sequence[Sent]) -> Answer: ...
    def read_broken_stream(self, sent: Sequence[Sent]) -> tuple[tuple[Said, ...], Json]:
        """What was said until the failure, and the error that ends the stream."""
        ...

    def read_body(self, body: Json) -> Answer: ...
    def error(self, error: ApiError) -> Json: ...
    def status(self, error: ApiError) -> int: ...
    def is_error(self, value: Json) -> bool: ...
