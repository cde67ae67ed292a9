"""Parse the request parameters that control thinking, and decide which of them takes precedence. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, model_validator

from claude_gateway.dialects.common.parameters.numbers import Count
from claude_gateway.dialects.common.parameters.support import UNKNOWN_PARAMETER, UNSET_LIMIT, UNSET_TEXT, drop_unset
from workers.core.frozen import with_changes
from workers.core.job import Effort, ThinkingDisplay, ThinkingMode

ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class ThinkingParameter(BaseModel):
    """The parameter `thinking` of the Messages API.

    Besides an object, clients may send a string, which sets the type, or a boolean, which sets the type to `adaptive`
    or `disabled`. The type and the display accept any text, because beta versions of the API add new values. The
    gateway warns the client about an unknown value.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str
    budget_tokens: Count | None = None
    display: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _drop_unset_fields(cls, value: Any) -> Any:
        match value:
            case bool():
                return {"type": "adaptive" if value else "disabled"}
            case str():
                return {"type": value}
            case {"type": "disabled"}:
                return {name: field for name, field in value.items() if name != "budget_tokens"}
            case dict():
                return drop_unset(value, {"budget_tokens": UNSET_LIMIT, "display": UNSET_TEXT})
        return value


@dataclass(frozen=True, slots=True)
class ThinkingSetting:
    """The settings for thinking that one request parameter expresses.

    Attributes:
        field_path: Field path of the parameter, for warnings.
        thinking: Thinking mode; None if the parameter does not set it.
        effort: Effort level; None if the parameter does not set it.
        display: How the response shows the thinking; None if the parameter does not set it.
    """

    field_path: str
    thinking: ThinkingMode | None = None
    effort: Effort | None = None
    display: ThinkingDisplay | None = None


def parse_thinking(field_path: str, parameter: ThinkingParameter | None, notes: list[str]) -> ThinkingSetting:
    """Convert the parameter `thinking` of the Messages API to thinking settings."""
    if parameter is None:
        return ThinkingSetting(field_path)
    notes += [
        f"{field_path}.{key[:40]}: ignored ({UNKNOWN_PARAMETER})"
        for key, value in (parameter.model_extra or {}).items()
        if value is not None
    ]
    if parameter.type == "disabled":
        return ThinkingSetting(field_path, "off")
    if parameter.type not in ("enabled", "adaptive"):
        notes.append(f"{field_path}: changed the type to adaptive ({parameter.type[:40]!r} is unknown)")
    display = next((known for known in get_args(ThinkingDisplay) if known == parameter.display), None)
    if display is None and parameter.display is not None:
        notes.append(f"{field_path}.display: ignored ({parameter.display[:40]!r} is unknown)")
    return ThinkingSetting(field_path, parameter.budget_tokens or "adaptive", display=display)


def parse_effort(field_path: str, level: ReasoningEffort | None) -> ThinkingSetting:
    """Convert an effort level of OpenAI's APIs to thinking settings."""
    match level:
        case None:
            return ThinkingSetting(field_path)
        case "none":
            return ThinkingSetting(field_path, "off")
        case "minimal":
            return ThinkingSetting(field_path, "adaptive", "low")
        case effort:
            return ThinkingSetting(field_path, "adaptive", effort)


def resolve_thinking(settings: Sequence[ThinkingSetting], notes: list[str]) -> ThinkingSetting:
    """Combine the thinking settings that several parameters of one request express.

    The settings come in the order of their precedence, with the highest first. If a setting contradicts an earlier one,
    the gateway ignores the later setting and adds a note. If adaptive thinking has no effort level yet, a later setting
    may add an effort level.
    """
    result = ThinkingSetting("")
    for setting in settings:
        display = result.display or setting.display
        both_adaptive = setting.thinking == result.thinking == "adaptive"
        if result.thinking is None:
            result = with_changes(setting, display=display)
        elif setting.thinking in (None, result.thinking) and setting.effort in (None, result.effort):
            result = with_changes(result, display=display)
        elif both_adaptive and result.effort is None:
            result = replace(result, effort=setting.effort, display=display)
        else:
            notes.append(f"{setting.field_path}: ignored (`{result.field_path}` takes precedence)")
    return result


class ReasoningParameter(BaseModel):
    """The parameter `reasoning` of a chat request. OpenRouter defines it, and `summary` is from OpenAI's Responses API.

    Besides an object, clients may send a string, which sets the effort, or a boolean, which sets `enabled`.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    effort: ReasoningEffort | None = None
    max_tokens: Count | None = None
    enabled: bool | None = None
    exclude: bool | None = None
    summary: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _drop_unset_fields(cls, value: Any) -> Any:
        match value:
            case bool():
                return {"enabled": value}
            case str():
                return {"effort": value}
            case dict():
                return drop_unset(value, _REASONING_NEUTRAL_VALUES)
        return value


_REASONING_NEUTRAL_VALUES: Mapping[str, tuple[Any, ...]] = {
    "max_tokens": (*UNSET_LIMIT, 0),
    **dict.fromkeys(("effort", "enabled", "exclude", "summary"), UNSET_TEXT),
}


def parse_reasoning(field_path: str, parameter: ReasoningParameter | None, notes: list[str]) -> ThinkingSetting:
    """Convert the parameter `reasoning` to thinking settings. A token budget takes precedence over an effort level.

    If only `enabled` or `summary` is set, the result is adaptive thinking.
    """
    if parameter is None:
        return ThinkingSetting(field_path)
    notes += [
        f"{field_path}.{key[:40]}: ignored ({UNKNOWN_PARAMETER})"
        for key, value in (parameter.model_extra or {}).items()
        if value is not None
    ]
    display: ThinkingDisplay | None = "omitted" if parameter.exclude else None
    setting = parse_effort(field_path, parameter.effort)
    if parameter.enabled is False:
        setting = ThinkingSetting(field_path, "off")
    elif parameter.max_tokens is not None:
        if setting.thinking is not None:
            notes.append(f"{field_path}.effort: ignored (`{field_path}.max_tokens` takes precedence)")
        setting = ThinkingSetting(field_path, parameter.max_tokens)
    elif setting.thinking is None and (parameter.enabled or parameter.summary is not None):
        setting = ThinkingSetting(field_path, "adaptive")
    return with_changes(setting, display=display)
