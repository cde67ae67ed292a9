"""Every dialect under one face, so that a law is written once. A new dialect joins with a class and a line below."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from claude_gateway.dialects.openai_chat import encode
from claude_gateway.dialects.openai_chat.parameters import PARAMETERS
from claude_gateway.dialects.openai_chat.parse import ParsedChat, parse
from claude_gateway.dialects.openai_chat.wire import ChatRequest
from claude_gateway.errors import ApiError
from workers.events import Event
from workers.job import ChatJob

OWNER = "owner"
Json = dict[str, Any]


@dataclass(frozen=True)
class Parsed:
    """What every dialect makes of a request."""

    job: ChatJob
    stream: bool
    include_usage: bool
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """What a caller of any dialect reads out of an answer, streamed or whole."""

    text: str
    thinking: str
    finish: str
    usage: Json | None


class Dialect(Protocol):
    """A dialect as the laws see it. `stream` gives the `data` of each server-sent event."""

    name: str
    # The dialect's own words: an unknown field has another name.
    fields: frozenset[str]

    def request(self, *, usage: bool = False) -> Json: ...
    def parse(self, request: Json) -> Parsed: ...
    def stream(self, events: Iterable[Event], *, usage: bool) -> list[str]: ...
    def body(self, events: Iterable[Event]) -> Json: ...
    def read_stream(self, data: list[str]) -> Answer: ...
    def read_body(self, body: Json) -> Answer: ...
    def error(self, error: ApiError) -> Json: ...
    def is_error(self, value: Json) -> bool: ...


class OpenAIChat:
    name = "openai_chat"
    fields = frozenset(PARAMETERS)
    identity = encode.Identity("chatcmpl-1", 1_700_000_000, "the-model-asked-for")

    def request(self, *, usage: bool = False) -> Json:
        messages = [{"role": "user", "content": "hello"}]
        return {"model": "m", "messages": messages, "stream": True, "stream_options": {"include_usage": usage}}

    def parse(self, request: Json) -> Parsed:
        parsed: ParsedChat = parse(ChatRequest.model_validate(request), OWNER, "claude-sonnet-4-5-20250929")
        return Parsed(parsed.job, parsed.stream, parsed.include_usage, parsed.warnings)

    def stream(self, events: Iterable[Event], *, usage: bool) -> list[str]:
        encoder = encode.ChunkEncoder(self.identity, include_usage=usage)
        return [data for event in events for _, data in encoder.feed(event)]

    def body(self, events: Iterable[Event]) -> Json:
        fold = encode.BodyFold(self.identity)
        for event in events:
            fold.feed(event)
        return fold.body()

    def read_stream(self, data: list[str]) -> Answer:
        """Strict: one role first, one finish after every delta, the usage chunk behind it, `[DONE]` last."""
        *sent, done = data
        assert done == "[DONE]"
        chunks = [orjson.loads(one) for one in sent]
        usage = chunks.pop()["usage"] if not chunks[-1]["choices"] else None
        choices = [choice for chunk in chunks for choice in chunk["choices"]]
        assert [choice["delta"].get("role") for choice in choices] == ["assistant", *[None] * (len(choices) - 1)]
        assert [choice["finish_reason"] is None for choice in choices] == [*[True] * (len(choices) - 1), False]
        return Answer(
            "".join(choice["delta"].get("content", "") for choice in choices),
            "".join(choice["delta"].get("reasoning_content", "") for choice in choices),
            choices[-1]["finish_reason"],
            usage,
        )

    def read_body(self, body: Json) -> Answer:
        (choice,) = body["choices"]
        message = choice["message"]
        return Answer(message["content"], message.get("reasoning_content", ""), choice["finish_reason"], body["usage"])

    def error(self, error: ApiError) -> Json:
        ((_, data),) = encode.ChunkEncoder(self.identity, include_usage=False).fail(error)
        assert orjson.loads(data) == encode.error_object(error)
        return encode.error_object(error)

    def is_error(self, value: Json) -> bool:
        error = value["error"]
        return value.keys() == {"error"} and all(isinstance(error[name], str) for name in ("message", "type", "code"))


DIALECTS: list[Dialect] = [
    OpenAIChat(),
]
