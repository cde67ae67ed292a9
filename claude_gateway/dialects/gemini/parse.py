"""Convert a Gemini request to a job. No I/O.

If a field is invalid, the functions raise `ApiError` 400 with the path of the field.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from claude_gateway.core.errors import bad_request
from claude_gateway.dialects.common.content.conversation import EMPTY_HISTORY, ConversationBuilder, SessionHistory
from claude_gateway.dialects.common.content.signed_thinking import ThinkingSigner
from claude_gateway.dialects.common.parameters.sampling import clamp_temperature, drop_blank_stops
from claude_gateway.dialects.common.tools.hosted_tools import HostedTool, select_hosted_tools
from claude_gateway.dialects.gemini import parameters
from claude_gateway.dialects.gemini.contents import ContentsParser, extract_system_texts
from claude_gateway.dialects.gemini.json_schema import from_json_schema, from_openapi
from claude_gateway.dialects.gemini.schema import GenerateContentRequest, GenerationConfig, ThinkingConfig
from claude_gateway.dialects.gemini.tools import parse_calling_config, parse_functions, parse_hosted_tools
from claude_gateway.structured_output.schema_limits import parse_output_schema
from workers.core.job import ChatJob, Effort, GenerationParams, OutputSchema, ThinkingMode
from workers.params.generation_params import fit_to_model


@dataclass(frozen=True, slots=True)
class ParsedGeminiRequest:
    """The job that a Gemini request asks for, and the facts that the gateway needs to build the response.

    Attributes:
        job: The job.
        include_thoughts: Whether the response shows the text of the thinking.
        hosted_tools: The requested hosted tools that the gateway may replace with built-in tools.
        warnings: Warnings for the client about ignored or changed parts of the request.
    """

    job: ChatJob
    include_thoughts: bool
    hosted_tools: tuple[HostedTool, ...]
    warnings: tuple[str, ...]


def parse(
    request: GenerateContentRequest,
    key_id: str,
    model: str,
    signer: ThinkingSigner,
    history: SessionHistory = EMPTY_HISTORY,
) -> ParsedGeminiRequest:
    """Convert a Gemini request to a job.

    Args:
        request: The validated request.
        key_id: The id of the API key that sent the request.
        model: The id of the model to which the model catalog resolved the model name in the request.
        signer: Verifies the signed thinking that the client sends back.
        history: The stored conversation of the session that the request continues.

    Raises:
        ApiError: 400 if the gateway cannot convert the request.
    """
    if request.cached_content:
        raise bad_request("cachedContent", parameters.PARAMETERS["cachedContent"][1])
    config = request.generation_config or GenerationConfig()
    conversation = ConversationBuilder(history, "contents")
    notes = conversation.notes
    notes += _find_warnings(request)
    system = (
        extract_system_texts(request.system_instruction, "systemInstruction", notes)
        if request.system_instruction
        else []
    )
    ContentsParser(conversation, signer, history.turns).parse(request.contents)
    system = conversation.resolve_system(system)
    turns = conversation.build_turns(model)
    calling = request.tool_config.function_calling_config if request.tool_config else None
    tools, choice = parse_calling_config(calling, parse_functions(request.tools or (), notes), notes)
    params, fit_warnings = fit_to_model(
        replace(_parse_generation_params(config, notes), tool_choice=choice),
        model,
        turns,
        max_tokens_name="maxOutputTokens",
    )
    thinking = config.thinking_config
    return ParsedGeminiRequest(
        job=ChatJob(
            key_id=key_id,
            model=model,
            system="\n\n".join(system) or history.system,
            turns=turns,
            params=params,
            tools=tools,
        ),
        include_thoughts=bool(thinking and thinking.include_thoughts),
        hosted_tools=select_hosted_tools(parse_hosted_tools(request.tools or ()), tools, notes),
        warnings=(*notes, *fit_warnings),
    )


def _find_warnings(request: GenerateContentRequest) -> Iterator[str]:
    yield from parameters.warnings(request.unknown_fields)
    if (config := request.generation_config) is not None:
        yield from parameters.find_nested_warnings(
            "generationConfig.", parameters.GENERATION_CONFIG, config.unknown_fields
        )
        if (thinking := config.thinking_config) is not None:
            path_prefix = "generationConfig.thinkingConfig."
            yield from parameters.find_nested_warnings(path_prefix, parameters.THINKING_CONFIG, thinking.unknown_fields)
    if (tools := request.tool_config) is not None:
        yield from parameters.find_nested_warnings("toolConfig.", parameters.TOOL_CONFIG, tools.unknown_fields)
        if (calling := tools.function_calling_config) is not None:
            path_prefix = "toolConfig.functionCallingConfig."
            yield from parameters.find_nested_warnings(
                path_prefix, parameters.FUNCTION_CALLING_CONFIG, calling.unknown_fields
            )


def _parse_generation_params(config: GenerationConfig, notes: list[str]) -> GenerationParams:
    temperature = clamp_temperature(config.temperature, notes)
    stop = drop_blank_stops("stopSequences", config.stop_sequences, notes)
    if config.top_k is not None and not config.top_k.is_integer():
        notes.append(
            f"topK: changed from {config.top_k} to {_round_top_k(config.top_k)} (Claude only accepts integers)"
        )
    thinking, effort = _parse_thinking(config.thinking_config, notes)
    include = config.thinking_config is not None and config.thinking_config.include_thoughts
    return GenerationParams(
        max_tokens=config.max_output_tokens,
        temperature=temperature,
        top_p=config.top_p if config.top_p != 1 else None,
        top_k=_round_top_k(config.top_k),
        stop=stop,
        thinking=thinking,
        thinking_display=None if thinking == "off" else "summarized" if include else "omitted",
        effort=effort,
        output_schema=_parse_output_schema(config, notes),
    )


def _parse_output_schema(config: GenerationConfig, notes: list[str]) -> OutputSchema | None:
    """Return the JSON Schema that the reply must match, or None if the reply is plain text.

    If the request has a schema, the schema takes precedence over `responseMimeType`. The type `application/json`
    without a schema allows any JSON.
    """
    mime_type = (config.response_mime_type or "text/plain").lower()
    if mime_type == "text/x.enum":
        notes.append("generationConfig.responseMimeType: ignored (enum values as plain text are not supported)")
        return None
    if config.response_json_schema is not None:
        field_path = "generationConfig.responseJsonSchema"
        return parse_output_schema(from_json_schema(config.response_json_schema, field_path), field_path, notes)
    if config.response_schema is not None:
        field_path = "generationConfig.responseSchema"
        return parse_output_schema(from_openapi(config.response_schema, field_path), field_path, notes)
    if mime_type == "application/json":
        return parse_output_schema({}, "generationConfig.responseMimeType", notes)
    if mime_type != "text/plain":
        notes.append(
            f"generationConfig.responseMimeType: ignored ({mime_type[:40]!r} is unknown, the reply is plain text)"
        )
    return None


def _round_top_k(value: float | None) -> int | None:
    """Return `topK` as an integer of at least 1, or None for 0, which means "not set"."""
    return max(int(value), 1) if value else None


def _parse_thinking(config: ThinkingConfig | None, notes: list[str]) -> tuple[ThinkingMode, Effort | None]:
    """Return the thinking mode and the effort level that the request asks for.

    A thinking budget takes precedence over a thinking level. `includeThoughts` without a budget or a level switches
    adaptive thinking on. Without any of these settings, thinking is off.
    """
    if config is None:
        return "off", None
    if config.thinking_budget is not None:
        if config.thinking_level not in (None, "thinking_level_unspecified"):
            notes.append("generationConfig.thinkingConfig.thinkingLevel: ignored (`thinkingBudget` takes precedence)")
        return ("adaptive" if config.thinking_budget < 0 else config.thinking_budget or "off"), None
    match config.thinking_level:
        case None | "thinking_level_unspecified":
            return ("adaptive" if config.include_thoughts else "off"), None
        case "minimal":
            return "adaptive", "low"
        case level:
            return "adaptive", level
