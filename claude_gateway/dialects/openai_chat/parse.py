"""A chat request to a job. Pure; raises `ApiError` 400 naming the message at fault."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from claude_gateway.dialects.openai_chat.calls import calls, with_ids
from claude_gateway.dialects.openai_chat.custom import Custom, as_functions
from claude_gateway.dialects.openai_chat.functions import is_legacy, modern
from claude_gateway.dialects.openai_chat.options import OPTIONS, apply_options
from claude_gateway.dialects.openai_chat.parameters import warnings
from claude_gateway.dialects.openai_chat.parts import read_parts
from claude_gateway.dialects.openai_chat.wire import AnthropicOptions, ChatRequest, Message, ResponseFormat
from claude_gateway.prompt.allowed_tools import restrict_tools
from claude_gateway.prompt.blocks import check_role, result_parts, system_text
from claude_gateway.prompt.conversation import NOTHING, Conversation, Remembered, bad
from claude_gateway.prompt.deferred_tools import referred_to
from claude_gateway.prompt.hosted_tools import Hosted, alone, settings_of
from claude_gateway.prompt.output_config import output_schema
from claude_gateway.prompt.thinking import ThinkingRequest, from_effort, from_reasoning, from_thinking, resolve_thinking
from claude_gateway.prompt.tools import read_choice, read_tools, with_possible_strictness
from claude_gateway.structured.schemas import json_object, read_schema
from workers.job import Block, ChatJob, OutputSchema, Role, Text, ToolResult, Tuning, Turn
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
    request, anthropic_options = apply_options(request, notes)
    functions, custom = as_functions(request.tools or [], notes)
    beside = (anthropic_options.system, request.system)
    system, turns = _conversation(request.messages, beside, model, remembered, custom, notes)
    hosted = _search(request.web_search_options)
    referred = partial(referred_to, turns, request.tool_choice)
    named = read_tools(functions, notes, hosted, "functions" if legacy else "tools", referred)
    left = restrict_tools(request.tool_choice, named, hosted)
    tools = with_possible_strictness(left.tools, model, notes)
    choice = read_choice(left.choice, tools, notes, parallel=request.parallel_tool_calls is not False)
    limit_name = "max_completion_tokens" if request.max_completion_tokens else "max_tokens"
    wanted = replace(_tuning(request, anthropic_options, notes), tool_choice=choice)
    tuning, given_way = fit(wanted, model, turns, limit_name=limit_name)
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
        hosted=alone(left.hosted, tools, notes),
        warnings=(*warnings(request.unknown), *notes, *given_way),
    )


def _search(options: dict[str, Any] | None) -> list[Hosted]:
    """Here it is no tool among the others."""
    place = "web_search_options"
    return [] if options is None else [Hosted(place, place, "search", settings_of(options))]


def _tuning(request: ChatRequest, options: AnthropicOptions, notes: list[str]) -> Tuning:
    temperature = request.temperature
    if temperature is not None and temperature > 1:
        notes.append("temperature: lowered to 1, the highest that Claude takes")
        temperature = 1.0
    asked = [request.stop] if isinstance(request.stop, str) else request.stop or []
    stop = tuple(text for text in asked if text.strip())
    if len(stop) < len(asked):
        notes.append("stop: blank sequences left out, Claude takes none")
    resolved = _thinking(request, options, notes)
    thinking = resolved.thinking or "off"
    return Tuning(
        max_tokens=request.max_completion_tokens or request.max_tokens,
        temperature=temperature,
        top_p=request.top_p if request.top_p != 1 else None,
        top_k=request.top_k,
        stop=stop,
        thinking=thinking,
        display=None if thinking == "off" else resolved.display or "summarized",
        effort=resolved.effort,
        output=_output_of(request, options, notes),
    )


def _output_of(request: ChatRequest, options: AnthropicOptions, notes: list[str]) -> OutputSchema | None:
    schema = output_schema(options.output_config, options.output_format, notes, f"{OPTIONS}.")
    if schema is None:
        return _output(request.response_format, notes)
    if request.response_format is not None and request.response_format.type != "text":
        notes.append(f"response_format: left out, `{OPTIONS}` has a schema")
    return schema


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


def _thinking(request: ChatRequest, options: AnthropicOptions, notes: list[str]) -> ThinkingRequest:
    """Claude's own words go before the others' for the same; an effort of the options goes with any thinking."""
    asked = resolve_thinking(
        [
            from_thinking(f"{OPTIONS}.thinking", options.thinking, notes),
            from_thinking("thinking", request.thinking, notes),
            from_reasoning("reasoning", request.reasoning, notes),
            from_effort("reasoning_effort", request.reasoning_effort),
        ],
        notes,
    )
    effort = (options.output_config and options.output_config.effort) or options.effort
    if effort is not None and asked.effort not in (None, effort):
        notes.append(f"{asked.name}: its effort is left out, `{OPTIONS}` has another")
    return replace(asked, effort=effort or asked.effort)


def _conversation(
    messages: Sequence[Message],
    beside: Sequence[Any],
    model: str,
    remembered: Remembered,
    custom: Custom,
    notes: list[str],
) -> tuple[str, tuple[Turn, ...]]:
    """The system prompt and the alternating turns; `beside` are system prompts that stand beside the messages."""
    conversation = Conversation(remembered)
    system = [system_text(one, conversation.notes) for one in beside]
    for number, message in enumerate(with_ids(messages)):
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
