"""Chat Completions as the laws see it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import orjson
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from claude_gateway.dialects.openai_chat import encode
from claude_gateway.dialects.openai_chat.parameters import PARAMETERS
from claude_gateway.dialects.openai_chat.parse import parse
from claude_gateway.dialects.openai_chat.wire import ChatRequest
from claude_gateway.errors import ApiError
from tests.claude_gateway.dialects.event_streams import said
from tests.claude_gateway.dialects.face import MODEL, OWNER, Answer, Json, Parsed, Said, Sent
from tests.claude_gateway.dialects.jobs import only, standing_at
from workers.events import Event
from workers.job import (
    ChatJob,
    Display,
    Document,
    Image,
    OutputSchema,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Tuning,
    Turn,
)
from workers.tuning import fit


class OpenAIChat:
    name = "openai_chat"
    fields = frozenset(PARAMETERS)
    usage_is_asked_for = True
    identity = encode.Identity("chatcmpl-1", 1_700_000_000, "the-model-asked-for")

    def request(self, *, usage: bool = False) -> Json:
        messages = [{"role": "user", "content": "hello"}]
        return {"model": MODEL, "messages": messages, "stream": True, "stream_options": {"include_usage": usage}}

    def parse(self, request: Json) -> Parsed:
        asked = ChatRequest.model_validate(request)
        parsed = parse(asked, OWNER, asked.model if asked.model.startswith("claude-") else MODEL)
        return Parsed(parsed.job, parsed.stream, parsed.include_usage, parsed.warnings, parsed.hosted)

    def render(self, job: ChatJob) -> Json:
        system = [{"role": "system", "content": job.system}] if job.system else []
        request = {
            "model": job.model,
            "messages": [*system, *(message for turn in job.turns for message in _messages(turn))],
            "tools": [_tool(tool) for tool in job.tools],
            **_parameters(job.tuning),
        }
        return {name: value for name, value in request.items() if value not in (None, [])}

    def can_ask(self, job: ChatJob) -> ChatJob:
        """No thoughts of the past, no error marks. To ask for thoughts is to see them."""
        turns = tuple(map(_without_error_marks, only(job.turns, Text, Image, Document, ToolUse, ToolResult)))
        tuning = job.tuning
        if tuning.top_p == 1:  # the default of OpenAI's own clients, which send it along
            tuning = replace(tuning, top_p=None)
        if tuning.thinking != "adaptive":
            tuning = replace(tuning, effort=None)
        with_schema = tuning.output is not None and tuning.output.schema is not None
        place = "response_format.json_schema.schema" if with_schema else "response_format"
        tuning, _ = fit(standing_at(place, tuning), job.model, turns)
        return replace(job, turns=turns, tuning=replace(tuning, display=_display(tuning)))

    def can_tell(self, said: Sequence[Said]) -> tuple[Said, ...]:
        """Thoughts as one, then the text as one, then the calls."""
        texts = {kind: "".join(one.text for one in said if one.kind == kind) for kind in ("thinking", "text")}
        joined = [Said(kind, text) for kind, text in texts.items() if text]
        return (*joined, *(one for one in said if one.kind == "call"))

    def told_so_far(self, events: Sequence[Event]) -> tuple[Said, ...]:
        return self.can_tell(said(events))

    def stream(self, events: Iterable[Event], *, usage: bool = True) -> list[Sent]:
        encoder = encode.ChunkEncoder(self.identity, include_usage=usage)
        return [one for event in events for one in encoder.feed(event)]

    def broken_stream(self, events: Iterable[Event], error: ApiError) -> list[Sent]:
        encoder = encode.ChunkEncoder(self.identity, include_usage=False)
        return [*(one for event in events for one in encoder.feed(event)), *encoder.fail(error)]

    def body(self, events: Iterable[Event]) -> Json:
        fold = encode.BodyFold(self.identity)
        for event in events:
            fold.feed(event)
        return fold.body()

    def read_stream(self, sent: Sequence[Sent]) -> Answer:
        """One finish after every delta, the usage chunk behind it, `[DONE]` last."""
        *chunks, done = [data for _, data in sent]
        assert done == "[DONE]"
        read = [_chunk(data) for data in chunks]
        usage = read.pop()["usage"] if not read[-1]["choices"] else None
        choices = [choice for chunk in read for choice in chunk["choices"]]
        assert [choice["finish_reason"] is None for choice in choices] == [*[True] * (len(choices) - 1), False]
        return Answer(_gather(choices), choices[-1]["finish_reason"], usage)

    def read_broken_stream(self, sent: Sequence[Sent]) -> tuple[tuple[Said, ...], Json]:
        *chunks, error = [data for _, data in sent]
        choices = [choice for data in chunks for choice in _chunk(data)["choices"]]
        assert all(choice["finish_reason"] is None for choice in choices)
        return _gather(choices), orjson.loads(error)

    def read_body(self, body: Json) -> Answer:
        ChatCompletion.model_validate(body)
        (choice,) = body["choices"]
        message = choice["message"]
        said = [
            Said("thinking", message.get("reasoning_content") or ""),
            Said("text", message["content"] or ""),
            *(
                Said("call", call["function"]["arguments"], id=call["id"], name=call["function"]["name"])
                for call in message.get("tool_calls") or ()
            ),
        ]
        return Answer(self.can_tell(said), choice["finish_reason"], body["usage"])

    def error(self, error: ApiError) -> Json:
        ((_, data),) = encode.ChunkEncoder(self.identity, include_usage=False).fail(error)
        assert orjson.loads(data) == encode.error_object(error)
        return encode.error_object(error)

    def status(self, error: ApiError) -> int:
        return error.status

    def is_error(self, value: Json) -> bool:
        error = value["error"]
        return value.keys() == {"error"} and all(isinstance(error[name], str) for name in ("message", "type", "code"))


def _chunk(data: str) -> Json:
    chunk: Json = orjson.loads(data)
    ChatCompletionChunk.model_validate(chunk)
    return chunk


def _gather(choices: list[Json]) -> tuple[Said, ...]:
    """One role, first; of each call its id, type and name once, and an index on every fragment."""
    deltas = [choice["delta"] for choice in choices]
    assert [delta.get("role") for delta in deltas] == ["assistant", *[None] * (len(deltas) - 1)][: len(deltas)]
    calls: list[Said] = []
    for fragment in (one for delta in deltas for one in delta.get("tool_calls", ())):
        if "id" in fragment:
            assert (fragment["index"], fragment["type"]) == (len(calls), "function")
            calls.append(Said("call", id=fragment["id"], name=fragment["function"]["name"]))
        assert fragment["index"] == len(calls) - 1
        calls[-1] = replace(calls[-1], text=calls[-1].text + fragment["function"]["arguments"])
    thinking = "".join(delta.get("reasoning_content") or "" for delta in deltas)
    text = "".join(delta.get("content") or "" for delta in deltas)
    return OpenAIChat().can_tell([Said("thinking", thinking), Said("text", text), *calls])


def _display(tuning: Tuning) -> Display | None:
    return None if tuning.thinking == "off" else "summarized"


def _messages(turn: Turn) -> list[Json]:
    """A message for each run of texts, for each call and for each result: they are put together again."""
    messages: list[Json] = []
    for block in turn.blocks:
        match block:
            case Text() | Image() | Document():
                messages.append({"role": turn.role, "content": [_part(block)]})
            case ToolUse(id_, name, arguments):
                function = {"name": name, "arguments": orjson.dumps(arguments).decode()}
                call = {"id": id_, "type": "function", "function": function}
                messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
            case ToolResult(id_, content):
                messages.append({"role": "tool", "tool_call_id": id_, "content": [_part(part) for part in content]})
    return messages


def _part(block: Text | Image | Document) -> Json:
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


def _tool(tool: Tool) -> Json:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.schema}
    return {"type": "function", "function": function}


def _parameters(tuning: Tuning) -> Json:
    """Claude's own option where a budget is asked for, OpenAI's word for the same otherwise."""
    options = {"type": "enabled", "budget_tokens": tuning.thinking} if isinstance(tuning.thinking, int) else None
    return {
        "max_tokens": tuning.max_tokens,
        "temperature": tuning.temperature,
        "top_p": tuning.top_p,
        "top_k": tuning.top_k,
        "stop": list(tuning.stop),
        "reasoning_effort": tuning.effort if tuning.thinking == "adaptive" else None,
        "anthropic_options": {"thinking": options} if options else None,
        "response_format": _response_format(tuning.output),
        "tool_choice": _choice(tuning.tool_choice),
        "parallel_tool_calls": None if tuning.tool_choice is None else tuning.tool_choice.parallel,
    }


def _response_format(output: OutputSchema | None) -> Json | None:
    if output is None:
        return None
    if output.schema is None:
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": output.schema}}


def _choice(choice: ToolChoice | None) -> Json | str | None:
    match choice:
        case None:
            return None
        case ToolChoice("tool", name):
            return {"type": "function", "function": {"name": name}}
        case ToolChoice("any"):
            return "required"
    return choice.mode


def _without_error_marks(turn: Turn) -> Turn:
    blocks = (replace(one, is_error=False) if isinstance(one, ToolResult) else one for one in turn.blocks)
    return replace(turn, blocks=tuple(blocks))
