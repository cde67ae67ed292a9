"""Adapter for the Chat Completions dialect."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import orjson
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from claude_gateway.core.errors import ApiError
from claude_gateway.dialects.openai_chat import encode, errors
from claude_gateway.dialects.openai_chat.parameters import PARAMETERS
from claude_gateway.dialects.openai_chat.parse import parse
from claude_gateway.dialects.openai_chat.schema import ChatRequest
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
from tests.claude_gateway.dialects.strategies.jobs import keep_blocks, with_schema_path
from workers.core.events import Event
from workers.core.job import (
    ChatJob,
    Document,
    GenerationParams,
    Image,
    OutputSchema,
    Text,
    ThinkingDisplay,
    ToolChoice,
    ToolDefinition,
    ToolResult,
    ToolUse,
    Turn,
)
from workers.params.generation_params import fit_to_model


class OpenAIChat:
    name = "openai_chat"
    fields = frozenset(PARAMETERS)
    is_usage_optional = True
    identity = encode.CompletionIdentity("chatcmpl-1", 1_700_000_000, "the-requested-model")

    def minimal_request(self, *, usage: bool = False) -> Json:
        messages = [{"role": "user", "content": "hello"}]
        return {"model": MODEL, "messages": messages, "stream": True, "stream_options": {"include_usage": usage}}

    def parse(self, request: Json) -> ParsedRequest:
        validated = ChatRequest.model_validate(request)
        parsed = parse(validated, KEY_ID, validated.model if validated.model.startswith("claude-") else MODEL)
        return ParsedRequest(parsed.job, parsed.stream, parsed.include_usage, parsed.warnings, parsed.hosted_tools)

    def build_request(self, job: ChatJob) -> Json:
        system = [{"role": "system", "content": job.system}] if job.system else []
        request = {
            "model": job.model,
            "messages": [*system, *(message for turn in job.turns for message in _message_objects(turn))],
            "tools": [_tool_object(tool) for tool in job.tools],
            **_parameter_fields(job.params),
        }
        return {name: value for name, value in request.items() if value not in (None, [])}

    def supported_job(self, job: ChatJob) -> ChatJob:
        """Drop earlier thinking and error marks; requested thinking is always shown."""
        turns = tuple(map(_drop_error_flags, keep_blocks(job.turns, Text, Image, Document, ToolUse, ToolResult)))
        params = job.params
        if params.top_p == 1:  # OpenAI's own clients send this default
            params = replace(params, top_p=None)
        if params.thinking != "adaptive":
            params = replace(params, effort=None)
        with_schema = params.output_schema is not None and params.output_schema.schema is not None
        field_path = "response_format.json_schema.schema" if with_schema else "response_format"
        params, _ = fit_to_model(with_schema_path(field_path, params), job.model, turns)
        return replace(job, turns=turns, params=replace(params, thinking_display=_expected_display(params)))

    def supported_blocks(self, blocks: Sequence[ReplyBlock]) -> tuple[ReplyBlock, ...]:
        """Join all thinking, then all text, then the calls."""
        texts = {kind: "".join(one.text for one in blocks if one.kind == kind) for kind in ("thinking", "text")}
        joined = [ReplyBlock(kind, text) for kind, text in texts.items() if text]
        return (*joined, *(one for one in blocks if one.kind == "call"))

    def partial_blocks(self, events: Sequence[Event]) -> tuple[ReplyBlock, ...]:
        return self.supported_blocks(collect_blocks(events))

    def encode_stream(self, events: Iterable[Event], *, usage: bool = True) -> list[SentEvent]:
        encoder = encode.ChatStreamEncoder(self.identity, include_usage=usage)
        return [one for event in events for one in encoder.feed(event)]

    def encode_interrupted_stream(self, events: Iterable[Event], error: ApiError) -> list[SentEvent]:
        encoder = encode.ChatStreamEncoder(self.identity, include_usage=False)
        return [*(one for event in events for one in encoder.feed(event)), *encoder.fail(error)]

    def encode_body(self, events: Iterable[Event]) -> Json:
        builder = encode.ChatBodyBuilder(self.identity)
        for event in events:
            builder.feed(event)
        return builder.body()

    def read_stream(self, sent: Sequence[SentEvent]) -> ClientReply:
        """Read one finish reason after every delta, then the usage chunk, then `[DONE]`."""
        *chunks, done = [data for _, data in sent]
        assert done == "[DONE]"
        chunk_objects = [_parse_chunk(data) for data in chunks]
        usage = chunk_objects.pop()["usage"] if not chunk_objects[-1]["choices"] else None
        choices = [choice for chunk in chunk_objects for choice in chunk["choices"]]
        assert [choice["finish_reason"] is None for choice in choices] == [*[True] * (len(choices) - 1), False]
        return ClientReply(_collect_blocks(choices), choices[-1]["finish_reason"], usage)

    def read_interrupted_stream(self, sent: Sequence[SentEvent]) -> tuple[tuple[ReplyBlock, ...], Json]:
        *chunks, error = [data for _, data in sent]
        choices = [choice for data in chunks for choice in _parse_chunk(data)["choices"]]
        assert all(choice["finish_reason"] is None for choice in choices)
        return _collect_blocks(choices), orjson.loads(error)

    def read_body(self, body: Json) -> ClientReply:
        ChatCompletion.model_validate(body)
        (choice,) = body["choices"]
        message = choice["message"]
        said = [
            ReplyBlock("thinking", message.get("reasoning_content") or ""),
            ReplyBlock("text", message["content"] or ""),
            *(
                ReplyBlock("call", call["function"]["arguments"], id=call["id"], name=call["function"]["name"])
                for call in message.get("tool_calls") or ()
            ),
        ]
        return ClientReply(self.supported_blocks(said), choice["finish_reason"], body["usage"])

    def error_object(self, error: ApiError) -> Json:
        ((_, data),) = encode.ChatStreamEncoder(self.identity, include_usage=False).fail(error)
        assert orjson.loads(data) == errors.error_object(error)
        return errors.error_object(error)

    def status(self, error: ApiError) -> int:
        return error.status

    def is_valid_error(self, value: Json) -> bool:
        error = value["error"]
        return value.keys() == {"error"} and all(isinstance(error[name], str) for name in ("message", "type", "code"))


def _parse_chunk(data: str) -> Json:
    chunk: Json = orjson.loads(data)
    ChatCompletionChunk.model_validate(chunk)
    return chunk


def _collect_blocks(choices: list[Json]) -> tuple[ReplyBlock, ...]:
    """Collect blocks: one role first; id, type and name of each call once; an index on every fragment."""
    deltas = [choice["delta"] for choice in choices]
    assert [delta.get("role") for delta in deltas] == ["assistant", *[None] * (len(deltas) - 1)][: len(deltas)]
    calls: list[ReplyBlock] = []
    for fragment in (one for delta in deltas for one in delta.get("tool_calls", ())):
        if "id" in fragment:
            assert (fragment["index"], fragment["type"]) == (len(calls), "function")
            calls.append(ReplyBlock("call", id=fragment["id"], name=fragment["function"]["name"]))
        assert fragment["index"] == len(calls) - 1
        calls[-1] = replace(calls[-1], text=calls[-1].text + fragment["function"]["arguments"])
    thinking = "".join(delta.get("reasoning_content") or "" for delta in deltas)
    text = "".join(delta.get("content") or "" for delta in deltas)
    return OpenAIChat().supported_blocks([ReplyBlock("thinking", thinking), ReplyBlock("text", text), *calls])


def _expected_display(params: GenerationParams) -> ThinkingDisplay | None:
    return None if params.thinking == "off" else "summarized"


def _message_objects(turn: Turn) -> list[Json]:
    """Return a message for each run of texts, each call and each result; parsing joins them again."""
    messages: list[Json] = []
    for block in turn.blocks:
        match block:
            case Text() | Image() | Document():
                messages.append({"role": turn.role, "content": [_part_object(block)]})
            case ToolUse(id_, name, arguments):
                function = {"name": name, "arguments": orjson.dumps(arguments).decode()}
                call = {"id": id_, "type": "function", "function": function}
                messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
            case ToolResult(id_, content):
                messages.append(
                    {"role": "tool", "tool_call_id": id_, "content": [_part_object(part) for part in content]}
                )
    return messages


def _part_object(block: Text | Image | Document) -> Json:
    match block:
        case Text(text):
            return {"type": "text", "text": text}
        case Image(source):
            return {"type": "image_url", "image_url": {"url": _data_url(source)}}
        case Document(fields):
            file = {"file_data": _data_url(fields["source"]), "filename": fields["title"]}
            return {"type": "file", "file": file}


def _data_url(source: Mapping[str, str]) -> str:
    return f"data:{source['media_type']};base64,{source['data']}"


def _tool_object(tool: ToolDefinition) -> Json:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.schema}
    return {"type": "function", "function": function}


def _parameter_fields(params: GenerationParams) -> Json:
    """Use Claude's own option for a thinking budget, and otherwise OpenAI's parameter for the same."""
    options = {"type": "enabled", "budget_tokens": params.thinking} if isinstance(params.thinking, int) else None
    return {
        "max_tokens": params.max_tokens,
        "temperature": params.temperature,
        "top_p": params.top_p,
        "top_k": params.top_k,
        "stop": list(params.stop),
        "reasoning_effort": params.effort if params.thinking == "adaptive" else None,
        "anthropic_options": {"thinking": options} if options else None,
        "response_format": _response_format_object(params.output_schema),
        "tool_choice": _tool_choice_object(params.tool_choice),
        "parallel_tool_calls": None if params.tool_choice is None else params.tool_choice.parallel,
    }


def _response_format_object(output: OutputSchema | None) -> Json | None:
    if output is None:
        return None
    if output.schema is None:
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": output.schema}}


def _tool_choice_object(choice: ToolChoice | None) -> Json | str | None:
    match choice:
        case None:
            return None
        case ToolChoice("tool", name):
            return {"type": "function", "function": {"name": name}}
        case ToolChoice("any"):
            return "required"
    return choice.mode


def _drop_error_flags(turn: Turn) -> Turn:
    blocks = (replace(one, is_error=False) if isinstance(one, ToolResult) else one for one in turn.blocks)
    return replace(turn, blocks=tuple(blocks))
