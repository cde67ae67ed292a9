"""Adapter for the Gemini dialect.

The model, which is part of the path there, is a field of the body here, so that one interface fits all dialects.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import orjson
from google.genai.types import GenerateContentResponse

from claude_gateway.auth.signing import HmacSigner
from claude_gateway.core.errors import ApiError
from claude_gateway.dialects.common.content.signed_thinking import sign_thinking, verify_thinking
from claude_gateway.dialects.gemini import encode
from claude_gateway.dialects.gemini.errors import error_object, get_http_status
from claude_gateway.dialects.gemini.parameters import PARAMETERS
from claude_gateway.dialects.gemini.parse import parse
from claude_gateway.dialects.gemini.schema import GenerateContentRequest
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
from workers.core.events import BlockEnded, Event
from workers.core.job import (
    Block,
    ChatJob,
    Document,
    GenerationParams,
    Image,
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

SIGNER = HmacSigner(b"the key of the tests", KEY_ID)
_THINKING_LEVELS = ("low", "medium", "high", "xhigh")


class Gemini:
    name = "gemini"
    fields = frozenset(PARAMETERS)
    is_usage_optional = False
    identity = ("response_1", "the-requested-model", SIGNER)

    def minimal_request(self, *, usage: bool = False) -> Json:
        return {"model": MODEL, "contents": [{"role": "user", "parts": [{"text": "hello"}]}]}

    def parse(self, request: Json) -> ParsedRequest:
        match request:
            case {"model": str(model), **rest} if model.startswith("claude-"):
                validated = GenerateContentRequest.model_validate(rest)
            case _:
                model, validated = MODEL, GenerateContentRequest.model_validate(request)
        parsed = parse(validated, KEY_ID, model, SIGNER)
        return ParsedRequest(
            parsed.job, stream=True, include_usage=True, warnings=parsed.warnings, hosted_tools=parsed.hosted_tools
        )

    def build_request(self, job: ChatJob) -> Json:
        request = {
            "model": job.model,
            "systemInstruction": {"parts": [{"text": job.system}]} if job.system else None,
            "contents": [
                {"role": "model" if turn.role == "assistant" else "user", "parts": list(_part_objects(turn.blocks))}
                for turn in job.turns
            ],
            "tools": [{"functionDeclarations": [_function_declaration(tool) for tool in job.tools]}]
            if job.tools
            else None,
            "generationConfig": _generation_config(job.params),
            "toolConfig": _tool_config(job.params.tool_choice),
        }
        return {name: value for name, value in request.items() if value is not None}

    def supported_job(self, job: ChatJob) -> ChatJob:
        params = with_schema_path("generationConfig.responseJsonSchema", job.params)
        if params.output_schema is not None and params.output_schema.schema is None:
            params = replace(params, output_schema=None)
        if params.top_p == 1:
            params = replace(params, top_p=None)
        if params.thinking != "adaptive" or params.effort not in _THINKING_LEVELS:
            params = replace(params, effort=None)
        if params.thinking_display != "summarized":
            params = replace(params, thinking_display="omitted")
        choice = params.tool_choice
        if choice is not None and not choice.parallel:
            choice = None if choice.mode == "auto" else replace(choice, parallel=True)
        turns = tuple(map(_to_supported_turn, job.turns))
        params, _ = fit_to_model(replace(params, tool_choice=choice), job.model, turns)
        return replace(job, params=params, turns=turns)

    def supported_blocks(self, blocks: Sequence[ReplyBlock]) -> tuple[ReplyBlock, ...]:
        """Join adjacent texts, and adjacent thinking that no signature separates."""
        kept_blocks: list[ReplyBlock] = []
        for one in blocks:
            joined = one.kind in ("text", "thinking") and not one.signature
            if joined and kept_blocks and (kept_blocks[-1].kind, kept_blocks[-1].signature) == (one.kind, ""):
                kept_blocks[-1] = replace(kept_blocks[-1], text=kept_blocks[-1].text + one.text)
            elif one.text or one.signature or one.kind == "call":
                kept_blocks.append(one)
        return tuple(kept_blocks)

    def partial_blocks(self, events: Sequence[Event]) -> tuple[ReplyBlock, ...]:
        """Keep complete calls only; a signature or redacted thinking block is sent with the part after it."""
        blocks = list(collect_blocks(events))
        if blocks and blocks[-1].kind == "call" and sum(isinstance(one, BlockEnded) for one in events) < len(blocks):
            blocks.pop()
        signed = max(
            (n for n, one in enumerate(blocks, 1) if one.kind == "call" or (one.kind == "text" and one.text)), default=0
        )
        behind = [replace(one, signature="") for one in blocks[signed:] if one.kind != "redacted"]
        return self.supported_blocks([*blocks[:signed], *behind])

    def encode_stream(self, events: Iterable[Event], *, usage: bool = True) -> list[SentEvent]:
        encoder = encode.GeminiStreamEncoder(*self.identity, include_thoughts=True)
        return [one for event in events for one in encoder.feed(event)]

    def encode_interrupted_stream(self, events: Iterable[Event], error: ApiError) -> list[SentEvent]:
        encoder = encode.GeminiStreamEncoder(*self.identity, include_thoughts=True)
        return [*(one for event in events for one in encoder.feed(event)), *encoder.fail(error)]

    def encode_body(self, events: Iterable[Event]) -> Json:
        builder = encode.GeminiBodyBuilder(*self.identity, include_thoughts=True)
        for event in events:
            builder.feed(event)
        return builder.body()

    def read_stream(self, sent: Sequence[SentEvent]) -> ClientReply:
        """Read chunks of parts, with a finish reason and the usage in the last chunk only."""
        chunks = [_parse_chunk(data) for _, data in sent]
        (end,) = chunks[-1]["candidates"]
        assert not any("usageMetadata" in chunk for chunk in chunks[:-1])
        assert not any("finishReason" in chunk["candidates"][0] for chunk in chunks[:-1])
        return ClientReply(self._collect_blocks(chunks), end["finishReason"], chunks[-1]["usageMetadata"])

    def read_interrupted_stream(self, sent: Sequence[SentEvent]) -> tuple[tuple[ReplyBlock, ...], Json]:
        *chunks, (_, error) = sent
        return self._collect_blocks([_parse_chunk(data) for _, data in chunks]), orjson.loads(error)

    def read_body(self, body: Json) -> ClientReply:
        chunk = _parse_chunk(orjson.dumps(body).decode())
        return ClientReply(
            self._collect_blocks([chunk]), chunk["candidates"][0]["finishReason"], chunk["usageMetadata"]
        )

    def error_object(self, error: ApiError) -> Json:
        ((_, data),) = encode.GeminiStreamEncoder(*self.identity, include_thoughts=True).fail(error)
        assert orjson.loads(data) == error_object(error)
        assert data.startswith('{"error":')  # Google's Python client recognizes an error among chunks by nothing else
        return error_object(error)

    def status(self, error: ApiError) -> int:
        return get_http_status(error)

    def is_valid_error(self, value: Json) -> bool:
        error = value["error"]
        return value.keys() == {"error"} and [type(error[name]) for name in ("code", "message", "status")] == [
            *(int, str, str)
        ]

    def _collect_blocks(self, chunks: list[Json]) -> tuple[ReplyBlock, ...]:
        """Return the thinking of a part.

        Thinking is shown first; the signature of the part after it contains it again and must be equal.
        """
        part_blocks: list[ReplyBlock] = []
        shown = ""
        for part in (one for chunk in chunks for one in chunk["candidates"][0]["content"]["parts"]):
            if part.get("thought"):
                shown += part["text"]
                continue
            signed = verify_thinking(part.get("thoughtSignature", ""), SIGNER)
            assert bool(signed) is ("thoughtSignature" in part)
            if signed:
                assert shown == "".join(one.thinking for one in signed if isinstance(one, ThinkingBlock))
                shown = ""
            part_blocks += map(_thinking_to_block, signed)
            part_blocks.append(_part_to_block(part))
        return self.supported_blocks([*part_blocks, ReplyBlock("thinking", shown)])


def _parse_chunk(data: str) -> Json:
    """Validate strictly with the requirements of the official client's types and of its chat history."""
    chunk: Json = orjson.loads(data)
    GenerateContentResponse.model_validate(chunk)
    (candidate,) = chunk["candidates"]
    assert (candidate["index"], candidate["content"]["role"]) == (0, "model")
    assert candidate["content"]["parts"]
    assert all(candidate["content"]["parts"])
    return chunk


def _thinking_to_block(thinking: ThinkingBlock | RedactedThinkingBlock) -> ReplyBlock:
    if isinstance(thinking, ThinkingBlock):
        return ReplyBlock("thinking", thinking.thinking, thinking.signature)
    return ReplyBlock("redacted", thinking.data)


def _part_to_block(part: Json) -> ReplyBlock:
    if "functionCall" in part:
        call = part["functionCall"]
        return ReplyBlock("call", orjson.dumps(call["args"]).decode(), id=call["id"], name=call["name"])
    return ReplyBlock("text", part["text"])


def _part_objects(blocks: Iterable[Block]) -> Iterable[Json]:
    pending_thinking: list[ThinkingBlock | RedactedThinkingBlock] = []
    for block in blocks:
        if isinstance(block, ThinkingBlock | RedactedThinkingBlock):
            pending_thinking.append(block)
        else:
            yield _part_object(block) | (
                {"thoughtSignature": sign_thinking(pending_thinking, SIGNER)} if pending_thinking else {}
            )
            pending_thinking = []


def _part_object(block: Block) -> Json:
    match block:
        case Text(text):
            return {"text": text}
        case Image(source) | Document({"source": source}):
            return {"inlineData": {"mimeType": source["media_type"], "data": source["data"]}}
        case ToolUse(id_, name, arguments):
            return {"functionCall": {"id": id_, "name": name, "args": arguments}}
        case ToolResult(id_, content, is_error):
            text = "".join(one.text for one in content if isinstance(one, Text))
            response = {"error" if is_error else "output": text}
            more = [_part_object(one) for one in content if not isinstance(one, Text)]
            return {"functionResponse": {"id": id_, "name": "any", "response": response, "parts": more}}
    raise AssertionError(block)


def _drop_title(block: Image | Document) -> Image | Document:
    return block if isinstance(block, Image) else Document({"source": block.fields["source"]})


def _to_supported_turn(turn: Turn) -> Turn:
    """Join the assistant's adjacent texts, put a result's text before its media, and drop document titles."""
    blocks: list[Block] = []
    for block in turn.blocks:
        last = blocks[-1] if blocks else None
        match block:
            case Text(text) if turn.role == "assistant" and isinstance(last, Text):
                blocks[-1] = Text(last.text + text)
            case ToolResult(id_, content, is_error):
                text = "".join(one.text for one in content if isinstance(one, Text))
                more = [_drop_title(one) for one in content if not isinstance(one, Text)]
                blocks.append(ToolResult(id_, (*([Text(text)] if text else []), *more), is_error))
            case Document():
                blocks.append(_drop_title(block))
            case _:
                blocks.append(block)
    return Turn(turn.role, tuple(blocks))


def _function_declaration(tool: ToolDefinition) -> Json:
    return {"name": tool.name, "description": tool.description, "parametersJsonSchema": tool.schema}


def _generation_config(params: GenerationParams) -> Json:
    output = params.output_schema
    config = {
        "maxOutputTokens": params.max_tokens,
        "temperature": params.temperature,
        "topP": params.top_p,
        "topK": params.top_k,
        "stopSequences": list(params.stop) or None,
        "thinkingConfig": _thinking_config(params),
        **({"responseMimeType": "application/json", "responseJsonSchema": output.schema} if output else {}),
    }
    return {name: value for name, value in config.items() if value is not None}


def _thinking_config(params: GenerationParams) -> Json:
    shown = {"includeThoughts": params.thinking_display == "summarized"}
    if params.thinking == "adaptive":
        return shown | ({"thinkingLevel": params.effort.upper()} if params.effort else {"thinkingBudget": -1})
    return shown | {"thinkingBudget": 0 if params.thinking == "off" else params.thinking}


def _tool_config(choice: ToolChoice | None) -> Json | None:
    if choice is None:
        return None
    mode = {"auto": "AUTO", "any": "ANY", "tool": "ANY", "none": "NONE"}[choice.mode]
    return {"functionCallingConfig": {"mode": mode} | ({"allowedFunctionNames": [choice.name]} if choice.name else {})}
