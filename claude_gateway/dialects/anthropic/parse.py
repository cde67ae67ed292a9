"""A Messages request to a job. Pure; raises `ApiError` 400 naming the block at fault."""

from dataclasses import dataclass, replace
from functools import partial

from claude_gateway.dialects.anthropic.parameters import warnings
from claude_gateway.dialects.anthropic.wire import MessagesRequest
from claude_gateway.prompt.blocks import only_texts, read_blocks, system_text
from claude_gateway.prompt.conversation import NOTHING, Conversation, Remembered, reminder
from claude_gateway.prompt.deferred_tools import referred_to
from claude_gateway.prompt.hosted_tools import Hosted, alone
from claude_gateway.prompt.output_config import output_schema
from claude_gateway.prompt.thinking import from_thinking
from claude_gateway.prompt.tools import read_choice, read_tools, with_possible_strictness
from workers.job import ChatJob, Tuning
from workers.tuning import fit


@dataclass(frozen=True, slots=True)
class ParsedMessages:
    """The job, and how its answer is to be rendered."""

    job: ChatJob
    stream: bool
    hosted: tuple[Hosted, ...]
    warnings: tuple[str, ...]


def parse(request: MessagesRequest, owner: str, model: str, remembered: Remembered = NOTHING) -> ParsedMessages:
    """`owner` is the calling key, `model` what the catalogue made of the name asked for, `remembered` what the session
    it goes on from holds."""
    conversation = Conversation(remembered)
    notes = conversation.notes
    for number, message in enumerate(request.messages):
        where = f"messages.{number}.content"
        if message.role == "system":
            blocks = read_blocks(None, message.content, where, notes)
            conversation.add("user", [reminder(text.text) for text in only_texts(blocks, where, notes)])
        else:
            conversation.add(message.role, read_blocks(message.role, message.content, where, notes))
    system = system_text(request.system, notes)
    turns = conversation.turns(model)
    hosted: list[Hosted] = []
    offered = read_tools(request.tools or [], notes, hosted, referred=partial(referred_to, turns, request.tool_choice))
    tools = with_possible_strictness(offered, model, notes)
    # Their names are the provider's too: `web_search` of the type `web_search_20250305`.
    named = {str(tool.get("name")) for tool in request.tools or [] if tool.get("type") in {one.name for one in hosted}}
    choice = read_choice(request.tool_choice, tools, notes, parallel=True, hosted=named)
    output = output_schema(request.output_config, request.output_format, notes)
    wanted = replace(_tuning(request, notes), tool_choice=choice, output=output)
    tuning, given_way = fit(wanted, model, turns)
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
        hosted=alone(hosted, tools, notes),
        warnings=(*warnings(request.unknown), *notes, *given_way),
    )


def _tuning(request: MessagesRequest, notes: list[str]) -> Tuning:
    thinking = from_thinking("thinking", request.thinking, notes)
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
        thinking=thinking.thinking or "off",
        display=thinking.display,
        effort=request.output_config.effort if request.output_config else None,
    )
