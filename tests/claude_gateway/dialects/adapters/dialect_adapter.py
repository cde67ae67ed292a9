"""Interface between tests of all dialects and one dialect, and the blocks of a reply in every dialect."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from claude_gateway.core.errors import ApiError
from claude_gateway.dialects.common.tools.hosted_tools import HostedTool
from workers.core.events import Event
from workers.core.job import ChatJob

KEY_ID = "key_1"
MODEL = "claude-sonnet-4-5-20250929"
Json = dict[str, Any]
# A server-sent event: its name, if the dialect uses names, and its data.
SentEvent = tuple[str | None, str]


@dataclass(frozen=True)
class ParsedRequest:
    """The result of parsing a request in any dialect."""

    job: ChatJob
    stream: bool
    include_usage: bool
    warnings: tuple[str, ...]
    hosted_tools: tuple[HostedTool, ...] = ()


@dataclass(frozen=True)
class ReplyBlock:
    """A block of a reply as its client assembles it.

    `text` is the text or thinking, the data of a redacted thinking block, or the JSON of a call's input.
    """

    kind: Literal["text", "thinking", "redacted", "call"]
    text: str = ""
    signature: str = ""
    id: str = ""
    name: str = ""


@dataclass(frozen=True)
class ClientReply:
    """A reply as the client of any dialect reads it, from a stream or a body."""

    blocks: tuple[ReplyBlock, ...]
    finish_reason: str
    usage: Json | None


class DialectAdapter(Protocol):
    """Interface of one dialect.

    The `read_…` methods are strict: they assert the grammar of the dialect.
    """

    name: str
    # The fields of a request that the dialect defines.
    fields: frozenset[str]
    # True if a stream reports the usage only on request.
    is_usage_optional: bool

    def minimal_request(self, *, usage: bool = False) -> Json:
        """Return the smallest streaming request."""
        ...

    def parse(self, request: Json) -> ParsedRequest:
        """Parse a request; raise `ApiError`, or pydantic's `ValidationError` for a value of the wrong type."""
        ...

    def build_request(self, job: ChatJob) -> Json:
        """Return the request for the job."""
        ...

    def supported_job(self, job: ChatJob) -> ChatJob:
        """Return the job without parts that the dialect cannot express."""
        ...

    def supported_blocks(self, blocks: Sequence[ReplyBlock]) -> tuple[ReplyBlock, ...]:
        """Return the blocks that the dialect can express, in the order in which clients read them."""
        ...

    def partial_blocks(self, events: Sequence[Event]) -> tuple[ReplyBlock, ...]:
        """Return the blocks of an interrupted reply that the client receives."""
        ...

    def encode_stream(self, events: Iterable[Event], *, usage: bool = True) -> list[SentEvent]: ...
    def encode_interrupted_stream(self, events: Iterable[Event], error: ApiError) -> list[SentEvent]: ...
    def encode_body(self, events: Iterable[Event]) -> Json: ...
    def read_stream(self, sent: Sequence[SentEvent]) -> ClientReply: ...
    def read_interrupted_stream(self, sent: Sequence[SentEvent]) -> tuple[tuple[ReplyBlock, ...], Json]:
        """Return the blocks before the failure and the error that ends the stream."""
        ...

    def read_body(self, body: Json) -> ClientReply: ...
    def error_object(self, error: ApiError) -> Json: ...
    def status(self, error: ApiError) -> int: ...
    def is_valid_error(self, value: Json) -> bool: ...
