"""A Messages request to a job. Pure; raises `ApiError` 400 naming the block at fault."""

from dataclasses import dataclass, replace
from typing import Any, get_args

from claude_gateway.conversation import NOTHING, Conversation, Remembered, bad, reminder
from claude_gateway.dialects.anthropic import wire
from claude_gateway.dialects.anthropic.parameters import warnings
from claude_gateway.dialects.anthropic.wire import MessagesRequest
from claude_gateway.tools import is_writable, read_choice, read_tools
from workers.job import (
    Block,
    ChatJob,
    Display,
    Document,
    Image,
    RedactedThought,
    Text,
    Thinking,
    Thought,
    ToolResult,
    ToolUse,
    Tuning,
)
from workers.tuning import fit

# Claude Code's first system block is no prompt but its own bill's mark; our worker writes one of its own.
_BILLING_MARK = "x-anthropic-billing-header:"
_IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")


@dataclass(frozen=True, slots=True)
class ParsedMessages:
    """The job, and how its answer is to be rendered."""

    job: ChatJob
    stream: bool
    warnings: tuple[str, ...]


def parse(request: MessagesRequest, owner: str, model: str, remembered: Remembered = NOTHING) -> ParsedMessages:
    """`owner` is the calling key, `model` what the catalogue made of the name asked for, `remembered` what the session
    it goes on from holds."""
    conversation = Conversation(remembered)
    notes = conversation.notes
    for number, message in enumerate(request.messages):
        where = f"messages.{number}.content"
        blocks = _blocks(message.content, where, notes)
        if message.role == "system":
            conversation.add("user", [reminder(text.text) for text in _texts(blocks, where, notes)])
        else:
            conversation.add(message.role, blocks)
    system = _system(request, notes)
    turns = conversation.turns()
    tools = read_tools(request.tools or [], notes)
    choice = read_choice(request.tool_choice, tools, parallel=True)
    tuning, given_way = fit(replace(_tuning(request, notes), tool_choice=choice), model, turns)
    return ParsedMessages(
        job=ChatJob(
            owner=owner,
            model=model,
            system=system or remembered.system,
            turns=turns,
            tuning=tuning,
            tools=tools,
        ),
        stream=bool(request.stream),
        warnings=(*warnings(request.unknown), *notes, *given_way),
    )


def _tuning(request: MessagesRequest, notes: list[str]) -> Tuning:
    thinking, display = _thinking(request.thinking, notes)
    asked = request.stop_sequences or []
    stop = tuple(text for text in asked if text.strip())
    if len(stop) < len(asked):
        notes.append("stop_sequences: blank ones left out, Claude takes none")
    return Tuning(
        max_tokens=request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        stop=stop,
        thinking=thinking,
        display=display,
        effort=request.output_config.effort if request.output_config else None,
    )


def _thinking(asked: wire.Thinking | None, notes: list[str]) -> tuple[Thinking, Display | None]:
    if asked is None or asked.type == "disabled":
        return "off", None
    if asked.type not in ("enabled", "adaptive"):
        notes.append(f"thinking: the type {asked.type[:40]!r} is not known here, adaptive takes its place")
    display = next((known for known in get_args(Display) if known == asked.display), None)
    if display is None and asked.display is not None:
        notes.append(f"thinking.display: {asked.display[:40]!r} is not known here")
    return asked.budget_tokens or "adaptive", display


def _system(request: MessagesRequest, notes: list[str]) -> str:
    system = request.system or ""
    if isinstance(system, str):
        return system if system.strip() else ""
    texts = [block.text for block in _texts(_blocks(system, "system", notes), "system", notes)]
    return "\n\n".join(text for text in texts if text.strip() and not text.startswith(_BILLING_MARK))


def _texts(blocks: list[Block], where: str, notes: list[str]) -> list[Text]:
    texts = [block for block in blocks if isinstance(block, Text)]
    if len(texts) < len(blocks):
        notes.append(f"{where}: only text was taken, a system prompt has nothing else")
    return texts


def _blocks(content: Any, where: str, notes: list[str]) -> list[Block]:
    if isinstance(content, str):
        return [Text(content)]
    if not isinstance(content, list):
        raise bad(where, "must be a text or a list of blocks")
    found = [_block(block, f"{where}.{index}", notes) for index, block in enumerate(content)]
    return [block for block in found if block is not None]


def _block(block: Any, where: str, notes: list[str]) -> Block | None:
    match block:
        case {"type": "text", "text": str(text)}:
            return Text(text)
        case {"type": "image", "source": dict(source)}:
            return _image(source, where)
        case {"type": "document", "source": {"type": "base64" | "text" | "content"}}:
            return Document({name: value for name, value in block.items() if name not in ("type", "cache_control")})
        case {"type": "thinking", "thinking": str(thinking), "signature": str(signature)} if signature:
            return Thought(thinking, signature)
        case {"type": "thinking"}:
            notes.append(f"{where}: a thought without its signature was left out, Claude takes none")
            return None
        case {"type": "redacted_thinking", "data": str(data)}:
            return RedactedThought(data)
        case {"type": "tool_use", "id": str(id_), "name": str(name), "input": dict(arguments)} if is_writable(
            arguments
        ):
            return ToolUse(id_, name, arguments)
        case {"type": "tool_result", "tool_use_id": str(id_)}:
            parts = _blocks(block.get("content") or "", f"{where}.content", notes)
            kept = tuple(
                part for part in parts if isinstance(part, Image) or (isinstance(part, Text) and part.text.strip())
            )
            return ToolResult(id_, kept, is_error=bool(block.get("is_error")))
        case {"type": "text" | "image" | "document" | "redacted_thinking" | "tool_use" | "tool_result" as kind}:
            raise bad(where, f"is no whole block of type {kind}")
        case {"type": str(kind)}:
            notes.append(f"{where}: a block of type {kind[:40]!r} was left out")
            return None
    raise bad(where, "a content block must have a type")


def _image(source: dict[str, Any], where: str) -> Image:
    match source:
        case {"type": "base64", "media_type": str(kind), "data": str(data)} if kind in _IMAGE_TYPES and data:
            return Image({"type": "base64", "media_type": kind, "data": data})
        case {"type": "base64"}:
            raise bad(f"{where}.source", f"must have data and one of the types {', '.join(_IMAGE_TYPES)}")
    raise bad(f"{where}.source", "only base64 images are taken")
