"""Convert a Responses request to a job. No I/O.

If a field is invalid, the functions raise `ApiError` with the path of the field.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from claude_gateway.core.errors import bad_request
from claude_gateway.dialects.common.content.conversation import ConversationBuilder
from claude_gateway.dialects.common.content.signed_thinking import ThinkingSigner
from claude_gateway.dialects.common.parameters.sampling import clamp_temperature
from claude_gateway.dialects.common.parameters.thinking import ThinkingSetting, parse_effort, resolve_thinking
from claude_gateway.dialects.common.tools.hosted_tools import HostedTool, select_hosted_tools
from claude_gateway.dialects.common.tools.tools import drop_unsupported_strict
from claude_gateway.dialects.openai_responses.input_items import (
    EMPTY_RESPONSE_HISTORY,
    ConversationMessages,
    InputItemParser,
    ResponseHistory,
    get_item_tools,
    get_item_type,
    resolve_references,
)
from claude_gateway.dialects.openai_responses.parameters import PARAMETERS, warnings
from claude_gateway.dialects.openai_responses.response_object import echo_request
from claude_gateway.dialects.openai_responses.schema import ResponsesRequest
from claude_gateway.dialects.openai_responses.tools import ClientTool, Toolset
from claude_gateway.structured_output.schema_limits import any_json_object, parse_output_schema
from workers.core.job import ChatJob, GenerationParams, OutputSchema
from workers.params.generation_params import fit_to_model

ENCRYPTED_REASONING = "reasoning.encrypted_content"


@dataclass(frozen=True, slots=True)
class ParsedResponsesRequest:
    """The job that a Responses request asks for, and the facts that the gateway needs to build and store the response.

    Attributes:
        job: The job.
        stream: Whether the client wants a stream.
        include_usage: Whether the stream contains the usage. This only matters if the client sent the request to the
            path of chat requests, and therefore expects a stream in the chat format.
        store: Whether the gateway stores the response.
        background: Whether the job runs in the background.
        include_encrypted_reasoning: Whether reasoning items contain the signed thinking.
        client_tools: Maps the function names that Claude sees to the tools of the client.
        echo: Fields of the request that the response repeats.
        input_messages: The messages that this request adds to the stored conversation.
        items: The input items. A stored item replaces each reference to it.
        hosted_tools: The requested hosted tools that the gateway may replace with built-in tools.
        warnings: Warnings for the client about ignored or changed parts of the request.
    """

    job: ChatJob
    stream: bool
    include_usage: bool
    store: bool
    background: bool
    include_encrypted_reasoning: bool
    client_tools: Mapping[str, ClientTool]
    echo: Mapping[str, Any]
    input_messages: ConversationMessages
    items: tuple[Mapping[str, Any], ...]
    hosted_tools: tuple[HostedTool, ...]
    warnings: tuple[str, ...]


def parse(
    request: ResponsesRequest,
    key_id: str,
    model: str,
    signer: ThinkingSigner,
    history: ResponseHistory = EMPTY_RESPONSE_HISTORY,
) -> ParsedResponsesRequest:
    """Convert a Responses request to a job.

    Args:
        request: The validated request.
        key_id: The id of the API key that sent the request.
        model: The id of the model to which the model catalog resolved the model name in the request.
        signer: Verifies the signed thinking that the client sends back.
        history: The stored data that the request continues.

    Raises:
        ApiError: 400 if the gateway cannot convert the request, or 404 for a reference to an item that is not stored.
    """
    _check_supported(request)
    conversation = ConversationBuilder(field_path="input")
    notes = conversation.notes
    items = resolve_references(input_to_items(request), history.referenced_items)
    toolset = _build_toolset(request, items, notes)
    input_messages = InputItemParser(history, toolset, signer, notes).parse(items)
    for message in (*history.conversation.messages, *input_messages.messages):
        conversation.add_message(message.role, list(message.blocks))
    system = conversation.resolve_system(
        [request.instructions or "", *history.conversation.system, *input_messages.system]
    )
    turns = conversation.build_turns()
    parallel = request.parallel_tool_calls is not False
    selected_tools, hosted_tools, choice = toolset.select_tools(request.tool_choice, parallel=parallel, turns=turns)
    tools = drop_unsupported_strict(selected_tools, model, notes)
    requested_params = replace(_parse_generation_params(request, notes), tool_choice=choice)
    params, fit_warnings = fit_to_model(requested_params, model, turns, max_tokens_name="max_output_tokens")
    stream_options = request.stream_options
    return ParsedResponsesRequest(
        job=ChatJob(key_id, model, turns, "\n\n".join(system), params, tools),
        stream=bool(request.stream),
        include_usage=bool(stream_options and stream_options.include_usage),
        store=request.store is not False,
        background=bool(request.background),
        include_encrypted_reasoning=ENCRYPTED_REASONING in (request.include or ()),
        client_tools=toolset.client_tools,
        echo=echo_request(request),
        input_messages=input_messages,
        items=tuple(items),
        hosted_tools=select_hosted_tools(hosted_tools, tools, notes),
        warnings=(*warnings(request.unknown_fields), *notes, *fit_warnings),
    )


def input_to_items(request: ResponsesRequest) -> list[Any]:
    """Return the input of a request as a list of items. An input that is a string becomes a user message.

    Raises:
        ApiError: 400 if the input is empty or invalid.
    """
    match request.input:
        case str(text):
            return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}]
        case {"object": "response"}:
            raise bad_request(
                "input", "a response is not an input; send the items of its `output`, or previous_response_id"
            )
        case [_, *_] as items:
            return list(items)
        case None | [] if (request.instructions or "").strip() and request.previous_response_id is None:
            return []  # the request consists of the instructions alone
    raise bad_request("input", "must be a string or a list of items, and must not be empty")


def find_referenced_ids(request: ResponsesRequest) -> list[str]:
    """Return the ids of the stored items to which the input of a request refers."""
    items = request.input if isinstance(request.input, list) else []
    ids = [item.get("id") for item in items if isinstance(item, Mapping) and get_item_type(item) == "item_reference"]
    return [id_ for id_ in ids if isinstance(id_, str)]


def keep_only_references(request: ResponsesRequest) -> dict[str, Any]:
    """Return the field `input` with only the references to stored items. Omit all other items.

    The gateway needs these references to load the stored items before it parses the whole request.
    """
    return {"input": [{"type": "item_reference", "id": id_} for id_ in find_referenced_ids(request)]}


def _check_supported(request: ResponsesRequest) -> None:
    for name in ("conversation", "prompt"):
        if getattr(request, name) is not None:
            raise bad_request(name, PARAMETERS[name][1])
    if request.background and request.store is False:
        raise bad_request("background", "the gateway stores background responses, so `store` must not be false")


def _build_toolset(request: ResponsesRequest, items: list[Any], notes: list[str]) -> Toolset:
    """Collect the tools that the request defines in `tools` and in input items."""
    toolset = Toolset(notes)
    toolset.add(request.tools or [], "tools")
    for number, item in enumerate(items):
        if isinstance(item, Mapping) and get_item_type(item) in ("additional_tools", "tool_search_output"):
            toolset.add(get_item_tools(item, f"input.{number}"), f"input.{number}.tools", allow_replacement=True)
    return toolset


def _parse_generation_params(request: ResponsesRequest, notes: list[str]) -> GenerationParams:
    temperature = clamp_temperature(request.temperature, notes)
    notes += [
        f"include: ignored {name[:60]!r} (not supported by this version)"
        for name in request.include or ()
        if name != ENCRYPTED_REASONING
    ]
    if request.stream_options and request.stream_options.include_obfuscation:
        notes.append("stream_options.include_obfuscation: ignored (the gateway adds no padding)")
    if request.text and request.text.verbosity not in (None, "medium"):
        notes.append("text.verbosity: ignored (Claude has no such parameter)")
    resolved = _parse_thinking(request, notes)
    thinking = resolved.thinking or "off"
    return GenerationParams(
        max_tokens=request.max_output_tokens,
        temperature=temperature,
        top_p=request.top_p if request.top_p != 1 else None,
        thinking=thinking,
        thinking_display=None if thinking == "off" else "summarized",
        effort=resolved.effort,
        output_schema=_parse_text_format(request.text.format if request.text else None, notes),
    )


def _parse_text_format(text_format: Mapping[str, Any] | None, notes: list[str]) -> OutputSchema | None:
    match text_format:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return any_json_object("text.format")
        case {"type": "json_schema", "schema": dict(schema)}:
            description = text_format.get("description")
            if isinstance(description, str) and description:
                schema = {"description": description, **schema}
            return parse_output_schema(schema, "text.format.schema", notes)
        case {"type": "json_schema"}:
            raise bad_request("text.format.schema", "must be a JSON Schema")
    notes.append(f"text.format: ignored ({str(text_format.get('type'))[:40]!r} is unknown, the reply is plain text)")
    return None


def _parse_thinking(request: ResponsesRequest, notes: list[str]) -> ThinkingSetting:
    """Combine the parameters of a request that control thinking.

    If the request only sets `summary`, the result is adaptive thinking.
    """
    reasoning = request.reasoning
    setting = parse_effort("reasoning", reasoning.effort if reasoning else None)
    if setting.thinking is None and reasoning is not None and reasoning.summary is not None:
        setting = ThinkingSetting("reasoning", "adaptive")
    return resolve_thinking([setting, parse_effort("reasoning_effort", request.reasoning_effort)], notes)
