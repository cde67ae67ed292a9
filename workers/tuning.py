"""What of a job's tuning a model takes, and how the CLI is told. Pure.

The API refuses what excludes each other; a parameter must never turn a good request into a 400. `fit` decides
what gives way and says so. Sources: the Messages API's documented refusals, repeated by the stand-in upstream
(claude_gateway/demo/refusals.py), and what CLI 2.1.330 adds by itself (tests/e2e/test_parameters.py).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from workers.frames import encode
from workers.job import Document, Effort, RedactedThought, Thought, ToolChoice, ToolResult, Tuning, Turn
from workers.output_limit import output_limit
from workers.output_schema import fitted_schema

_LEAST_BUDGET = 1_024
_TOP_P_WHILE_THINKING = 0.95
_BUDGETS: dict[Effort, int] = {"low": 2_048, "medium": 8_192, "high": 16_384, "xhigh": 24_576, "max": 31_999}
_USUAL_MAX_TOKENS = 32_000
# With what Bedrock writes before a name (`us.anthropic.`), and Vertex (`@20250929`) and Claude Code (`[1m]`) behind it.
_VERSION = re.compile(r"(?:.*\banthropic\.)?claude-(?:[a-z]+-)?(\d+)(?:-(\d{1,2}))?(?:[-@\[]|$)")
_BOTH_SAMPLERS = frozenset({"claude-opus-4-20250514", "claude-sonnet-4-20250514"})


def fit(
    tuning: Tuning, model: str, turns: Sequence[Turn], *, limit_name: str = "max_tokens"
) -> tuple[Tuning, list[str]]:
    """The tuning that the model takes for these turns, and a line for each thing that gave way. `limit_name` is what
    the client calls `max_tokens`."""
    notes: list[str] = []
    limited = _fit_limit(tuning, model, limit_name, notes)
    chosen = _fit_tool_choice(_fit_output(limited, model, turns), model, notes)
    fitted = _fit_thinking(chosen, model, turns, limit_name, notes)
    return _fit_sampling(_fit_effort(fitted, model, notes), model, notes), notes


def environment(tuning: Tuning, more: Mapping[str, Any] | None = None) -> dict[str, str]:
    """The live variables that make the CLI's next request carry the tuning, and `more` in its body. All of them, each
    time: one that is left out keeps its old value."""
    return {
        "CLAUDE_CODE_EXTRA_BODY": _json({**_extra_body(tuning), **(more or {})}),
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(tuning.max_tokens or ""),
    }


def thinking_budget(tuning: Tuning) -> int | None:
    """What to give to `set_max_thinking_tokens`: None leaves it to the model."""
    if _hides_temperature(tuning) or tuning.thinking == "adaptive":
        return None
    return 0 if tuning.thinking == "off" else tuning.thinking


def thinks_adaptively(model: str) -> bool:
    """True for the models that decide by themselves how much to think (4.6 and later)."""
    return _version(model) >= (4, 6)


def can_stop_thinking(model: str) -> bool:
    """False for the models that always think (5 and later)."""
    return _version(model) < (5, 0)


def takes_schemas(model: str) -> bool:
    """True for the models whose answer the API can hold to a JSON Schema (4.5 and later, and Opus 4.1)."""
    return _version(model) >= (4, 5) or model.startswith("claude-opus-4-1")


def _takes_sampling(model: str) -> bool:
    """False for the models that know no sampling parameters (4.7 and later)."""
    return _version(model) < (4, 7)


def _version(model: str) -> tuple[int, int]:
    """Of a name such as claude-opus-4-1-20250805; an unknown name counts as new."""
    match = _VERSION.match(model)
    return (int(match[1]), int(match[2] or 0)) if match else (99, 0)


def _fit_output(tuning: Tuning, model: str, turns: Sequence[Turn]) -> Tuning:
    """Nothing gives way: what the model cannot be held to it is asked for in words, and the answer is checked."""
    output = tuning.output
    if output is None:
        return tuning
    schema = output.schema if takes_schemas(model) and not _cites(turns) else None
    return replace(tuning, output=replace(output, fitted=None if schema is None else fitted_schema(schema)))


def _cites(turns: Sequence[Turn]) -> bool:
    """The API takes no schema beside documents that are to be cited."""
    documents = [block for turn in turns for block in turn.blocks if isinstance(block, Document)]
    wishes = [document.fields.get("citations") for document in documents]
    return any(isinstance(wish, Mapping) and wish.get("enabled") for wish in wishes)


def _fit_tool_choice(tuning: Tuning, model: str, notes: list[str]) -> Tuning:
    """The API forces no call on a model that thinks."""
    choice = tuning.tool_choice
    if choice is None or choice.mode not in ("any", "tool"):
        return tuning
    if not can_stop_thinking(model):
        notes.append("tool_choice: this model always thinks, and is left to choose")
        return replace(tuning, tool_choice=None if choice.parallel else ToolChoice(parallel=False))
    if tuning.thinking != "off":
        notes.append("thinking: left out, a call is forced")
    return replace(tuning, thinking="off")


def _fit_limit(tuning: Tuning, model: str, limit_name: str, notes: list[str]) -> Tuning:
    """Lowered here, because the CLI would do it without a word, and then send a thinking budget above it."""
    most = output_limit(model)
    if tuning.max_tokens is None or tuning.max_tokens <= most:
        return tuning
    notes.append(f"{limit_name}: lowered from {tuning.max_tokens} to {most}, the most that this model writes")
    return replace(tuning, max_tokens=most)


def _fit_thinking(tuning: Tuning, model: str, turns: Sequence[Turn], limit_name: str, notes: list[str]) -> Tuning:
    if tuning.thinking == "off":
        return replace(tuning, display=None) if can_stop_thinking(model) else replace(tuning, thinking="adaptive")
    if thinks_adaptively(model):
        return replace(tuning, thinking="adaptive")
    limit = tuning.max_tokens or min(_USUAL_MAX_TOKENS, output_limit(model))
    wanted = _BUDGETS[tuning.effort or "high"] if tuning.thinking == "adaptive" else tuning.thinking
    budget = min(max(wanted, _LEAST_BUDGET), limit - 1)
    if budget < _LEAST_BUDGET:
        notes.append(f"thinking: left out, {limit_name} leaves no room for it")
        return _without_thinking(tuning)
    if _is_mid_work_without_thoughts(turns):
        notes.append("thinking: left out, the calls just answered came without the thoughts behind them")
        return _without_thinking(tuning)
    if isinstance(tuning.thinking, int) and budget != tuning.thinking:
        notes.append(f"thinking: the budget became {budget}, between 1024 and {limit_name}")
    return replace(tuning, thinking=budget, effort=_effort_beside(tuning))


def _without_thinking(tuning: Tuning) -> Tuning:
    return replace(tuning, thinking="off", display=None, effort=_effort_beside(tuning))


def _effort_beside(tuning: Tuning) -> Effort | None:
    """What is asked for besides thinking: where no budget is named, the effort stands for one."""
    return None if tuning.thinking == "adaptive" else tuning.effort


def _is_mid_work_without_thoughts(turns: Sequence[Turn]) -> bool:
    """The API, where a budget is set, wants a turn whose calls have just been answered to begin with a thought.
    Models that think as they see fit do not."""
    if len(turns) < 2 or not any(isinstance(block, ToolResult) for block in turns[-1].blocks):
        return False
    first = turns[-2].blocks[0]
    return not isinstance(first, Thought | RedactedThought)


def _fit_effort(tuning: Tuning, model: str, notes: list[str]) -> Tuning:
    """Where none is named it is the API's own default: the CLI would choose a higher one."""
    known = _efforts(model)
    if not known:
        if tuning.effort is not None:
            notes.append("effort: left out, this model knows none")
        return replace(tuning, effort=None)
    if tuning.effort in known:
        return tuning
    if tuning.effort is not None:
        notes.append("effort: lowered to high, this model does not know the one asked for")
    return replace(tuning, effort="high")


def _efforts(model: str) -> tuple[Effort, ...]:
    """As documented for each model: Opus 4.5, 4.6, and all since."""
    version = _version(model)
    if version >= (4, 7):
        return ("low", "medium", "high", "xhigh", "max")
    if version == (4, 6):
        return ("low", "medium", "high", "max")
    return ("low", "medium", "high") if model.startswith("claude-opus-4-5") else ()


def _fit_sampling(tuning: Tuning, model: str, notes: list[str]) -> Tuning:
    if not _takes_sampling(model):
        return _without(tuning, ("temperature", "top_p", "top_k"), "this model takes no sampling parameters", notes)
    if tuning.thinking != "off":
        tuning = _without(tuning, ("temperature", "top_k"), "not together with thinking", notes, neutral=1)
        if tuning.top_p is not None and tuning.top_p < _TOP_P_WHILE_THINKING:
            tuning = _without(tuning, ("top_p",), "below 0.95 not together with thinking", notes)
        return tuning
    if tuning.temperature is not None and tuning.top_p is not None and model not in _BOTH_SAMPLERS:
        loser = "temperature" if tuning.temperature == 1 else "top_p"
        return _without(tuning, (loser,), "this model takes one of temperature and top_p", notes, neutral=1)
    return tuning


def _without(
    tuning: Tuning, names: tuple[str, ...], reason: str, notes: list[str], neutral: float | None = None
) -> Tuning:
    """Leave parameters out; a value that asks for nothing goes without a word."""
    for name in names:
        value = getattr(tuning, name)
        if value is not None and value != neutral:
            notes.append(f"{name}: left out, {reason}")
    cleared: dict[str, Any] = dict.fromkeys(names)
    return replace(tuning, **cleared)


def _tool_choice(choice: ToolChoice) -> dict[str, Any]:
    body: dict[str, Any] = {"type": choice.mode}
    if choice.mode == "tool":
        body["name"] = choice.name
    if choice.mode != "none" and not choice.parallel:
        body["disable_parallel_tool_use"] = True
    return body


def _hides_temperature(tuning: Tuning) -> bool:
    """With thinking off the CLI itself sends `temperature: 1`, which most models refuse beside a top_p.

    So it is left to believe that the model thinks, and the request says otherwise.
    """
    return tuning.thinking == "off" and tuning.top_p is not None and tuning.temperature is None


def _thinking(tuning: Tuning) -> dict[str, Any]:
    """Said in full, because the CLI by itself asks for updates alone: on the newest models they hide every thought."""
    kind = {"type": "adaptive"} if tuning.thinking == "adaptive" else {"type": "enabled"}
    budget = {"budget_tokens": tuning.thinking} if isinstance(tuning.thinking, int) else {}
    return kind | budget | ({"display": tuning.display} if tuning.display else {})


def _output_config(tuning: Tuning) -> dict[str, Any]:
    config: dict[str, Any] = {"effort": tuning.effort} if tuning.effort else {}
    if tuning.output is not None and tuning.output.fitted is not None:
        config["format"] = {"type": "json_schema", "schema": tuning.output.fitted}
    return config


def _extra_body(tuning: Tuning) -> dict[str, Any]:
    body: dict[str, Any] = {
        name: value for name in ("temperature", "top_p", "top_k") if (value := getattr(tuning, name)) is not None
    }
    if tuning.stop:
        body["stop_sequences"] = list(tuning.stop)
    if tuning.tool_choice is not None:
        body["tool_choice"] = _tool_choice(tuning.tool_choice)
    if tuning.thinking != "off":
        body["thinking"] = _thinking(tuning)
    if config := _output_config(tuning):
        body["output_config"] = config
    if _hides_temperature(tuning):
        # The CLI's own edit clears thinking blocks, which the API refuses where nothing thinks.
        body |= {"thinking": {"type": "disabled"}, "context_management": {"edits": []}}
    return body


def _json(body: dict[str, Any]) -> str:
    return encode(body).decode().rstrip("\n")
