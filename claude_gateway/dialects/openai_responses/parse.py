"""A Responses request to a job. Pure; raises `ApiError` naming what is at fault."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from claude_gateway.dialects.openai_responses.items import (
    NO_PAST,
    ItemReader,
    Past,
    Said,
    found_tools,
    kind_of,
    resolved,
)
from claude_gateway.dialects.openai_responses.parameters import PARAMETERS, warnings
from claude_gateway.dialects.openai_responses.response_object import echo
from claude_gateway.dialects.openai_responses.tools import Origin, Toolset
from claude_gateway.dialects.openai_responses.wire import ResponsesRequest
from claude_gateway.prompt.conversation import Conversation, bad
from claude_gateway.prompt.hosted_tools import Hosted, alone
from claude_gateway.prompt.thinking import ThinkingRequest, from_effort, resolve_thinking
from claude_gateway.prompt.thoughts import Sealer
from claude_gateway.prompt.tools import with_possible_strictness
from claude_gateway.structured.schemas import json_object, read_schema
from workers.job import ChatJob, OutputSchema, Tuning
from workers.tuning import fit

SEALED = "reasoning.encrypted_content"


@dataclass(frozen=True, slots=True)
class ParsedResponse:
    """The job, how its answer is to be rendered, and what is to be remembered of the request.

    `said` is what this request adds to the past, `items` the input it came in. `echo` is what the response repeats.
    """

    job: ChatJob
    stream: bool
    include_usage: bool
    store: bool
    background: bool
    sealed: bool
    origins: Mapping[str, Origin]
    echo: Mapping[str, Any]
    said: Said
    items: tuple[Mapping[str, Any], ...]
    hosted: tuple[Hosted, ...]
    warnings: tuple[str, ...]


def parse(request: ResponsesRequest, owner: str, model: str, sealer: Sealer, past: Past = NO_PAST) -> ParsedResponse:
    """`owner` is the calling key, `model` what the catalogue made of the name asked for."""
    _refuse(request)
    conversation = Conversation(place="input")
    notes = conversation.notes
    items = resolved(input_items(request), past.items)
    toolset = _toolset(request, items, notes)
    said = ItemReader(past, toolset, sealer, notes).read(items)
    for message in (*past.said.messages, *said.messages):
        conversation.add(message.role, list(message.blocks))
    system = conversation.ask_system([request.instructions or "", *past.said.system, *said.system])
    turns = conversation.turns()
    parallel = request.parallel_tool_calls is not False
    chosen, hosted, choice = toolset.choose(request.tool_choice, parallel=parallel, turns=turns)
    tools = with_possible_strictness(chosen, model, notes)
    wanted = replace(_tuning(request, notes), tool_choice=choice)
    tuning, given_way = fit(wanted, model, turns, limit_name="max_output_tokens")
    options = request.stream_options
    return ParsedResponse(
        job=ChatJob(owner, model, turns, "\n\n".join(system), tuning, tools),
        stream=bool(request.stream),
        include_usage=bool(options and options.include_usage),
        store=request.store is not False,
        background=bool(request.background),
        sealed=SEALED in (request.include or ()),
        origins=toolset.origins,
        echo=echo(request),
        said=said,
        items=tuple(items),
        hosted=alone(hosted, tools, notes),
        warnings=(*warnings(request.unknown), *notes, *given_way),
    )


def input_items(request: ResponsesRequest) -> list[Any]:
    """The input as items; a string is a message of the user's."""
    match request.input:
        case str(text):
            return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}]
        case {"object": "response"}:
            raise bad("input", "a response is no input; send the items of its `output`, or previous_response_id")
        case [_, *_] as items:
            return list(items)
        case None | [] if (request.instructions or "").strip() and request.previous_response_id is None:
            return []  # the instructions are the question
    raise bad("input", "must be a string or a list of items, and not empty")


def references(request: ResponsesRequest) -> list[str]:
    """The ids of stored items that the input refers to."""
    items = request.input if isinstance(request.input, list) else []
    found = [item.get("id") for item in items if isinstance(item, Mapping) and kind_of(item) == "item_reference"]
    return [id_ for id_ in found if isinstance(id_, str)]


def kept_references(request: ResponsesRequest) -> dict[str, Any]:
    """The input with nothing but what `references` looks for."""
    return {"input": [{"type": "item_reference", "id": id_} for id_ in references(request)]}


def _refuse(request: ResponsesRequest) -> None:
    for name in ("conversation", "prompt"):
        if getattr(request, name) is not None:
            raise bad(name, PARAMETERS[name][1])
    if request.background and request.store is False:
        raise bad("background", "what runs in the background is stored, so `store` may not be false")


def _toolset(request: ResponsesRequest, items: list[Any], notes: list[str]) -> Toolset:
    """All tools of the request, wherever they stand in it."""
    toolset = Toolset(notes)
    toolset.add(request.tools or [], "tools")
    for number, item in enumerate(items):
        if isinstance(item, Mapping) and kind_of(item) in ("additional_tools", "tool_search_output"):
            toolset.add(found_tools(item, f"input.{number}"), f"input.{number}.tools", replacing=True)
    return toolset


def _tuning(request: ResponsesRequest, notes: list[str]) -> Tuning:
    temperature = request.temperature
    if temperature is not None and temperature > 1:
        notes.append("temperature: lowered to 1, the highest that Claude takes")
        temperature = 1.0
    notes += [f"include: there is no {name[:60]!r} here" for name in request.include or () if name != SEALED]
    if request.stream_options and request.stream_options.include_obfuscation:
        notes.append("stream_options.include_obfuscation: nothing is padded")
    if request.text and request.text.verbosity not in (None, "medium"):
        notes.append("text.verbosity: Claude has no such parameter")
    resolved = _thinking(request, notes)
    thinking = resolved.thinking or "off"
    return Tuning(
        max_tokens=request.max_output_tokens,
        temperature=temperature,
        top_p=request.top_p if request.top_p != 1 else None,
        thinking=thinking,
        display=None if thinking == "off" else "summarized",
        effort=resolved.effort,
        output=_output(request.text.format if request.text else None, notes),
    )


def _output(wanted: Mapping[str, Any] | None, notes: list[str]) -> OutputSchema | None:
    match wanted:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return json_object("text.format")
        case {"type": "json_schema", "schema": dict(schema)}:
            described = wanted.get("description")
            if isinstance(described, str) and described:
                schema = {"description": described, **schema}
            return read_schema(schema, "text.format.schema", notes)
        case {"type": "json_schema"}:
            raise bad("text.format.schema", "must be a JSON Schema")
    notes.append(f"text.format: the type {str(wanted.get('type'))[:40]!r} is not known here, the answer is plain text")
    return None


def _thinking(request: ResponsesRequest, notes: list[str]) -> ThinkingRequest:
    """A client that wants a summary wants thoughts; how much is then left to the model."""
    reasoning = request.reasoning
    asked = from_effort("reasoning", reasoning.effort if reasoning else None)
    if asked.thinking is None and reasoning is not None and reasoning.summary is not None:
        asked = ThinkingRequest("reasoning", "adaptive")
    return resolve_thinking([asked, from_effort("reasoning_effort", request.reasoning_effort)], notes)
