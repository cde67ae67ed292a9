"""Adapter for the Responses dialect."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

import orjson
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from claude_gateway.auth.signing import HmacSigner
from claude_gateway.core.errors import ApiError
from claude_gateway.dialects.common.content.signed_thinking import sign_thinking, verify_thinking
from claude_gateway.dialects.openai_chat.errors import error_object
from claude_gateway.dialects.openai_responses.encode import ResponsesBodyBuilder, ResponsesStreamEncoder
from claude_gateway.dialects.openai_responses.parameters import PARAMETERS
from claude_gateway.dialects.openai_responses.parse import ENCRYPTED_REASONING, parse
from claude_gateway.dialects.openai_responses.response_builder import ResponseBuilder as ResponseAnswer
from claude_gateway.dialects.openai_responses.response_object import ResponseIdentity, echo_request
from claude_gateway.dialects.openai_responses.schema import ResponsesRequest
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
from workers.core.job import (
    Block,
    ChatJob,
    Document,
    GenerationParams,
    Image,
    OutputSchema,
    RedactedThinkingBlock,
    Text,
    ThinkingBlock,
    ToolChoice,
    ToolDefinition,
    ToolResult,
    ToolUse,
    Turn,
)
from workers.params.generation_params import fit_to_model

_EVENT_ADAPTER: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
SIGNER = HmacSigner(b"the key of the tests", KEY_ID)
# For each event that ends a part of an item: the deltas before it, and the field that contains them all.
_DONE_EVENTS = {
    "response.output_text.done": ("response.output_text.delta", "text"),
    "response.reasoning_summary_text.done": ("response.reasoning_summary_text.delta", "text"),
    "response.function_call_arguments.done": ("response.function_call_arguments.delta", "arguments"),
    "response.custom_tool_call_input.done": ("response.custom_tool_call_input.delta", "input"),
}
_FINAL_EVENTS = ("response.completed", "response.incomplete")


class OpenAIResponses:
    name = "openai_responses"
    fields = frozenset(PARAMETERS)
    is_usage_optional = False
    identity = ResponseIdentity("resp_1", 1_700_000_000, "the-requested-model")

    def minimal_request(self, *, usage: bool = False) -> Json:
        return {"model": MODEL, "input": "hello", "stream": True}

    def parse(self, request: Json) -> ParsedRequest:
        validated = ResponsesRequest.model_validate(request)
        parsed = parse(validated, KEY_ID, validated.model if validated.model.startswith("claude-") else MODEL, SIGNER)
        return ParsedRequest(
            parsed.job, parsed.stream, include_usage=True, warnings=parsed.warnings, hosted_tools=parsed.hosted_tools
        )

    def build_request(self, job: ChatJob) -> Json:
        request = {
            "model": job.model,
            "instructions": job.system or None,
            "input": [item for turn in job.turns for item in _item_objects(turn)],
            "tools": [_tool_object(tool) for tool in job.tools],
            **_parameter_fields(job.params),
        }
        return {name: value for name, value in request.items() if value not in (None, [])}

    def supported_job(self, job: ChatJob) -> ChatJob:
        """Drop thinking budgets, error marks and all else without a field here; requested thinking is always shown."""
        turns = tuple(map(_drop_error_flags, job.turns))
        params = replace(job.params, top_k=None, stop=())
        with_schema = params.output_schema is not None and params.output_schema.schema is not None
        params = with_schema_path("text.format.schema" if with_schema else "text.format", params)
        if params.top_p == 1:  # OpenAI's own clients send this default
            params = replace(params, top_p=None)
        if params.thinking != "adaptive":
            params = replace(params, thinking="off", effort=None)
        params, _ = fit_to_model(params, job.model, turns)
        return replace(job, turns=turns, params=replace(params, thinking_display=_expected_display(params)))

    def supported_blocks(self, blocks: Sequence[ReplyBlock]) -> tuple[ReplyBlock, ...]:
        return tuple(blocks)

    def partial_blocks(self, events: Sequence[Event]) -> tuple[ReplyBlock, ...]:
        return self.supported_blocks(collect_blocks(events))

    def encode_stream(self, events: Iterable[Event], *, usage: bool = True) -> list[SentEvent]:
        builder = self._create_builder()
        encoder = ResponsesStreamEncoder(builder)
        return [one for event in events for fed in builder.feed(event) for one in encoder.feed(fed)]

    def encode_interrupted_stream(self, events: Iterable[Event], error: ApiError) -> list[SentEvent]:
        builder = self._create_builder()
        encoder = ResponsesStreamEncoder(builder)
        sent = [one for event in events for fed in builder.feed(event) for one in encoder.feed(fed)]
        return [*sent, *encoder.fail(error)]

    def encode_body(self, events: Iterable[Event]) -> Json:
        builder = ResponsesBodyBuilder(self._create_builder)
        for event in events:
            builder.feed(event)
        return builder.body()

    def read_stream(self, sent: Sequence[SentEvent]) -> ClientReply:
        """Read `created`, items one after another, then the complete response with every item as it was streamed."""
        *earlier_events, end = _parse_events(sent)
        assert end["type"] in _FINAL_EVENTS
        items = _collect_items(earlier_events)
        assert end["response"]["output"] == items
        return self.read_body(end["response"])

    def read_interrupted_stream(self, sent: Sequence[SentEvent]) -> tuple[tuple[ReplyBlock, ...], Json]:
        *earlier_events, error, failed = _parse_events(sent)
        response = failed["response"]
        assert (error["type"], failed["type"], response["status"]) == ("error", "response.failed", "failed")
        assert response["error"] == {"code": error["code"], "message": error["message"]}
        items = _collect_items(earlier_events)
        assert response["output"] == items
        return tuple(map(_item_to_block, items)), {"error": {**response["error"], "type": "error"}}

    def read_body(self, body: Json) -> ClientReply:
        Response.model_validate(body)
        reason = (body["incomplete_details"] or {}).get("reason", "")
        return ClientReply(tuple(map(_item_to_block, body["output"])), f"{body['status']} {reason}", body["usage"])

    def error_object(self, error: ApiError) -> Json:
        """Return the general error before the head; after it, `read_interrupted_stream` reads the error."""
        return error_object(error)

    def status(self, error: ApiError) -> int:
        return error.status

    def is_valid_error(self, value: Json) -> bool:
        error = value["error"]
        return value.keys() == {"error"} and all(isinstance(error[name], str) for name in ("message", "type", "code"))

    def _create_builder(self) -> ResponseAnswer:
        validated = ResponsesRequest.model_validate({**self.minimal_request(), "include": [ENCRYPTED_REASONING]})
        return ResponseAnswer(self.identity, echo_request(validated), {}, SIGNER)


def _parse_events(sent: Sequence[SentEvent]) -> list[Json]:
    """Parse numbered events, each named after its own type, with the official client's types."""
    event_objects: list[Json] = []
    for number, (name, data) in enumerate(sent):
        event = orjson.loads(data)
        assert (event["type"], event["sequence_number"]) == (name, number)
        _EVENT_ADAPTER.validate_python(event)
        event_objects.append(event)
    return event_objects


def _collect_items(events: list[Json]) -> list[Json]:
    """Return the items, each opened and closed once, in order, with every delta in its sum."""
    created, in_progress, *rest = events
    assert (created["type"], in_progress["type"]) == ("response.created", "response.in_progress")
    assert (created["response"]["status"], created["response"]["output"]) == ("in_progress", [])
    items: list[Json] = []
    open_id = ""
    deltas: dict[str, str] = {}
    for event in rest:
        assert event["output_index"] == len(items)
        match event["type"]:
            case "response.output_item.added":
                assert (open_id, event["item"]["status"]) == ("", "in_progress")
                open_id, deltas = event["item"]["id"], {}
            case "response.output_item.done":
                assert event["item"]["id"] == open_id
                assert set(deltas.values()) <= set(_item_texts(event["item"]))
                items.append(event["item"])
                open_id = ""
            case kind:
                assert event["item_id"] == open_id
                if kind.endswith(".delta"):
                    deltas[kind] = deltas.get(kind, "") + event["delta"]
                if kind in _DONE_EVENTS:
                    delta, field = _DONE_EVENTS[kind]
                    assert deltas.get(delta, "") == event[field]
    assert not open_id
    return items


def _item_texts(item: Json) -> Iterator[str]:
    yield from (part["text"] for part in [*item.get("content", ()), *item.get("summary", ())])
    yield from (item[name] for name in ("arguments", "input") if name in item)


def _item_to_block(item: Json) -> ReplyBlock:
    match item:
        case {"type": "message", "content": [{"type": "output_text", "text": text}]}:
            return ReplyBlock("text", text)
        case {"type": "function_call", "call_id": id_, "name": name, "arguments": arguments}:
            return ReplyBlock("call", arguments, id=id_, name=name)
        case {"type": "reasoning", "summary": summary}:
            text = "".join(part["text"] for part in summary)
            match verify_thinking(item.get("encrypted_content") or "", SIGNER):
                case (ThinkingBlock(thinking, signature),):
                    assert thinking == text
                    return ReplyBlock("thinking", thinking, signature)
                case (RedactedThinkingBlock(data),):
                    return ReplyBlock("redacted", data)
            return ReplyBlock("thinking", text)
    raise AssertionError(item)


def _item_objects(turn: Turn) -> Iterator[Json]:
    """Return an item for each block; parsing joins adjacent items of a role again."""
    for block in turn.blocks:
        match block:
            case ThinkingBlock() | RedactedThinkingBlock():
                yield {"type": "reasoning", "summary": [], "encrypted_content": sign_thinking([block], SIGNER)}
            case ToolUse(id_, name, arguments):
                text = orjson.dumps(arguments).decode()
                yield {"type": "function_call", "call_id": id_, "name": name, "arguments": text}
            case ToolResult(id_, content):
                parts = [_part_object(part, "user") for part in content]
                yield {"type": "function_call_output", "call_id": id_, "output": parts}
            case _:
                yield {"role": turn.role, "content": [_part_object(block, turn.role)]}


def _part_object(block: Block, role: str) -> Json:
    match block:
        case Text(text):
            return {"type": "input_text" if role == "user" else "output_text", "text": text}
        case Image(source):
            return {"type": "input_image", "detail": "auto", "image_url": _data_url(source)}
        case Document({"source": source, "title": title}):
            return {"type": "input_file", "file_data": _data_url(source), "filename": title}
    raise AssertionError(block)


def _data_url(source: Any) -> str:
    return f"data:{source['media_type']};base64,{source['data']}"


def _tool_object(tool: ToolDefinition) -> Json:
    return {"type": "function", "name": tool.name, "description": tool.description, "parameters": tool.schema}


def _expected_display(params: GenerationParams) -> Literal["summarized"] | None:
    return "summarized" if params.thinking == "adaptive" else None


def _parameter_fields(params: GenerationParams) -> Json:
    reasoning = {"effort": params.effort} if params.effort else {"summary": "auto"}
    return {
        "max_output_tokens": params.max_tokens,
        "temperature": params.temperature,
        "top_p": params.top_p,
        "text": _text_config(params.output_schema),
        "reasoning": reasoning if params.thinking == "adaptive" else None,
        "tool_choice": _tool_choice_object(params.tool_choice),
        "parallel_tool_calls": None if params.tool_choice is None else params.tool_choice.parallel,
    }


def _text_config(output: OutputSchema | None) -> Json | None:
    if output is None:
        return None
    if output.schema is None:
        return {"format": {"type": "json_object"}}
    return {"format": {"type": "json_schema", "name": "answer", "schema": output.schema}}


def _tool_choice_object(choice: ToolChoice | None) -> Json | str | None:
    match choice:
        case None:
            return None
        case ToolChoice("tool", name):
            return {"type": "function", "name": name}
        case ToolChoice("any"):
            return "required"
    return choice.mode


def _drop_error_flags(turn: Turn) -> Turn:
    return Turn(
        turn.role,
        tuple(replace(block, is_error=False) if isinstance(block, ToolResult) else block for block in turn.blocks),
    )
