"""Parameters that control thinking: their shapes, their meaning, and their order of precedence. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, model_validator

from claude_gateway.prompt.numbers import Count
from claude_gateway.prompt.parameters import UNKNOWN, UNSET_LIMIT, UNSET_TEXT, drop_unset
from workers.job import Display, Effort, Thinking

EffortWord = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class ThinkingParameter(BaseModel):
    """`thinking` of the Messages API. A string stands for the type, a boolean for `adaptive` or `disabled`.

    Type and display may be any text: new ones come with new betas, and an unknown one gets a warning.
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
                return {name: one for name, one in value.items() if name != "budget_tokens"}
            case dict():
                return drop_unset(value, {"budget_tokens": UNSET_LIMIT, "display": UNSET_TEXT})
        return value


@dataclass(frozen=True, slots=True)
class ThinkingRequest:
    """The meaning of the parameter `name`; a field is None where the parameter does not set it."""

    name: str
    thinking: Thinking | None = None
    effort: Effort | None = None
    display: Display | None = None


def from_thinking(name: str, asked: ThinkingParameter | None, notes: list[str]) -> ThinkingRequest:
    """Read `thinking` of the Messages API. `name` is its place in the request."""
    if asked is None:
        return ThinkingRequest(name)
    notes += [f"{name}.{key[:40]}: {UNKNOWN}" for key, value in (asked.model_extra or {}).items() if value is not None]
    if asked.type == "disabled":
        return ThinkingRequest(name, "off")
    if asked.type not in ("enabled", "adaptive"):
        notes.append(f"{name}: the type {asked.type[:40]!r} is not known here, adaptive takes its place")
    display = next((known for known in get_args(Display) if known == asked.display), None)
    if display is None and asked.display is not None:
        notes.append(f"{name}.display: {asked.display[:40]!r} is not known here")
    return ThinkingRequest(name, asked.budget_tokens or "adaptive", display=display)


def from_effort(name: str, word: EffortWord | None) -> ThinkingRequest:
    """Read an effort in OpenAI's words."""
    match word:
        case None:
            return ThinkingRequest(name)
        case "none":
            return ThinkingRequest(name, "off")
        case "minimal":
            return ThinkingRequest(name, "adaptive", "low")
        case effort:
            return ThinkingRequest(name, "adaptive", effort)


def resolve_thinking(requests: Sequence[ThinkingRequest], notes: list[str]) -> ThinkingRequest:
    """Combine parameters, the one with the highest precedence first.

    A parameter that contradicts an earlier one is left out with a warning. Adaptive thinking without an effort takes
    that of a later parameter.
    """
    chosen = ThinkingRequest("")
    for request in requests:
        display = chosen.display or request.display
        both_adaptive = request.thinking == chosen.thinking == "adaptive"
        if chosen.thinking is None:
            chosen = replace(request, display=display)
        elif request.thinking in (None, chosen.thinking) and request.effort in (None, chosen.effort):
            chosen = replace(chosen, display=display)
        elif both_adaptive and chosen.effort is None:
            chosen = replace(chosen, effort=request.effort, display=display)
        else:
            notes.append(f"{request.name}: left out, `{chosen.name}` counts")
    return chosen


class Reasoning(BaseModel):
    """`reasoning` of OpenRouter's chats, with the `summary` of OpenAI's Responses. A string stands for the effort, a
    boolean for `enabled`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    effort: EffortWord | None = None
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
                return drop_unset(value, _REASONING_NOT_SET)
        return value


_REASONING_NOT_SET: Mapping[str, tuple[Any, ...]] = {
    "max_tokens": (*UNSET_LIMIT, 0),
    **dict.fromkeys(("effort", "enabled", "exclude", "summary"), UNSET_TEXT),
}


def from_reasoning(name: str, asked: Reasoning | None, notes: list[str]) -> ThinkingRequest:
    """Read `reasoning`. A budget takes precedence over an effort; with `enabled` or a summary alone, Claude thinks
    adaptively."""
    if asked is None:
        return ThinkingRequest(name)
    notes += [f"{name}.{key[:40]}: {UNKNOWN}" for key, value in (asked.model_extra or {}).items() if value is not None]
    display: Display | None = "omitted" if asked.exclude else None
    request = from_effort(name, asked.effort)
    if asked.enabled is False:
        request = ThinkingRequest(name, "off")
    elif asked.max_tokens is not None:
        if request.thinking is not None:
            notes.append(f"{name}.effort: left out, `{name}.max_tokens` counts")
        request = ThinkingRequest(name, asked.max_tokens)
    elif request.thinking is None and (asked.enabled or asked.summary is not None):
        request = ThinkingRequest(name, "adaptive")
    return replace(request, display=display)
