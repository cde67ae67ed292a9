"""A Gemini request to a job. Pure; raises `ApiError` 400 naming the part at fault."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from claude_gateway.dialects.gemini import parameters
from claude_gateway.dialects.gemini.functions import read_calling, read_functions, read_hosted
from claude_gateway.dialects.gemini.history import History, texts
from claude_gateway.dialects.gemini.schema import from_json_schema, from_openapi
from claude_gateway.dialects.gemini.wire import GenerateContentRequest, GenerationConfig, ThinkingConfig
from claude_gateway.prompt.conversation import NOTHING, Conversation, Remembered, bad
from claude_gateway.prompt.hosted_tools import Hosted, alone
from claude_gateway.prompt.thoughts import Sealer
from claude_gateway.structured.schemas import read_schema
from workers.job import ChatJob, Effort, OutputSchema, Thinking, Tuning
from workers.tuning import fit


@dataclass(frozen=True, slots=True)
class ParsedGemini:
    """The job, and how its answer is to be rendered."""

    job: ChatJob
    include_thoughts: bool
    hosted: tuple[Hosted, ...]
    warnings: tuple[str, ...]


def parse(
    request: GenerateContentRequest, owner: str, model: str, sealer: Sealer, remembered: Remembered = NOTHING
) -> ParsedGemini:
    """`owner` is the calling key, `model` what the catalogue made of the name asked for, `sealer` knows the thoughts
    that the caller was given, `remembered` is what the session holds."""
    if request.cached_content:
        raise bad("cachedContent", parameters.PARAMETERS["cachedContent"][1])
    config = request.generation_config or GenerationConfig()
    conversation = Conversation(remembered, "contents")
    notes = conversation.notes
    notes += _warnings(request)
    system = texts(request.system_instruction, "systemInstruction", notes) if request.system_instruction else []
    History(conversation, sealer, remembered.turns).read(request.contents)
    system = conversation.ask_system(system)
    turns = conversation.turns(model)
    calling = request.tool_config.function_calling_config if request.tool_config else None
    tools, choice = read_calling(calling, read_functions(request.tools or (), notes), notes)
    tuning, given_way = fit(
        replace(_tuning(config, notes), tool_choice=choice), model, turns, limit_name="maxOutputTokens"
    )
    thinking = config.thinking_config
    return ParsedGemini(
        job=ChatJob(
            owner=owner,
            model=model,
            system="\n\n".join(system) or remembered.system,
            turns=turns,
            tuning=tuning,
            tools=tools,
        ),
        include_thoughts=bool(thinking and thinking.include_thoughts),
        hosted=alone(read_hosted(request.tools or ()), tools, notes),
        warnings=(*notes, *given_way),
    )


def _warnings(request: GenerateContentRequest) -> Iterator[str]:
    yield from parameters.warnings(request.unknown)
    if (config := request.generation_config) is not None:
        yield from parameters.below("generationConfig.", parameters.GENERATION_CONFIG, config.unknown)
        if (thinking := config.thinking_config) is not None:
            place = "generationConfig.thinkingConfig."
            yield from parameters.below(place, parameters.THINKING_CONFIG, thinking.unknown)
    if (tools := request.tool_config) is not None:
        yield from parameters.below("toolConfig.", parameters.TOOL_CONFIG, tools.unknown)
        if (calling := tools.function_calling_config) is not None:
            place = "toolConfig.functionCallingConfig."
            yield from parameters.below(place, parameters.FUNCTION_CALLING_CONFIG, calling.unknown)


def _tuning(config: GenerationConfig, notes: list[str]) -> Tuning:
    temperature = config.temperature
    if temperature is not None and temperature > 1:
        notes.append("temperature: lowered to 1, the highest that Claude takes")
        temperature = 1.0
    asked = config.stop_sequences or []
    stop = tuple(text for text in asked if text.strip())
    if len(stop) < len(asked):
        notes.append("stopSequences: blank sequences left out, Claude takes none")
    if config.top_k is not None and not config.top_k.is_integer():
        notes.append(f"topK: {config.top_k} became {_top_k(config.top_k)}, Claude takes whole numbers")
    thinking, effort = _thinking(config.thinking_config, notes)
    include = config.thinking_config is not None and config.thinking_config.include_thoughts
    return Tuning(
        max_tokens=config.max_output_tokens,
        temperature=temperature,
        top_p=config.top_p if config.top_p != 1 else None,
        top_k=_top_k(config.top_k),
        stop=stop,
        thinking=thinking,
        display=None if thinking == "off" else "summarized" if include else "omitted",
        effort=effort,
        output=_output(config, notes),
    )


def _output(config: GenerationConfig, notes: list[str]) -> OutputSchema | None:
    """A schema asks for JSON, whatever the type beside it says; the type alone asks for JSON of any shape."""
    kind = (config.response_mime_type or "text/plain").lower()
    if kind == "text/x.enum":
        notes.append("generationConfig.responseMimeType: an enum's bare word is not supported by this version")
        return None
    if config.response_json_schema is not None:
        place = "generationConfig.responseJsonSchema"
        return read_schema(from_json_schema(config.response_json_schema, place), place, notes)
    if config.response_schema is not None:
        place = "generationConfig.responseSchema"
        return read_schema(from_openapi(config.response_schema, place), place, notes)
    if kind == "application/json":
        return read_schema({}, "generationConfig.responseMimeType", notes)
    if kind != "text/plain":
        notes.append(f"generationConfig.responseMimeType: {kind[:40]!r} is not known here, the answer is plain text")
    return None


def _top_k(asked: float | None) -> int | None:
    """0 asks for nothing."""
    return max(int(asked), 1) if asked else None


def _thinking(config: ThinkingConfig | None, notes: list[str]) -> tuple[Thinking, Effort | None]:
    """A budget wins over a level. Who asks to see thoughts asks for thinking; who asks for nothing gets none."""
    if config is None:
        return "off", None
    if config.thinking_budget is not None:
        if config.thinking_level not in (None, "thinking_level_unspecified"):
            notes.append("generationConfig.thinkingConfig.thinkingLevel: left out, `thinkingBudget` counts")
        return ("adaptive" if config.thinking_budget < 0 else config.thinking_budget or "off"), None
    match config.thinking_level:
        case None | "thinking_level_unspecified":
            return ("adaptive" if config.include_thoughts else "off"), None
        case "minimal":
            return "adaptive", "low"
        case level:
            return "adaptive", level
