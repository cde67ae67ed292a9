"""Responses as the laws see it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

import orjson
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from claude_gateway.access.seal import Seal
from claude_gateway.dialects.openai_chat.encode import error_object
from claude_gateway.dialects.openai_responses.answer import Answer as ResponseAnswer
from claude_gateway.dialects.openai_responses.encode import BodyFold, StreamEncoder
from claude_gateway.dialects.openai_responses.parameters import PARAMETERS
from claude_gateway.dialects.openai_responses.parse import SEALED, parse
from claude_gateway.dialects.openai_responses.response_object import Identity, echo
from claude_gateway.dialects.openai_responses.wire import ResponsesRequest
from claude_gateway.errors import ApiError
from claude_gateway.prompt.thoughts import seal, unseal
from tests.claude_gateway.dialects.event_streams import said
from tests.claude_gateway.dialects.face import MODEL, OWNER, Answer, Json, Parsed, Said, Sent
from tests.claude_gateway.dialects.jobs import standing_at
from workers.events import Event
from workers.job import (
    Block,
    ChatJob,
    Document,
    Image,
    OutputSchema,
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

_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
SEAL = Seal(b"the key of the tests", OWNER)
# By what ends each event of an item's life: the deltas that came before it, and the field that has them all.
_SUMS = {
    "response.output_text.done": ("response.output_text.delta", "text"),
    "response.reasoning_summary_text.done": ("response.reasoning_summary_text.delta", "text"),
    "response.function_call_arguments.done": ("response.function_call_arguments.delta", "arguments"),
    "response.custom_tool_call_input.done": ("response.custom_tool_call_input.delta", "input"),
}
_ENDS = ("response.completed", "response.incomplete")


class OpenAIResponses:
    name = "openai_responses"
    fields = frozenset(PARAMETERS)
    usage_is_asked_for = False
    identity = Identity("resp_1", 1_700_000_000, "the-model-asked-for")

    def request(self, *, usage: bool = False) -> Json:
        return {"model": MODEL, "input": "hello", "stream": True}

    def parse(self, request: Json) -> Parsed:
        asked = ResponsesRequest.model_validate(request)
        parsed = parse(asked, OWNER, asked.model if asked.model.startswith("claude-") else MODEL, SEAL)
        return Parsed(parsed.job, parsed.stream, include_usage=True, warnings=parsed.warnings, hosted=parsed.hosted)

    def render(self, job: ChatJob) -> Json:
        request = {
            "model": job.model,
            "instructions": job.system or None,
            "input": [item for turn in job.turns for item in _items(turn)],
            "tools": [_tool(tool) for tool in job.tools],
            **_parameters(job.tuning),
        }
        return {name: value for name, value in request.items() if value not in (None, [])}

    def can_ask(self, job: ChatJob) -> ChatJob:
        """No budget of thoughts, no error marks, nothing that has no name here. To ask for thoughts is to see them."""
        turns = tuple(map(_without_error_marks, job.turns))
        tuning = replace(job.tuning, top_k=None, stop=())
        with_schema = tuning.output is not None and tuning.output.schema is not None
        tuning = standing_at("text.format.schema" if with_schema else "text.format", tuning)
        if tuning.top_p == 1:  # the default of OpenAI's own clients, which send it along
            tuning = replace(tuning, top_p=None)
        if tuning.thinking != "adaptive":
            tuning = replace(tuning, thinking="off", effort=None)
        tuning, _ = fit(tuning, job.model, turns)
        return replace(job, turns=turns, tuning=replace(tuning, display=_display(tuning)))

    def can_tell(self, said: Sequence[Said]) -> tuple[Said, ...]:
        return tuple(said)

    def told_so_far(self, events: Sequence[Event]) -> tuple[Said, ...]:
        return self.can_tell(said(events))

    def stream(self, events: Iterable[Event], *, usage: bool = True) -> list[Sent]:
        answer = self._answer()
        encoder = StreamEncoder(answer)
        return [one for event in events for one in encoder.feed(answer.feed(event))]

    def broken_stream(self, events: Iterable[Event], error: ApiError) -> list[Sent]:
        answer = self._answer()
        encoder = StreamEncoder(answer)
        return [*(one for event in events for one in encoder.feed(answer.feed(event))), *encoder.fail(error)]

    def body(self, events: Iterable[Event]) -> Json:
        fold = BodyFold(self._answer)
        for event in events:
            fold.feed(event)
        return fold.body()

    def read_stream(self, sent: Sequence[Sent]) -> Answer:
        """`created` first; items one after another; the whole response last, with every item as it was told."""
        *begun, end = _events(sent)
        assert end["type"] in _ENDS
        items = _gather(begun)
        assert end["response"]["output"] == items
        return self.read_body(end["response"])

    def read_broken_stream(self, sent: Sequence[Sent]) -> tuple[tuple[Said, ...], Json]:
        *begun, error, failed = _events(sent)
        response = failed["response"]
        assert (error["type"], failed["type"], response["status"]) == ("error", "response.failed", "failed")
        assert response["error"] == {"code": error["code"], "message": error["message"]}
        items = _gather(begun)
        assert response["output"] == items
        return tuple(map(_said, items)), {"error": {**response["error"], "type": "error"}}

    def read_body(self, body: Json) -> Answer:
        Response.model_validate(body)
        reason = (body["incomplete_details"] or {}).get("reason", "")
        return Answer(tuple(map(_said, body["output"])), f"{body['status']} {reason}", body["usage"])

    def error(self, error: ApiError) -> Json:
        """Before the head, the general one; behind it `read_broken_stream` knows it."""
        return error_object(error)

    def status(self, error: ApiError) -> int:
        return error.status

    def is_error(self, value: Json) -> bool:
        error = value["error"]
        return value.keys() == {"error"} and all(isinstance(error[name], str) for name in ("message", "type", "code"))

    def _answer(self) -> ResponseAnswer:
        asked = ResponsesRequest.model_validate({**self.request(), "include": [SEALED]})
        return ResponseAnswer(self.identity, echo(asked), {}, SEAL)


def _events(sent: Sequence[Sent]) -> list[Json]:
    """Numbered, each under the name of its own type, and as the official client's types have it."""
    read: list[Json] = []
    for number, (name, data) in enumerate(sent):
        event = orjson.loads(data)
        assert (event["type"], event["sequence_number"]) == (name, number)
        _EVENT.validate_python(event)
        read.append(event)
    return read


def _gather(events: list[Json]) -> list[Json]:
    """The items: each opened and closed once, in order, with every delta in its sum."""
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
                assert set(deltas.values()) <= set(_texts(event["item"]))
                items.append(event["item"])
                open_id = ""
            case kind:
                assert event["item_id"] == open_id
                if kind.endswith(".delta"):
                    deltas[kind] = deltas.get(kind, "") + event["delta"]
                if kind in _SUMS:
                    delta, field = _SUMS[kind]
                    assert deltas.get(delta, "") == event[field]
    assert not open_id
    return items


def _texts(item: Json) -> Iterator[str]:
    yield from (part["text"] for part in [*item.get("content", ()), *item.get("summary", ())])
    yield from (item[name] for name in ("arguments", "input") if name in item)


def _said(item: Json) -> Said:
    match item:
        case {"type": "message", "content": [{"type": "output_text", "text": text}]}:
            return Said("text", text)
        case {"type": "function_call", "call_id": id_, "name": name, "arguments": arguments}:
            return Said("call", arguments, id=id_, name=name)
        case {"type": "reasoning", "summary": summary}:
            text = "".join(part["text"] for part in summary)
            match unseal(item.get("encrypted_content") or "", SEAL):
                case (Thought(thinking, signature),):
                    assert thinking == text
                    return Said("thinking", thinking, signature)
                case (RedactedThought(data),):
                    return Said("redacted", data)
            return Said("thinking", text)
    raise AssertionError(item)


def _items(turn: Turn) -> Iterator[Json]:
    """An item for each block; neighbouring ones of a role are put together again."""
    for block in turn.blocks:
        match block:
            case Thought() | RedactedThought():
                yield {"type": "reasoning", "summary": [], "encrypted_content": seal([block], SEAL)}
            case ToolUse(id_, name, arguments):
                text = orjson.dumps(arguments).decode()
                yield {"type": "function_call", "call_id": id_, "name": name, "arguments": text}
            case ToolResult(id_, content):
                parts = [_part(part, "user") for part in content]
                yield {"type": "function_call_output", "call_id": id_, "output": parts}
            case _:
                yield {"role": turn.role, "content": [_part(block, turn.role)]}


def _part(block: Block, role: str) -> Json:
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


def _tool(tool: Tool) -> Json:
    return {"type": "function", "name": tool.name, "description": tool.description, "parameters": tool.schema}


def _display(tuning: Tuning) -> Literal["summarized"] | None:
    return "summarized" if tuning.thinking == "adaptive" else None


def _parameters(tuning: Tuning) -> Json:
    reasoning = {"effort": tuning.effort} if tuning.effort else {"summary": "auto"}
    return {
        "max_output_tokens": tuning.max_tokens,
        "temperature": tuning.temperature,
        "top_p": tuning.top_p,
        "text": _text(tuning.output),
        "reasoning": reasoning if tuning.thinking == "adaptive" else None,
        "tool_choice": _choice(tuning.tool_choice),
        "parallel_tool_calls": None if tuning.tool_choice is None else tuning.tool_choice.parallel,
    }


def _text(output: OutputSchema | None) -> Json | None:
    if output is None:
        return None
    if output.schema is None:
        return {"format": {"type": "json_object"}}
    return {"format": {"type": "json_schema", "name": "answer", "schema": output.schema}}


def _choice(choice: ToolChoice | None) -> Json | str | None:
    match choice:
        case None:
            return None
        case ToolChoice("tool", name):
            return {"type": "function", "name": name}
        case ToolChoice("any"):
            return "required"
    return choice.mode


def _without_error_marks(turn: Turn) -> Turn:
    return Turn(
        turn.role,
        tuple(replace(block, is_error=False) if isinstance(block, ToolResult) else block for block in turn.blocks),
    )
