"""Convert a Messages request to a job. No I/O."""

from dataclasses import dataclass, replace
from functools import partial

from claude_gateway.dialects.anthropic.parameters import warnings
from claude_gateway.dialects.anthropic.schema import MessagesRequest
from claude_gateway.dialects.common.content.blocks import extract_texts, join_system_text, parse_blocks
from claude_gateway.dialects.common.content.conversation import (
    EMPTY_HISTORY,
    ConversationBuilder,
    SessionHistory,
    build_system_reminder,
)
from claude_gateway.dialects.common.parameters.output_config import parse_output_config
from claude_gateway.dialects.common.parameters.sampling import drop_blank_stops
from claude_gateway.dialects.common.parameters.thinking import parse_thinking
from claude_gateway.dialects.common.tools.deferred_tools import find_referenced_tools
from claude_gateway.dialects.common.tools.hosted_tools import HostedTool, select_hosted_tools
from claude_gateway.dialects.common.tools.tools import drop_unsupported_strict, parse_tool_choice, parse_tools
from workers.core.job import ChatJob, GenerationParams
from workers.params.generation_params import fit_to_model


@dataclass(frozen=True, slots=True)
class ParsedMessagesRequest:
    """The job that a Messages request asks for, and the facts that the gateway needs to build the response.

    Attributes:
        job: The job.
        stream: Whether the client wants a stream.
        hosted_tools: The requested hosted tools that the gateway replaces with built-in tools.
        warnings: Warnings for the client.
    """

    job: ChatJob
    stream: bool
    hosted_tools: tuple[HostedTool, ...]
    warnings: tuple[str, ...]


def parse(
    request: MessagesRequest, key_id: str, model: str, history: SessionHistory = EMPTY_HISTORY
) -> ParsedMessagesRequest:
    """Convert a Messages request to a job.

    Args:
        request: The request.
        key_id: Id of the API key that sent the request.
        model: Id of the model to which the model catalog resolved the model name in the request.
        history: History of the session that the request continues.

    Raises:
        ApiError: 400, with the field path of the invalid block or parameter.
    """
    conversation = ConversationBuilder(history)
    notes = conversation.notes
    for number, message in enumerate(request.messages):
        field_path = f"messages.{number}.content"
        if message.role == "system":
            blocks = parse_blocks(None, message.content, field_path, notes)
            conversation.add_message(
                "user", [build_system_reminder(text.text) for text in extract_texts(blocks, field_path, notes)]
            )
        else:
            conversation.add_message(message.role, parse_blocks(message.role, message.content, field_path, notes))
    system = join_system_text(request.system, notes)
    turns = conversation.build_turns(model)
    hosted_tools: list[HostedTool] = []
    parsed_tools = parse_tools(
        request.tools or [],
        notes,
        hosted_tools,
        get_referenced_names=partial(find_referenced_tools, turns, request.tool_choice),
    )
    tools = drop_unsupported_strict(parsed_tools, model, notes)
    # `tool_choice` names a hosted tool by its name, which differs from its type: a tool of type `web_search_20250305`
    # has the name `web_search`.
    hosted_types = {tool.name for tool in hosted_tools}
    hosted_names = {str(tool.get("name")) for tool in request.tools or [] if tool.get("type") in hosted_types}
    choice = parse_tool_choice(request.tool_choice, tools, notes, parallel=True, hosted_names=hosted_names)
    output = parse_output_config(request.output_config, request.output_format, notes)
    requested = replace(_parse_generation_params(request, notes), tool_choice=choice, output_schema=output)
    params, param_notes = fit_to_model(requested, model, turns)
    return ParsedMessagesRequest(
        job=ChatJob(
            key_id=key_id,
            model=model,
            system=system or history.system,
            turns=turns,
            params=params,
            tools=tools,
        ),
        stream=bool(request.stream),
        hosted_tools=select_hosted_tools(hosted_tools, tools, notes),
        warnings=(*warnings(request.unknown_fields), *notes, *param_notes),
    )


def _parse_generation_params(request: MessagesRequest, notes: list[str]) -> GenerationParams:
    thinking = parse_thinking("thinking", request.thinking, notes)
    return GenerationParams(
        max_tokens=request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        stop=drop_blank_stops("stop_sequences", request.stop_sequences, notes),
        thinking=thinking.thinking or "off",
        thinking_display=thinking.display,
        effort=request.output_config.effort if request.output_config else None,
    )
