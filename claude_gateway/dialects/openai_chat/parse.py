"""Convert a chat request to a job. No I/O.

If a field is invalid, the functions raise `ApiError` 400 with the path of the field.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from claude_gateway.core.errors import bad_request
from claude_gateway.dialects.common.content.blocks import check_result_parts, check_role, join_system_text
from claude_gateway.dialects.common.content.conversation import EMPTY_HISTORY, ConversationBuilder, SessionHistory
from claude_gateway.dialects.common.parameters.output_config import parse_output_config
from claude_gateway.dialects.common.parameters.sampling import clamp_temperature, drop_blank_stops
from claude_gateway.dialects.common.parameters.thinking import (
    ThinkingSetting,
    parse_effort,
    parse_reasoning,
    parse_thinking,
    resolve_thinking,
)
from claude_gateway.dialects.common.tools.allowed_tools import restrict_tools
from claude_gateway.dialects.common.tools.deferred_tools import find_referenced_tools
from claude_gateway.dialects.common.tools.hosted_tools import HostedTool, list_hosted_settings, select_hosted_tools
from claude_gateway.dialects.common.tools.tools import drop_unsupported_strict, parse_tool_choice, parse_tools
from claude_gateway.dialects.openai_chat.anthropic_options import OPTIONS_FIELD, apply_options
from claude_gateway.dialects.openai_chat.content_parts import parse_message_content
from claude_gateway.dialects.openai_chat.custom_tools import CustomTools, convert_custom_tools
from claude_gateway.dialects.openai_chat.legacy_functions import is_legacy, upgrade_legacy_functions
from claude_gateway.dialects.openai_chat.parameters import warnings
from claude_gateway.dialects.openai_chat.schema import AnthropicOptions, ChatMessage, ChatRequest, ResponseFormat
from claude_gateway.dialects.openai_chat.tool_calls import assign_call_ids, parse_tool_calls
from claude_gateway.structured_output.schema_limits import any_json_object, parse_output_schema
from workers.core.frozen import with_changes
from workers.core.job import Block, ChatJob, GenerationParams, OutputSchema, Role, Text, ToolResult, Turn
from workers.params.generation_params import fit_to_model


@dataclass(frozen=True, slots=True)
class ParsedChatRequest:
    """The job that a chat request asks for, and the facts that the gateway needs to build the response.

    Attributes:
        job: The job.
        stream: Whether the client wants a stream.
        include_usage: Whether the stream contains the usage.
        legacy: Whether calls use the older field `function_call`.
        custom_tools: The custom tools of the request.
        hosted_tools: The requested hosted tools that the gateway may replace with built-in tools.
        warnings: Warnings for the client about ignored or changed parts of the request.
    """

    job: ChatJob
    stream: bool
    include_usage: bool
    legacy: bool
    custom_tools: CustomTools
    hosted_tools: tuple[HostedTool, ...]
    warnings: tuple[str, ...]


def parse(request: ChatRequest, key_id: str, model: str, history: SessionHistory = EMPTY_HISTORY) -> ParsedChatRequest:
    """Convert a chat request to a job.

    Args:
        request: The validated request.
        key_id: The id of the API key that sent the request.
        model: The id of the model to which the model catalog resolved the model name in the request.
        history: The stored conversation of the session that the request continues.

    Raises:
        ApiError: 400 if the gateway cannot convert the request.
    """
    legacy, request = is_legacy(request), upgrade_legacy_functions(request)
    notes: list[str] = []
    request, anthropic_options = apply_options(request, notes)
    functions, custom_tools = convert_custom_tools(request.tools or [], notes)
    extra_system = (anthropic_options.system, request.system)
    system, turns = _build_conversation(request.messages, extra_system, model, history, custom_tools, notes)
    hosted_tools = _parse_web_search(request.web_search_options)
    get_referenced_names = partial(find_referenced_tools, turns, request.tool_choice)
    all_tools = parse_tools(functions, notes, hosted_tools, "functions" if legacy else "tools", get_referenced_names)
    allowed = restrict_tools(request.tool_choice, all_tools, hosted_tools)
    tools = drop_unsupported_strict(allowed.tools, model, notes)
    choice = parse_tool_choice(allowed.choice, tools, notes, parallel=request.parallel_tool_calls is not False)
    limit_name = "max_completion_tokens" if request.max_completion_tokens else "max_tokens"
    requested_params = with_changes(_parse_generation_params(request, anthropic_options, notes), tool_choice=choice)
    params, fit_warnings = fit_to_model(requested_params, model, turns, max_tokens_name=limit_name)
    stream_options = request.stream_options
    return ParsedChatRequest(
        job=ChatJob(
            key_id=key_id,
            model=model,
            system=system or history.system,
            turns=turns,
            params=params,
            tools=tools,
        ),
        stream=bool(request.stream),
        include_usage=bool(stream_options and stream_options.include_usage),
        legacy=legacy,
        custom_tools=custom_tools,
        hosted_tools=select_hosted_tools(allowed.hosted_tools, tools, notes),
        warnings=(*warnings(request.unknown_fields), *notes, *fit_warnings),
    )


def _parse_web_search(options: dict[str, Any] | None) -> list[HostedTool]:
    """Convert the parameter `web_search_options` to a hosted search tool.

    In this dialect, a client requests a web search by this parameter and not by an entry in `tools`.
    """
    name = "web_search_options"
    return [] if options is None else [HostedTool(name, name, "search", list_hosted_settings(options))]


def _parse_generation_params(request: ChatRequest, options: AnthropicOptions, notes: list[str]) -> GenerationParams:
    temperature = clamp_temperature(request.temperature, notes)
    stop = drop_blank_stops("stop", [request.stop] if isinstance(request.stop, str) else request.stop, notes)
    resolved = _parse_thinking(request, options, notes)
    thinking = resolved.thinking or "off"
    return GenerationParams(
        max_tokens=request.max_completion_tokens or request.max_tokens,
        temperature=temperature,
        top_p=request.top_p if request.top_p != 1 else None,
        top_k=request.top_k,
        stop=stop,
        thinking=thinking,
        thinking_display=None if thinking == "off" else resolved.display or "summarized",
        effort=resolved.effort,
        output_schema=_select_output_schema(request, options, notes),
    )


def _select_output_schema(request: ChatRequest, options: AnthropicOptions, notes: list[str]) -> OutputSchema | None:
    schema = parse_output_config(options.output_config, options.output_format, notes, f"{OPTIONS_FIELD}.")
    if schema is None:
        return _parse_response_format(request.response_format, notes)
    if request.response_format is not None and request.response_format.type != "text":
        notes.append(f"response_format: ignored (`{OPTIONS_FIELD}` has a schema)")
    return schema


def _parse_response_format(response_format: ResponseFormat | None, notes: list[str]) -> OutputSchema | None:
    if response_format is None or response_format.type == "text":
        return None
    if response_format.type == "json_object":
        return any_json_object("response_format")
    if response_format.json_schema is None:
        raise bad_request("response_format.json_schema", "is required for this type")
    schema = response_format.json_schema.schema_
    if schema is None:
        return any_json_object("response_format.json_schema")
    if response_format.json_schema.description:
        schema = {"description": response_format.json_schema.description, **schema}
    return parse_output_schema(schema, "response_format.json_schema.schema", notes)


def _parse_thinking(request: ChatRequest, options: AnthropicOptions, notes: list[str]) -> ThinkingSetting:
    """Combine the parameters of a request that control thinking.

    The parameters in `anthropic_options` have the highest precedence. The effort level in `anthropic_options` replaces
    every other effort level, even if another parameter determines the thinking mode.
    """
    thinking = resolve_thinking(
        [
            parse_thinking(f"{OPTIONS_FIELD}.thinking", options.thinking, notes),
            parse_thinking("thinking", request.thinking, notes),
            parse_reasoning("reasoning", request.reasoning, notes),
            parse_effort("reasoning_effort", request.reasoning_effort),
        ],
        notes,
    )
    effort = (options.output_config and options.output_config.effort) or options.effort
    if effort is not None and thinking.effort not in (None, effort):
        notes.append(f"{thinking.field_path}: ignored its effort (`{OPTIONS_FIELD}` takes precedence)")
    return with_changes(thinking, effort=effort or thinking.effort)


def _build_conversation(
    messages: Sequence[ChatMessage],
    extra_system: Sequence[Any],
    model: str,
    history: SessionHistory,
    custom_tools: CustomTools,
    notes: list[str],
) -> tuple[str, tuple[Turn, ...]]:
    """Return the system prompt, and the turns with alternating roles.

    `extra_system` contains the system prompts that the client did not send as messages. In the result, they come before
    the texts of the system messages.
    """
    conversation = ConversationBuilder(history)
    system = [join_system_text(prompt, conversation.notes) for prompt in extra_system]
    for number, message in enumerate(assign_call_ids(messages)):
        field_path = f"messages.{number}"
        parts = parse_message_content(message, field_path, conversation.notes)
        if message.role in ("system", "developer"):
            system += _parse_system_message(parts, field_path, conversation)
        else:
            role: Role = "assistant" if message.role == "assistant" else "user"
            blocks = (
                [_parse_tool_result(message, parts, field_path)]
                if message.role == "tool"
                else [*parts, *parse_tool_calls(message, field_path, custom_tools, conversation.notes)]
            )
            conversation.add_message(role, [check_role(role, block, field_path) for block in blocks])
    system = conversation.resolve_system(system)
    turns = conversation.build_turns(model)
    notes += conversation.notes
    return "\n\n".join(system), turns


def _parse_system_message(parts: list[Block], field_path: str, conversation: ConversationBuilder) -> list[str]:
    """Return the texts of a system message. Add its other parts, such as images, to the conversation as a user message.

    If the function moves a text or another part to a different position, it adds a note for the client.
    """
    other_blocks = [check_role("user", part, field_path) for part in parts if not isinstance(part, Text)]
    if other_blocks:
        conversation.notes.append(
            f"{field_path}: moved everything except text into a user message (a system prompt can only contain text)"
        )
        conversation.add_message("user", other_blocks)
    elif conversation.has_turns:
        conversation.notes.append(f"{field_path}: moved into the system prompt (Claude reads it before all messages)")
    return [part.text for part in parts if isinstance(part, Text)]


def _parse_tool_result(message: ChatMessage, parts: list[Block], field_path: str) -> ToolResult:
    if not message.tool_call_id:
        raise bad_request(f"{field_path}.tool_call_id", "a tool message must contain the id of its call")
    return ToolResult(message.tool_call_id, check_result_parts(parts, f"{field_path}.content"))
