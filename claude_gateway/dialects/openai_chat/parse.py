"""A chat request to a job. Pure; raises `ApiError` 400 naming the message at fault."""

from dataclasses import dataclass, replace
from typing import Any

import orjson

from claude_gateway.conversation import NOTHING, Conversation, Remembered, bad
from claude_gateway.dialects.openai_chat.parameters import warnings
from claude_gateway.dialects.openai_chat.wire import ChatRequest, Message
from claude_gateway.tools import is_writable, read_choice, read_tools
from workers.job import Block, ChatJob, Effort, Text, Thinking, ToolResult, ToolUse, Tuning, Turn
from workers.tuning import fit


@dataclass(frozen=True, slots=True)
class ParsedChat:
    """The job, and how its answer is to be rendered."""

    job: ChatJob
    stream: bool
    include_usage: bool
    warnings: tuple[str, ...]


def parse(request: ChatRequest, owner: str, model: str, remembered: Remembered = NOTHING) -> ParsedChat:
    """`owner` is the calling key, `model` what the catalogue made of the name asked for, `remembered` what the session
    it goes on from holds."""
    system, turns, notes = _conversation(request.messages, remembered)
    tools = read_tools(request.tools or [], notes)
    choice = read_choice(request.tool_choice, tools, parallel=request.parallel_tool_calls is not False)
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
        warnings=(*warnings(request.unknown), *notes, *given_way),
    )


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
    )


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


def _conversation(messages: list[Message], remembered: Remembered) -> tuple[str, tuple[Turn, ...], list[str]]:
    """The system prompt, the alternating turns, and what had to give way."""
    system: list[str] = []
    conversation = Conversation(remembered)
    for number, message in enumerate(messages):
        where = f"messages.{number}"
        if message.role in ("system", "developer"):
            if conversation.begun:
                conversation.notes.append(f"{where}: moved into the system prompt, which Claude reads first")
            system += [text for text in _texts(message, where) if text.strip()]
        else:
            conversation.add("assistant" if message.role == "assistant" else "user", _blocks(message, where))
    return "\n\n".join(system), conversation.turns(), conversation.notes


def _blocks(message: Message, where: str) -> list[Block]:
    texts = [Text(text) for text in _texts(message, where)]
    if message.role == "tool":
        if not message.tool_call_id:
            raise bad(f"{where}.tool_call_id", "a tool message must name the call that it answers")
        return [ToolResult(message.tool_call_id, tuple(text for text in texts if text.text.strip()))]
    calls = [
        ToolUse(call.id, call.function.name, _arguments(call.function.arguments, f"{where}.tool_calls.{index}"))
        for index, call in enumerate(message.tool_calls or ())
    ]
    return [*texts, *calls]


def _texts(message: Message, where: str) -> list[str]:
    if message.content is None or isinstance(message.content, str):
        return [message.content or ""]
    texts = []
    for index, part in enumerate(message.content):
        text = part.refusal if part.type == "refusal" else part.text
        if part.type not in ("text", "refusal") or text is None:
            raise bad(f"{where}.content.{index}", f"a part of type {part.type[:40]!r} is not supported")
        texts.append(text)
    return texts


def _arguments(text: str, where: str) -> dict[str, Any]:
    try:
        value = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict) or not is_writable(value):
        raise bad(f"{where}.function.arguments", "must be a JSON object in a string")
    return value
