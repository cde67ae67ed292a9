"""Messages as the laws see it."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import orjson
from anthropic.types import ErrorResponse, Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from claude_gateway.dialects.anthropic import encode
from claude_gateway.dialects.anthropic.parameters import PARAMETERS
from claude_gateway.dialects.anthropic.parse import parse
from claude_gateway.dialects.anthropic.wire import MessagesRequest
from claude_gateway.errors import ApiError
from tests.claude_gateway.dialects.event_streams import said
from tests.claude_gateway.dialects.face import MODEL, OWNER, Answer, Json, Parsed, Said, Sent
from tests.claude_gateway.dialects.jobs import standing_at
from workers.events import Event
from workers.job import ChatJob, ToolChoice, Tuning
from workers.protocol import block_frame

_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
_DELTAS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}


class Anthropic:
    name = "anthropic"
    fields = frozenset(PARAMETERS)
    usage_is_asked_for = False
    identity = ("msg_1", "the-model-asked-for")

    def request(self, *, usage: bool = False) -> Json:
        return {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}], "stream": True}

    def parse(self, request: Json) -> Parsed:
        asked = MessagesRequest.model_validate(request)
        parsed = parse(asked, OWNER, asked.model if asked.model.startswith("claude-") else MODEL)
        return Parsed(parsed.job, parsed.stream, include_usage=True, warnings=parsed.warnings, hosted=parsed.hosted)

    def render(self, job: ChatJob) -> Json:
        tools = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.schema} for tool in job.tools
        ]
        request = {
            "model": job.model,
            "system": job.system or None,
            "messages": [
                {"role": turn.role, "content": [block_frame(block) for block in turn.blocks]} for turn in job.turns
            ],
            "tools": tools,
            **_parameters(job.tuning),
        }
        return {name: value for name, value in request.items() if value not in (None, [])}

    def can_ask(self, job: ChatJob) -> ChatJob:
        """No JSON but by a schema."""
        tuning = standing_at("output_config.format.schema", job.tuning)
        if tuning.output is not None and tuning.output.schema is None:
            tuning = replace(tuning, output=None)
        return replace(job, tuning=tuning)

    def can_tell(self, said: Sequence[Said]) -> tuple[Said, ...]:
        return tuple(said)

    def told_so_far(self, events: Sequence[Event]) -> tuple[Said, ...]:
        return self.can_tell(said(events))

    def stream(self, events: Iterable[Event], *, usage: bool = True) -> list[Sent]:
        encoder = encode.StreamEncoder(*self.identity)
        return [one for event in events for one in encoder.feed(event)]

    def broken_stream(self, events: Iterable[Event], error: ApiError) -> list[Sent]:
        encoder = encode.StreamEncoder(*self.identity)
        return [*(one for event in events for one in encoder.feed(event)), *encoder.fail(error)]

    def body(self, events: Iterable[Event]) -> Json:
        fold = encode.BodyFold(*self.identity)
        for event in events:
            fold.feed(event)
        return fold.body()

    def read_stream(self, sent: Sequence[Sent]) -> Answer:
        """`message_start`, blocks, one `message_delta` behind them, `message_stop`."""
        *begun, end, stop = _events(sent)
        assert (end["type"], stop) == ("message_delta", {"type": "message_stop"})
        _, said = _gather(begun)
        return Answer(said, end["delta"]["stop_reason"], end["usage"])

    def read_broken_stream(self, sent: Sequence[Sent]) -> tuple[tuple[Said, ...], Json]:
        *begun, (name, data) = sent
        assert name == "error"
        _, said = _gather(_events(begun))
        return said, orjson.loads(data)

    def read_body(self, body: Json) -> Answer:
        Message.model_validate(body)
        said = tuple(_whole(block) for block in body["content"])
        return Answer(said, body["stop_reason"], body["usage"])

    def error(self, error: ApiError) -> Json:
        ((name, data),) = encode.StreamEncoder(*self.identity).fail(error)
        assert (name, orjson.loads(data)) == ("error", encode.error_object(error))
        return encode.error_object(error)

    def status(self, error: ApiError) -> int:
        return encode.status(error)

    def is_error(self, value: Json) -> bool:
        """As the official client's types have it; they lack the documented type of a 413."""
        if value["error"]["type"] == "request_too_large":
            value = {**value, "error": {**value["error"], "type": "invalid_request_error"}}
        ErrorResponse.model_validate(value)
        return True


def _events(sent: Sequence[Sent]) -> list[Json]:
    """Each under the name of its own type, and as the official client's types have it; without the pings."""
    read = []
    for name, data in sent:
        event = orjson.loads(data)
        assert event["type"] == name
        if name != "ping":
            _EVENT.validate_python(event)
            read.append(event)
    return read


def _gather(events: list[Json]) -> tuple[Json | None, tuple[Said, ...]]:
    """The message as it began, and its blocks: each opened and closed once, in order, under the next index."""
    if not events:
        return None, ()
    start, *rest = events
    assert start["type"] == "message_start"
    assert (start["message"]["content"], start["message"]["stop_reason"]) == ([], None)
    said: list[Said] = []
    is_open = False
    for event in rest:
        match event["type"]:
            case "content_block_start":
                assert (is_open, event["index"]) == (False, len(said))
                said.append(_whole(event["content_block"], empty=True))
                is_open = True
            case "content_block_delta":
                assert (is_open, event["index"]) == (True, len(said) - 1)
                said[-1] = _more(said[-1], event["delta"])
            case "content_block_stop":
                assert (is_open, event["index"]) == (True, len(said) - 1)
                is_open = False
            case other:
                raise AssertionError(f"{other} among the blocks")
    assert not is_open
    return start["message"], tuple(said)


def _whole(block: Json, *, empty: bool = False) -> Said:
    match block:
        case {"type": "text", "text": text}:
            return Said("text", text)
        case {"type": "thinking", "thinking": text, "signature": signature}:
            return Said("thinking", text, signature)
        case {"type": "redacted_thinking", "data": data}:
            return Said("redacted", data)
        case {"type": "tool_use", "id": id_, "name": name, "input": arguments}:
            assert not (empty and arguments)
            return Said("call", "" if empty else orjson.dumps(arguments).decode(), id=id_, name=name)
    raise AssertionError(block)


def _more(said: Said, delta: Json) -> Said:
    """A delta must be of its block's own kind."""
    fits = {"text": ["text_delta"], "thinking": ["thinking_delta", "signature_delta"], "call": ["input_json_delta"]}
    assert delta["type"] in fits[said.kind]
    if delta["type"] == "signature_delta":
        return replace(said, signature=said.signature + delta["signature"])
    return replace(said, text=said.text + delta[_DELTAS[delta["type"]]])


def _parameters(tuning: Tuning) -> Json:
    thinking = {"type": {"off": "disabled", "adaptive": "adaptive"}.get(str(tuning.thinking), "enabled")}
    budget = {"budget_tokens": tuning.thinking} if isinstance(tuning.thinking, int) else {}
    display = {"display": tuning.display} if tuning.display else {}
    return {
        "max_tokens": tuning.max_tokens,
        "temperature": tuning.temperature,
        "top_p": tuning.top_p,
        "top_k": tuning.top_k,
        "stop_sequences": list(tuning.stop),
        "thinking": thinking | budget | display,
        "output_config": _output_config(tuning),
        "tool_choice": _choice(tuning.tool_choice),
    }


def _output_config(tuning: Tuning) -> Json | None:
    format_ = {"type": "json_schema", "schema": tuning.output.schema} if tuning.output else None
    config = {"effort": tuning.effort, "format": format_}
    return {name: value for name, value in config.items() if value is not None} or None


def _choice(choice: ToolChoice | None) -> Json | None:
    if choice is None:
        return None
    name = {"name": choice.name} if choice.name else {}
    return {"type": choice.mode, **name, "disable_parallel_tool_use": not choice.parallel}
