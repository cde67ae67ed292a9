"""Gemini as the laws see it. The model, which is in the path there, stands in the body here, as the face wants it."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import orjson
from google.genai.types import GenerateContentResponse

from claude_gateway.access.seal import Seal
from claude_gateway.dialects.gemini import encode
from claude_gateway.dialects.gemini.failure import error_object, status
from claude_gateway.dialects.gemini.parameters import PARAMETERS
from claude_gateway.dialects.gemini.parse import parse
from claude_gateway.dialects.gemini.wire import GenerateContentRequest
from claude_gateway.errors import ApiError
from claude_gateway.prompt.thoughts import seal, unseal
from tests.claude_gateway.dialects.event_streams import said
from tests.claude_gateway.dialects.face import MODEL, OWNER, Answer, Json, Parsed, Said, Sent
from tests.claude_gateway.dialects.jobs import standing_at
from workers.events import BlockEnded, Event
from workers.job import (
    Block,
    ChatJob,
    Document,
    Image,
    RedactedThought,
    Text,
    Thought,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Tuning,
    Turn,
)
from workers.tuning import fit

SEAL = Seal(b"the key of the tests", OWNER)
_LEVELS = ("low", "medium", "high", "xhigh")


class Gemini:
    name = "gemini"
    fields = frozenset(PARAMETERS)
    usage_is_asked_for = False
    identity = ("response_1", "the-model-asked-for", SEAL)

    def request(self, *, usage: bool = False) -> Json:
        return {"model": MODEL, "contents": [{"role": "user", "parts": [{"text": "hello"}]}]}

    def parse(self, request: Json) -> Parsed:
        match request:
            case {"model": str(model), **rest} if model.startswith("claude-"):
                asked = GenerateContentRequest.model_validate(rest)
            case _:
                model, asked = MODEL, GenerateContentRequest.model_validate(request)
        parsed = parse(asked, OWNER, model, SEAL)
        return Parsed(parsed.job, stream=True, include_usage=True, warnings=parsed.warnings, hosted=parsed.hosted)

    def render(self, job: ChatJob) -> Json:
        request = {
            "model": job.model,
            "systemInstruction": {"parts": [{"text": job.system}]} if job.system else None,
            "contents": [
                {"role": "model" if turn.role == "assistant" else "user", "parts": list(_parts(turn.blocks))}
                for turn in job.turns
            ],
            "tools": [{"functionDeclarations": [_declaration(tool) for tool in job.tools]}] if job.tools else None,
            "generationConfig": _config(job.tuning),
            "toolConfig": _calling(job.tuning.tool_choice),
        }
        return {name: value for name, value in request.items() if value is not None}

    def can_ask(self, job: ChatJob) -> ChatJob:
        tuning = standing_at("generationConfig.responseJsonSchema", job.tuning)
        if tuning.output is not None and tuning.output.schema is None:
            tuning = replace(tuning, output=None)
        if tuning.top_p == 1:
            tuning = replace(tuning, top_p=None)
        if tuning.thinking != "adaptive" or tuning.effort not in _LEVELS:
            tuning = replace(tuning, effort=None)
        if tuning.display != "summarized":
            tuning = replace(tuning, display="omitted")
        choice = tuning.tool_choice
        if choice is not None and not choice.parallel:
            choice = None if choice.mode == "auto" else replace(choice, parallel=True)
        turns = tuple(map(_sayable, job.turns))
        tuning, _ = fit(replace(tuning, tool_choice=choice), job.model, turns)
        return replace(job, tuning=tuning, turns=turns)

    def can_tell(self, said: Sequence[Said]) -> tuple[Said, ...]:
        """Neighbouring texts are one, and so are neighbouring thoughts that no signature holds apart."""
        told: list[Said] = []
        for one in said:
            joined = one.kind in ("text", "thinking") and not one.signature
            if joined and told and (told[-1].kind, told[-1].signature) == (one.kind, ""):
                told[-1] = replace(told[-1], text=told[-1].text + one.text)
            elif one.text or one.signature or one.kind == "call":
                told.append(one)
        return tuple(told)

    def told_so_far(self, events: Sequence[Event]) -> tuple[Said, ...]:
        """A call is told when it is whole, a signature and a redacted thought with the part behind them."""
        blocks = list(said(events))
        if blocks and blocks[-1].kind == "call" and sum(isinstance(one, BlockEnded) for one in events) < len(blocks):
            blocks.pop()
        sealed = max(
            (n for n, one in enumerate(blocks, 1) if one.kind == "call" or (one.kind == "text" and one.text)), default=0
        )
        behind = [replace(one, signature="") for one in blocks[sealed:] if one.kind != "redacted"]
        return self.can_tell([*blocks[:sealed], *behind])

    def stream(self, events: Iterable[Event], *, usage: bool = True) -> list[Sent]:
        encoder = encode.ChunkEncoder(*self.identity, include_thoughts=True)
        return [one for event in events for one in encoder.feed(event)]

    def broken_stream(self, events: Iterable[Event], error: ApiError) -> list[Sent]:
        encoder = encode.ChunkEncoder(*self.identity, include_thoughts=True)
        return [*(one for event in events for one in encoder.feed(event)), *encoder.fail(error)]

    def body(self, events: Iterable[Event]) -> Json:
        fold = encode.BodyFold(*self.identity, include_thoughts=True)
        for event in events:
            fold.feed(event)
        return fold.body()

    def read_stream(self, sent: Sequence[Sent]) -> Answer:
        """Chunks that each hold parts; a finish reason and the usage in the last and in no other."""
        chunks = [_chunk(data) for _, data in sent]
        (end,) = chunks[-1]["candidates"]
        assert not any("usageMetadata" in chunk for chunk in chunks[:-1])
        assert not any("finishReason" in chunk["candidates"][0] for chunk in chunks[:-1])
        return Answer(self._gather(chunks), end["finishReason"], chunks[-1]["usageMetadata"])

    def read_broken_stream(self, sent: Sequence[Sent]) -> tuple[tuple[Said, ...], Json]:
        *chunks, (_, error) = sent
        return self._gather([_chunk(data) for _, data in chunks]), orjson.loads(error)

    def read_body(self, body: Json) -> Answer:
        chunk = _chunk(orjson.dumps(body).decode())
        return Answer(self._gather([chunk]), chunk["candidates"][0]["finishReason"], chunk["usageMetadata"])

    def error(self, error: ApiError) -> Json:
        ((_, data),) = encode.ChunkEncoder(*self.identity, include_thoughts=True).fail(error)
        assert orjson.loads(data) == error_object(error)
        assert data.startswith('{"error":')  # Google's Python client knows an error among chunks by no more
        return error_object(error)

    def status(self, error: ApiError) -> int:
        return status(error)

    def is_error(self, value: Json) -> bool:
        error = value["error"]
        return value.keys() == {"error"} and [type(error[name]) for name in ("code", "message", "status")] == [
            *(int, str, str)
        ]

    def _gather(self, chunks: list[Json]) -> tuple[Said, ...]:
        """A thought is shown first; the signature of the part behind it holds it once more, and must agree."""
        found: list[Said] = []
        shown = ""
        for part in (one for chunk in chunks for one in chunk["candidates"][0]["content"]["parts"]):
            if part.get("thought"):
                shown += part["text"]
                continue
            sealed = unseal(part.get("thoughtSignature", ""), SEAL)
            assert bool(sealed) is ("thoughtSignature" in part)
            if sealed:
                assert shown == "".join(one.thinking for one in sealed if isinstance(one, Thought))
                shown = ""
            found += map(_thought, sealed)
            found.append(_said(part))
        return self.can_tell([*found, Said("thinking", shown)])


def _chunk(data: str) -> Json:
    """Strict about what the official client's types and its chats' history ask for."""
    chunk: Json = orjson.loads(data)
    GenerateContentResponse.model_validate(chunk)
    (candidate,) = chunk["candidates"]
    assert (candidate["index"], candidate["content"]["role"]) == (0, "model")
    assert candidate["content"]["parts"]
    assert all(candidate["content"]["parts"])
    return chunk


def _thought(thought: Thought | RedactedThought) -> Said:
    if isinstance(thought, Thought):
        return Said("thinking", thought.thinking, thought.signature)
    return Said("redacted", thought.data)


def _said(part: Json) -> Said:
    if "functionCall" in part:
        call = part["functionCall"]
        return Said("call", orjson.dumps(call["args"]).decode(), id=call["id"], name=call["name"])
    return Said("text", part["text"])


def _parts(blocks: Iterable[Block]) -> Iterable[Json]:
    thoughts: list[Thought | RedactedThought] = []
    for block in blocks:
        if isinstance(block, Thought | RedactedThought):
            thoughts.append(block)
        else:
            yield _part(block) | ({"thoughtSignature": seal(thoughts, SEAL)} if thoughts else {})
            thoughts = []


def _part(block: Block) -> Json:
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
            more = [_part(one) for one in content if not isinstance(one, Text)]
            return {"functionResponse": {"id": id_, "name": "any", "response": response, "parts": more}}
    raise AssertionError(block)


def _untitled(block: Image | Document) -> Image | Document:
    return block if isinstance(block, Image) else Document({"source": block.fields["source"]})


def _sayable(turn: Turn) -> Turn:
    """The assistant's neighbouring texts as one, a result's text before its media, a document without its title."""
    blocks: list[Block] = []
    for block in turn.blocks:
        last = blocks[-1] if blocks else None
        match block:
            case Text(text) if turn.role == "assistant" and isinstance(last, Text):
                blocks[-1] = Text(last.text + text)
            case ToolResult(id_, content, is_error):
                text = "".join(one.text for one in content if isinstance(one, Text))
                more = [_untitled(one) for one in content if not isinstance(one, Text)]
                blocks.append(ToolResult(id_, (*([Text(text)] if text else []), *more), is_error))
            case Document():
                blocks.append(_untitled(block))
            case _:
                blocks.append(block)
    return Turn(turn.role, tuple(blocks))


def _declaration(tool: Tool) -> Json:
    return {"name": tool.name, "description": tool.description, "parametersJsonSchema": tool.schema}


def _config(tuning: Tuning) -> Json:
    output = tuning.output
    config = {
        "maxOutputTokens": tuning.max_tokens,
        "temperature": tuning.temperature,
        "topP": tuning.top_p,
        "topK": tuning.top_k,
        "stopSequences": list(tuning.stop) or None,
        "thinkingConfig": _thinking(tuning),
        **({"responseMimeType": "application/json", "responseJsonSchema": output.schema} if output else {}),
    }
    return {name: value for name, value in config.items() if value is not None}


def _thinking(tuning: Tuning) -> Json:
    shown = {"includeThoughts": tuning.display == "summarized"}
    if tuning.thinking == "adaptive":
        return shown | ({"thinkingLevel": tuning.effort.upper()} if tuning.effort else {"thinkingBudget": -1})
    return shown | {"thinkingBudget": 0 if tuning.thinking == "off" else tuning.thinking}


def _calling(choice: ToolChoice | None) -> Json | None:
    if choice is None:
        return None
    mode = {"auto": "AUTO", "any": "ANY", "tool": "ANY", "none": "NONE"}[choice.mode]
    return {"functionCallingConfig": {"mode": mode} | ({"allowedFunctionNames": [choice.name]} if choice.name else {})}
