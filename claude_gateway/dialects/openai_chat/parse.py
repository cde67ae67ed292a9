"""A chat request to a job. Pure; raises `ApiError` 400 naming the message at fault."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from claude_gateway.dialects.openai_chat.calls import calls, with_ids
from claude_gateway.dialects.openai_chat.custom import Custom, as_functions
from claude_gateway.dialects.openai_chat.functions import is_legacy, modern
from claude_gateway.dialects.openai_chat.parameters import warnings
from claude_gateway.dialects.openai_chat.parts import read_parts
from claude_gateway.dialects.openai_chat.wire import ChatRequest, Message, ResponseFormat
from claude_gateway.prompt.blocks import check_role, result_parts, system_text
from claude_gateway.prompt.conversation import NOTHING, Conversation, Remembered, bad
from claude_gateway.prompt.deferred_tools import referred_to
from claude_gateway.prompt.hosted_tools import Hosted, alone, settings_of
from claude_gateway.prompt.tools import read_choice, read_tools
from claude_gateway.structured.schemas import json_object, read_schema
from workers.job import Block, ChatJob, Effort, OutputSchema, Role, Text, Thinking, ToolResult, Tuning, Turn
from workers.tuning import fit


@dataclass(frozen=True, slots=True)
class ParsedChat:
    """The job, and how its answer is to be rendered; `legacy`: calls as `function_call`."""

    job: ChatJob
    stream: bool
    include_usage: bool
    legacy: bool
    custom: Custom
    hosted: tuple[Hosted, ...]
    warnings: tuple[str, ...]


def parse(request: ChatRequest, owner: str, model: str, remembered: Remembered = NOTHING) -> ParsedChat:
    """`owner` is the calling key, `model` what the catalogue made of the name asked for, `remembered` what the session
    it goes on from holds."""
    legacy, request = is_legacy(request), modern(request)
    notes: list[str] = []
    functions, custom = as_functions(request.tools or [], notes)
    system, turns = _conversation(request, model, remembered, custom, notes)
    hosted = _search(request.web_search_options)
    referred = partial(referred_to, turns, request.tool_choice)
    tools = read_tools(functions, notes, hosted, "functions" if legacy else "tools", referred)
    choice = read_choice(request.tool_choice, tools, notes, parallel=request.parallel_tool_calls is not False)
    tuning, given_way = fit(replace(_tuning(request, notes), tool_choice=choice), model, turns)
    options = request.stream_options
    return ParsedChat(
        job=ChatJob(
            owner=owner,
            model=model,
            system=system or remembered.system,
            turns=turns,
            tuning=tuning,
            tools=tools,
        ),
        stream=bool(request.stream),
        include_usage=bool(options and options.include_usage),
        legacy=legacy,
        custom=custom,
        hosted=alone(hosted, tools, notes),
        warnings=(*warnings(request.unknown), *notes, *given_way),
    )


def _search(options: dict[str, Any] | None) -> list[Hosted]:
    """Here it is no tool among the others."""
    place = "web_search_options"
    return [] if options is None else [Hosted(place, place, "search", settings_of(options))]


def _tuning(request: ChatRequest, notes: list[str]) -> Tuning:
    temperature = request.temperature
    if temperature is not None and temperature > 1:
        notes.append("temperature: lowered to 1, the highest that Claude takes")
        temperature = 1.0
    asked = [request.stop] if isinstance(request.stop, str) else request.stop or []
    stop = tuple(text for text in asked if text.strip())
    if len(stop) < len(asked):
        notes.append("stop: blank sequences left out, Claude takes none")
    thinking, effort = _thinking(request)
    return Tuning(
        max_tokens=request.max_completion_tokens or request.max_tokens,
        temperature=temperature,
        top_p=request.top_p if request.top_p != 1 else None,
        top_k=request.top_k,
        stop=stop,
        thinking=thinking,
        display=None if thinking == "off" else "summarized",
        effort=effort,
        output=_output(request.response_format, notes),
    )


def _output(wanted: ResponseFormat | None, notes: list[str]) -> OutputSchema | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return json_object("response_format")
    if wanted.json_schema is None:
        raise bad("response_format.json_schema", "must be given with this type")
    schema = wanted.json_schema.schema_
    if schema is None:
        return json_object("response_format.json_schema")
    if wanted.json_schema.description:
        schema = {"description": wanted.json_schema.description, **schema}
    return read_schema(schema, "response_format.json_schema.schema", notes)


def _thinking(request: ChatRequest) -> tuple[Thinking, Effort | None]:
    """Claude's own option wins over OpenAI's word for the same."""
    options = request.anthropic_options.thinking if request.anthropic_options else None
    match options.type if options else None:
        case "disabled":
            return "off", None
        case "enabled" | "adaptive":
            assert options is not None
            return options.budget_tokens or "adaptive", None
    match request.reasoning_effort:
        case None | "none":
            return "off", None
        case "minimal":
            return "adaptive", "low"
        case effort:
            return "adaptive", effort


def _conversation(
    request: ChatRequest, model: str, remembered: Remembered, custom: Custom, notes: list[str]
) -> tuple[str, tuple[Turn, ...]]:
    """The system prompt and the alternating turns."""
    conversation = Conversation(remembered)
    system = [system_text(request.system, conversation.notes)]
    for number, message in enumerate(with_ids(request.messages)):
        where = f"messages.{number}"
        parts = read_parts(message, where, conversation.notes)
        if message.role in ("system", "developer"):
            system += _system(parts, where, conversation)
        else:
            role: Role = "assistant" if message.role == "assistant" else "user"
            blocks = (
                [_result(message, parts, where)]
                if message.role == "tool"
                else [*parts, *calls(message, where, custom, conversation.notes)]
            )
            conversation.add(role, [check_role(role, block, where) for block in blocks])
    system = conversation.ask_system(system)
    turns = conversation.turns(model)
    notes += conversation.notes
    return "\n\n".join(system), turns


def _system(parts: list[Block], where: str, conversation: Conversation) -> list[str]:
    """The texts of a system message. What else is in it, an image say, becomes the user's."""
    rest = [check_role("user", part, where) for part in parts if not isinstance(part, Text)]
    if rest:
        conversation.notes.append(f"{where}: Claude's system prompt is text; what else is in it was given to the user")
        conversation.add("user", rest)
    elif conversation.begun:
        conversation.notes.append(f"{where}: moved into the system prompt, which Claude reads first")
    return [part.text for part in parts if isinstance(part, Text)]


def _result(message: Message, parts: list[Block], where: str) -> ToolResult:
    if not message.tool_call_id:
        raise bad(f"{where}.tool_call_id", "a tool message must name the call that it answers")
    return ToolResult(message.tool_call_id, result_parts(parts, f"{where}.content"))
