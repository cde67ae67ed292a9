"""Adapts generation parameters to a model, and converts them to settings of the CLI. No I/O.

The API rejects a request if two parameters contradict each other. A valid request of a client must not fail with status
400 because of a parameter. So `fit_to_model` changes or drops parameters, and returns a message about each change. The
rules come from the documented errors of the Messages API and from the parameters that CLI 2.1.330 itself adds. The fake
Anthropic API returns the same errors (claude_gateway/devtools/fake_anthropic/validation.py), and
tests/e2e/dialects/test_parameters.py tests the parameters.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from workers.core.frame import encode_line
from workers.core.frozen import with_changes
from workers.core.job import (
    Document,
    Effort,
    GenerationParams,
    RedactedThinkingBlock,
    ThinkingBlock,
    ToolChoice,
    ToolResult,
    Turn,
)
from workers.params.output_limit import get_max_output_tokens
from workers.params.output_schema import to_native_schema

_MIN_THINKING_BUDGET_TOKENS = 1_024
_MIN_THINKING_TOP_P = 0.95
_EFFORT_BUDGET_TOKENS: dict[Effort, int] = {
    "low": 2_048,
    "medium": 8_192,
    "high": 16_384,
    "xhigh": 24_576,
    "max": 31_999,
}
_DEFAULT_MAX_TOKENS = 32_000
# A model name may also have the prefix that Bedrock uses (`us.anthropic.`) or the suffix that Vertex (`@20250929`) or
# Claude Code (`[1m]`) uses.
_MODEL_VERSION = re.compile(r"(?:.*\banthropic\.)?claude-(?:[a-z]+-)?(\d+)(?:-(\d{1,2}))?(?:[-@\[]|$)")
_MODELS_WITH_BOTH_SAMPLERS = frozenset({"claude-opus-4-20250514", "claude-sonnet-4-20250514"})


def fit_to_model(
    params: GenerationParams, model: str, turns: Sequence[Turn], *, max_tokens_name: str = "max_tokens"
) -> tuple[GenerationParams, list[str]]:
    """Change or drop the parameters that the model does not accept for this conversation.

    Args:
        params: The parameters that the client sent.
        model: The name of the model.
        turns: The conversation.
        max_tokens_name: The name that the client uses for `max_tokens`. The returned messages contain this name.

    Returns:
        The parameters for the model, and a message for the client about each changed or dropped parameter.
    """
    notes: list[str] = []
    params = _fit_max_tokens(params, model, max_tokens_name, notes)
    params = _fit_output_schema(params, model, turns)
    params = _fit_tool_choice(params, model, notes)
    params = _fit_thinking(params, model, turns, max_tokens_name, notes)
    params = _fit_effort(params, model, notes)
    return _fit_sampling(params, model, notes), notes


def params_to_env(params: GenerationParams, extra_body: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Return the environment variables that set the parameters for the CLI's next upstream request.

    The result always contains all variables, because the CLI keeps the old value of a variable that it does not get.

    Args:
        params: The parameters of the request.
        extra_body: Additional fields for the body of the upstream request.
    """
    return {
        "CLAUDE_CODE_EXTRA_BODY": _dump_json({**_build_extra_body(params), **(extra_body or {})}),
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(params.max_tokens or ""),
    }


def get_thinking_budget(params: GenerationParams) -> int | None:
    """Return the argument for `CliProtocol.set_thinking_budget`.

    The argument is a number of tokens, or None if the model decides how much to think.
    """
    if _should_hide_temperature(params) or params.thinking == "adaptive":
        return None
    return 0 if params.thinking == "off" else params.thinking


def has_adaptive_thinking(model: str) -> bool:
    """Return whether the model itself can decide how much to think. Models from version 4.6 on have this ability."""
    return _parse_version(model) >= (4, 6)


def can_disable_thinking(model: str) -> bool:
    """Return whether the client can turn thinking off. Models from version 5 on always think."""
    return _parse_version(model) < (5, 0)


def can_enforce_output_schema(model: str) -> bool:
    """Return whether the API can enforce a JSON Schema for replies of this model.

    It can do so for Opus 4.1 and for the models from version 4.5 on.
    """
    return _parse_version(model) >= (4, 5) or model.startswith("claude-opus-4-1")


def _has_sampling_params(model: str) -> bool:
    """Return whether the model accepts `temperature`, `top_p` and `top_k`. Models from version 4.7 on reject them."""
    return _parse_version(model) < (4, 7)


@lru_cache(maxsize=256)
def _parse_version(model: str) -> tuple[int, int]:
    """Return the version in a model name such as claude-opus-4-1-20250805. Return (99, 0) for an unknown name."""
    match = _MODEL_VERSION.match(model)
    return (int(match[1]), int(match[2] or 0)) if match else (99, 0)


def _fit_output_schema(params: GenerationParams, model: str, turns: Sequence[Turn]) -> GenerationParams:
    """Set `native_schema` to the form of the client's schema that the API can enforce; None if there is no such form.

    The function adds no note for the client, because the gateway checks the reply against the client's schema. The
    descriptions in the native schema mention the keywords that the API cannot enforce. If there is no native schema,
    the system prompt contains the client's schema.
    """
    output = params.output_schema
    if output is None:
        return params
    schema = output.schema if can_enforce_output_schema(model) and not _has_citations(turns) else None
    return replace(
        params, output_schema=replace(output, native_schema=None if schema is None else to_native_schema(schema))
    )


def _has_citations(turns: Sequence[Turn]) -> bool:
    """Return whether a document in the turns requests citations. The API rejects citations together with a schema."""
    documents = [block for turn in turns for block in turn.blocks if isinstance(block, Document)]
    settings = [document.fields.get("citations") for document in documents]
    return any(isinstance(citations, Mapping) and citations.get("enabled") for citations in settings)


def _fit_tool_choice(params: GenerationParams, model: str, notes: list[str]) -> GenerationParams:
    """Turn thinking off if the client forces a tool call, because the API does not accept both together.

    If the model always thinks, let the model decide about tool calls instead.
    """
    choice = params.tool_choice
    if choice is None or choice.mode not in ("any", "tool"):
        return params
    if not can_disable_thinking(model):
        notes.append("tool_choice: changed to auto (this model always thinks)")
        return replace(params, tool_choice=None if choice.parallel else ToolChoice(parallel=False))
    if params.thinking != "off":
        notes.append("thinking: ignored (a tool call is forced)")
    return replace(params, thinking="off")


def _fit_max_tokens(params: GenerationParams, model: str, max_tokens_name: str, notes: list[str]) -> GenerationParams:
    """Lower `max_tokens` to the maximum of the model.

    The CLI would also lower `max_tokens`, but without a message for the client. It might also send a thinking budget
    above the lowered limit.
    """
    limit = get_max_output_tokens(model)
    if params.max_tokens is None or params.max_tokens <= limit:
        return params
    notes.append(f"{max_tokens_name}: changed from {params.max_tokens} to {limit} (the maximum of this model)")
    return replace(params, max_tokens=limit)


def _fit_thinking(
    params: GenerationParams, model: str, turns: Sequence[Turn], max_tokens_name: str, notes: list[str]
) -> GenerationParams:
    if params.thinking == "off":
        return (
            with_changes(params, thinking_display=None)
            if can_disable_thinking(model)
            else replace(params, thinking="adaptive")
        )
    if has_adaptive_thinking(model):
        return with_changes(params, thinking="adaptive")
    limit = params.max_tokens or min(_DEFAULT_MAX_TOKENS, get_max_output_tokens(model))
    requested = _EFFORT_BUDGET_TOKENS[params.effort or "high"] if params.thinking == "adaptive" else params.thinking
    budget = min(max(requested, _MIN_THINKING_BUDGET_TOKENS), limit - 1)
    if budget < _MIN_THINKING_BUDGET_TOKENS:
        notes.append(f"thinking: ignored ({max_tokens_name} leaves no room for it)")
        return _disable_thinking(params)
    if _has_tool_results_without_thinking(turns):
        notes.append("thinking: ignored (the tool calls just answered came without their thinking blocks)")
        return _disable_thinking(params)
    if isinstance(params.thinking, int) and budget != params.thinking:
        notes.append(f"thinking: changed the budget to {budget} (it must be between 1024 and {max_tokens_name})")
    return replace(params, thinking=budget, effort=_get_explicit_effort(params))


def _disable_thinking(params: GenerationParams) -> GenerationParams:
    return replace(params, thinking="off", thinking_display=None, effort=_get_explicit_effort(params))


def _get_explicit_effort(params: GenerationParams) -> Effort | None:
    """Return the effort that the client requested; None if the client requested adaptive thinking.

    If the client requests adaptive thinking from a model that has no adaptive thinking, the gateway converts the effort
    to a thinking budget.
    """
    return None if params.thinking == "adaptive" else params.effort


def _has_tool_results_without_thinking(turns: Sequence[Turn]) -> bool:
    """Return whether the last turn contains tool results and the reply before it does not begin with thinking.

    If the request has a thinking budget, the API rejects such a conversation. For models with adaptive thinking, the
    API accepts it.
    """
    if len(turns) < 2 or not any(isinstance(block, ToolResult) for block in turns[-1].blocks):
        return False
    first_block = turns[-2].blocks[0]
    return not isinstance(first_block, ThinkingBlock | RedactedThinkingBlock)


def _fit_effort(params: GenerationParams, model: str, notes: list[str]) -> GenerationParams:
    """Set an effort level that the model accepts.

    If the client requested no effort, set the level that is the default of the API, because the CLI would send a higher
    level.
    """
    efforts = _list_efforts(model)
    if not efforts:
        if params.effort is not None:
            notes.append("effort: ignored (this model has no effort parameter)")
        return with_changes(params, effort=None)
    if params.effort in efforts:
        return params
    if params.effort is not None:
        notes.append("effort: changed to high (this model does not have the requested one)")
    return replace(params, effort="high")


def _list_efforts(model: str) -> tuple[Effort, ...]:
    """Return the effort levels documented for a model.

    Only Opus 4.5 and the models from version 4.6 on have effort levels.
    """
    version = _parse_version(model)
    if version >= (4, 7):
        return ("low", "medium", "high", "xhigh", "max")
    if version == (4, 6):
        return ("low", "medium", "high", "max")
    return ("low", "medium", "high") if model.startswith("claude-opus-4-5") else ()


def _fit_sampling(params: GenerationParams, model: str, notes: list[str]) -> GenerationParams:
    if not _has_sampling_params(model):
        return _drop_params(params, ("temperature", "top_p", "top_k"), "this model takes no sampling parameters", notes)
    if params.thinking != "off":
        params = _drop_params(params, ("temperature", "top_k"), "not together with thinking", notes, neutral=1)
        if params.top_p is not None and params.top_p < _MIN_THINKING_TOP_P:
            params = _drop_params(params, ("top_p",), "below 0.95 not together with thinking", notes)
        return params
    if params.temperature is not None and params.top_p is not None and model not in _MODELS_WITH_BOTH_SAMPLERS:
        dropped = "temperature" if params.temperature == 1 else "top_p"
        return _drop_params(params, (dropped,), "this model takes one of temperature and top_p", notes, neutral=1)
    return params


def _drop_params(
    params: GenerationParams, names: tuple[str, ...], reason: str, notes: list[str], neutral: float | None = None
) -> GenerationParams:
    """Drop parameters, and add a message to `notes` for each parameter whose value is neither None nor `neutral`."""
    for name in names:
        value = getattr(params, name)
        if value is not None and value != neutral:
            notes.append(f"{name}: ignored ({reason})")
    cleared: dict[str, Any] = dict.fromkeys(names)
    return replace(params, **cleared)


def _encode_tool_choice(choice: ToolChoice) -> dict[str, Any]:
    body: dict[str, Any] = {"type": choice.mode}
    if choice.mode == "tool":
        body["name"] = choice.name
    if choice.mode != "none" and not choice.parallel:
        body["disable_parallel_tool_use"] = True
    return body


def _should_hide_temperature(params: GenerationParams) -> bool:
    """Return whether the gateway must prevent the CLI from sending a temperature.

    If thinking is off, the CLI sends `temperature: 1`. Most models reject this together with `top_p`. So the gateway
    leaves thinking on in the settings of the CLI, and turns thinking off in the extra body. The extra body consists of
    fields that the CLI copies into the upstream request.
    """
    return params.thinking == "off" and params.top_p is not None and params.temperature is None


def _encode_thinking(params: GenerationParams) -> dict[str, Any]:
    """Return the value of the field `thinking` in the upstream request. It replaces the value that the CLI would send.

    The value of the CLI would request only messages about the progress of the thinking, and not the text.
    """
    kind = {"type": "adaptive"} if params.thinking == "adaptive" else {"type": "enabled"}
    budget = {"budget_tokens": params.thinking} if isinstance(params.thinking, int) else {}
    return kind | budget | ({"display": params.thinking_display} if params.thinking_display else {})


def _encode_output_config(params: GenerationParams) -> dict[str, Any]:
    config: dict[str, Any] = {"effort": params.effort} if params.effort else {}
    if params.output_schema is not None and params.output_schema.native_schema is not None:
        config["format"] = {"type": "json_schema", "schema": params.output_schema.native_schema}
    return config


def _build_extra_body(params: GenerationParams) -> dict[str, Any]:
    body: dict[str, Any] = {
        name: value for name in ("temperature", "top_p", "top_k") if (value := getattr(params, name)) is not None
    }
    if params.stop:
        body["stop_sequences"] = list(params.stop)
    if params.tool_choice is not None:
        body["tool_choice"] = _encode_tool_choice(params.tool_choice)
    if params.thinking != "off":
        body["thinking"] = _encode_thinking(params)
    if config := _encode_output_config(params):
        body["output_config"] = config
    if _should_hide_temperature(params):
        # The CLI adds a context edit (`context_management`) that clears thinking blocks. The API rejects this edit if
        # thinking is off.
        body |= {"thinking": {"type": "disabled"}, "context_management": {"edits": []}}
    return body


def _dump_json(body: dict[str, Any]) -> str:
    return encode_line(body).decode().rstrip("\n")
