"""Adapter for the Anthropic Messages dialect."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import orjson
from anthropic.types import ErrorResponse, Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from claude_gateway.core.errors import ApiError
from claude_gateway.dialects.anthropic import encode, errors
from claude_gateway.dialects.anthropic.parameters import PARAMETERS
from claude_gateway.dialects.anthropic.parse import parse
from claude_gateway.dialects.anthropic.schema import MessagesRequest
from tests.claude_gateway.dialects.adapters.dialect_adapter import (
    KEY_ID,
    MODEL,
    ClientReply,
    Json,
    ParsedRequest,
    ReplyBlock,
    SentEvent,
)
from tests.claude_gateway.dialects.strategies.event_streams import collect_blocks
from tests.claude_gateway.dialects.strategies.jobs import with_schema_path
from workers.core.events import Event
from workers.core.job import ChatJob, GenerationParams, ToolChoice
from workers.core.message_blocks import encode_block

_EVENT_ADAPTER: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
_DELTA_FIELDS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}


class Anthropic:
    name = "anthropic"
    fields = frozenset(PARAMETERS)
    is_usage_optional = False
    identity = ("msg_1", "the-requested-model")

    def minimal_request(self, *, usage: bool = False) -> Json:
        return {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}], "stream": True}

    def parse(self, request: Json) -> ParsedRequest:
        validated = MessagesRequest.model_validate(request)
        parsed = parse(validated, KEY_ID, validated.model if validated.model.startswith("claude-") else MODEL)
        return ParsedRequest(
            parsed.job, parsed.stream, include_usage=True, warnings=parsed.warnings, hosted_tools=parsed.hosted_tools
        )

    def build_request(self, job: ChatJob) -> Json:
        tools = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.schema} for tool in job.tools
        ]
        request = {
            "model": job.model,
            "system": job.system or None,
            "messages": [
                {"role": turn.role, "content": [encode_block(block) for block in turn.blocks]} for turn in job.turns
            ],
            "tools": tools,
            **_parameter_fields(job.params),
        }
        return {name: value for name, value in request.items() if value not in (None, [])}

    def supported_job(self, job: ChatJob) -> ChatJob:
        """Omit JSON output without a schema, which the dialect cannot request."""
        params = with_schema_path("output_config.format.schema", job.params)
        if params.output_schema is not None and params.output_schema.schema is None:
            params = replace(params, output_schema=None)
        return replace(job, params=params)

    def supported_blocks(self, blocks: Sequence[ReplyBlock]) -> tuple[ReplyBlock, ...]:
        return tuple(blocks)

    def partial_blocks(self, events: Sequence[Event]) -> tuple[ReplyBlock, ...]:
        return self.supported_blocks(collect_blocks(events))

    def encode_stream(self, events: Iterable[Event], *, usage: bool = True) -> list[SentEvent]:
        encoder = encode.MessagesStreamEncoder(*self.identity)
        return [message for event in events for message in encoder.feed(event)]

    def encode_interrupted_stream(self, events: Iterable[Event], error: ApiError) -> list[SentEvent]:
        encoder = encode.MessagesStreamEncoder(*self.identity)
        return [*(message for event in events for message in encoder.feed(event)), *encoder.fail(error)]

    def encode_body(self, events: Iterable[Event]) -> Json:
        builder = encode.MessagesBodyBuilder(*self.identity)
        for event in events:
            builder.feed(event)
        return builder.body()

    def read_stream(self, sent: Sequence[SentEvent]) -> ClientReply:
        """Read `message_start`, blocks, one `message_delta` after them, `message_stop`."""
        *earlier_events, end, stop = _parse_events(sent)
        assert (end["type"], stop) == ("message_delta", {"type": "message_stop"})
        _, blocks = _collect_blocks(earlier_events)
        return ClientReply(blocks, end["delta"]["stop_reason"], end["usage"])

    def read_interrupted_stream(self, sent: Sequence[SentEvent]) -> tuple[tuple[ReplyBlock, ...], Json]:
        *earlier_events, (name, data) = sent
        assert name == "error"
        _, blocks = _collect_blocks(_parse_events(earlier_events))
        return blocks, orjson.loads(data)

    def read_body(self, body: Json) -> ClientReply:
        Message.model_validate(body)
        blocks = tuple(_to_block(block) for block in body["content"])
        return ClientReply(blocks, body["stop_reason"], body["usage"])

    def error_object(self, error: ApiError) -> Json:
        ((name, data),) = encode.MessagesStreamEncoder(*self.identity).fail(error)
        assert (name, orjson.loads(data)) == ("error", errors.error_object(error))
        return errors.error_object(error)

    def status(self, error: ApiError) -> int:
        return errors.get_http_status(error)

    def is_valid_error(self, value: Json) -> bool:
        """Validate with the official client's types, which lack the documented error type of a 413."""
        if value["error"]["type"] == "request_too_large":
            value = {**value, "error": {**value["error"], "type": "invalid_request_error"}}
        ErrorResponse.model_validate(value)
        return True


def _parse_events(sent: Sequence[SentEvent]) -> list[Json]:
    """Parse events, each named after its own type, with the official client's types; drop pings."""
    parsed_events = []
    for name, data in sent:
        event = orjson.loads(data)
        assert event["type"] == name
        if name != "ping":
            _EVENT_ADAPTER.validate_python(event)
            parsed_events.append(event)
    return parsed_events


def _collect_blocks(events: list[Json]) -> tuple[Json | None, tuple[ReplyBlock, ...]]:
    """Return the message of the first event, and the blocks; assert that each is opened and closed once, in order."""
    if not events:
        return None, ()
    message_start, *other_events = events
    assert message_start["type"] == "message_start"
    assert (message_start["message"]["content"], message_start["message"]["stop_reason"]) == ([], None)
    blocks: list[ReplyBlock] = []
    is_open = False
    for event in other_events:
        match event["type"]:
            case "content_block_start":
                assert (is_open, event["index"]) == (False, len(blocks))
                blocks.append(_to_block(event["content_block"], is_start=True))
                is_open = True
            case "content_block_delta":
                assert (is_open, event["index"]) == (True, len(blocks) - 1)
                blocks[-1] = _append_delta(blocks[-1], event["delta"])
            case "content_block_stop":
                assert (is_open, event["index"]) == (True, len(blocks) - 1)
                is_open = False
            case other:
                raise AssertionError(f"{other} among the blocks")
    assert not is_open
    return message_start["message"], tuple(blocks)


def _to_block(block: Json, *, is_start: bool = False) -> ReplyBlock:
    match block:
        case {"type": "text", "text": text}:
            return ReplyBlock("text", text)
        case {"type": "thinking", "thinking": text, "signature": signature}:
            return ReplyBlock("thinking", text, signature)
        case {"type": "redacted_thinking", "data": data}:
            return ReplyBlock("redacted", data)
        case {"type": "tool_use", "id": id_, "name": name, "input": arguments}:
            assert not (is_start and arguments)
            return ReplyBlock("call", "" if is_start else orjson.dumps(arguments).decode(), id=id_, name=name)
    raise AssertionError(block)


def _append_delta(block: ReplyBlock, delta: Json) -> ReplyBlock:
    """Append a delta, which must be of the kind of its block."""
    delta_types = {
        "text": ["text_delta"],
        "thinking": ["thinking_delta", "signature_delta"],
        "call": ["input_json_delta"],
    }
    assert delta["type"] in delta_types[block.kind]
    if delta["type"] == "signature_delta":
        return replace(block, signature=block.signature + delta["signature"])
    return replace(block, text=block.text + delta[_DELTA_FIELDS[delta["type"]]])


def _parameter_fields(params: GenerationParams) -> Json:
    thinking = {"type": {"off": "disabled", "adaptive": "adaptive"}.get(str(params.thinking), "enabled")}
    budget = {"budget_tokens": params.thinking} if isinstance(params.thinking, int) else {}
    display = {"display": params.thinking_display} if params.thinking_display else {}
    return {
        "max_tokens": params.max_tokens,
        "temperature": params.temperature,
        "top_p": params.top_p,
        "top_k": params.top_k,
        "stop_sequences": list(params.stop),
        "thinking": thinking | budget | display,
        "output_config": _output_config(params),
        "tool_choice": _tool_choice_object(params.tool_choice),
    }


def _output_config(params: GenerationParams) -> Json | None:
    format_ = {"type": "json_schema", "schema": params.output_schema.schema} if params.output_schema else None
    config = {"effort": params.effort, "format": format_}
    return {name: value for name, value in config.items() if value is not None} or None


def _tool_choice_object(choice: ToolChoice | None) -> Json | None:
    if choice is None:
        return None
    name = {"name": choice.name} if choice.name else {}
    return {"type": choice.mode, **name, "disable_parallel_tool_use": not choice.parallel}
