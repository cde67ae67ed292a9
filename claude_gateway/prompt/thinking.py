"""How much Claude is to think: the parameters that say it, and which of them counts. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, model_validator

from claude_gateway.prompt.numbers import Count
from claude_gateway.prompt.parameters import BLANK, MINUS_ONE, UNKNOWN, without_unset
from workers.job import Display, Effort, Thinking

EffortWord = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class ThinkingParameter(BaseModel):
    """`thinking` of the Messages API. Its type and display are any text: new ones come with new betas, and are named in
    a warning. A bare word or a truth value stands for the type."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str
    budget_tokens: Count | None = None
    display: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_what_is_set(cls, value: Any) -> Any:
        match value:
            case bool():
                return {"type": "adaptive" if value else "disabled"}
            case str():
                return {"type": value}
            case {"type": "disabled"}:
                return {name: one for name, one in value.items() if name != "budget_tokens"}
            case dict():
                return without_unset(value, {"budget_tokens": MINUS_ONE, "display": BLANK})
        return value


@dataclass(frozen=True, slots=True)
class Wish:
    """What the parameter `name` asks for; None is what it does not say."""

    name: str
    thinking: Thinking | None = None
    effort: Effort | None = None
    display: Display | None = None


def of_messages(name: str, asked: ThinkingParameter | None, notes: list[str]) -> Wish:
    """What `thinking` of the Messages API asks for."""
    if asked is None:
        return Wish(name)
    notes += [f"{name}.{key[:40]}: {UNKNOWN}" for key, value in (asked.model_extra or {}).items() if value is not None]
    if asked.type == "disabled":
        return Wish(name, "off")
    if asked.type not in ("enabled", "adaptive"):
        notes.append(f"{name}: the type {asked.type[:40]!r} is not known here, adaptive takes its place")
    display = next((known for known in get_args(Display) if known == asked.display), None)
    if display is None and asked.display is not None:
        notes.append(f"{name}.display: {asked.display[:40]!r} is not known here")
    return Wish(name, asked.budget_tokens or "adaptive", display=display)


def of_effort(name: str, word: EffortWord | None) -> Wish:
    """What OpenAI's word for an effort asks for."""
    match word:
        case None:
            return Wish(name)
        case "none":
            return Wish(name, "off")
        case "minimal":
            return Wish(name, "adaptive", "low")
        case effort:
            return Wish(name, "adaptive", effort)


def counted(wishes: Sequence[Wish], notes: list[str]) -> Wish:
    """What the wishes come to: the first that says something of a thing counts. One that asks for something else is
    left out with a warning; an effort goes well with thinking that names neither a budget nor an effort."""
    chosen = Wish("")
    for wish in wishes:
        if wish.thinking is None and wish.effort is None:
            chosen = replace(chosen, display=chosen.display or wish.display)
        elif chosen.thinking is None and chosen.effort is None:
            chosen = replace(wish, display=chosen.display or wish.display)
        elif (wish.thinking, wish.effort) == (chosen.thinking, chosen.effort):
            continue
        elif wish.thinking == chosen.thinking == "adaptive" and None in (wish.effort, chosen.effort):
            chosen = replace(chosen, effort=chosen.effort or wish.effort)
        else:
            notes.append(f"{wish.name}: left out, `{chosen.name}` counts")
    return chosen


class Reasoning(BaseModel):
    """`reasoning` of OpenRouter's chats, and of OpenAI's Responses. A bare word stands for the effort, a truth value
    for `enabled`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    effort: EffortWord | None = None
    max_tokens: Count | None = None
    enabled: bool | None = None
    exclude: bool | None = None
    summary: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_what_is_set(cls, value: Any) -> Any:
        match value:
            case bool():
                return {"enabled": value}
            case str():
                return {"effort": value}
            case dict():
                return without_unset(value, _REASONING_NOT_SET)
        return value


_REASONING_NOT_SET: Mapping[str, tuple[Any, ...]] = {
    "max_tokens": (*MINUS_ONE, 0),
    **dict.fromkeys(("effort", "enabled", "exclude", "summary"), BLANK),
}


def of_reasoning(name: str, asked: Reasoning | None, notes: list[str]) -> Wish:
    """A budget counts before an effort; where only a summary or `enabled` is asked for, how much is left to Claude."""
    if asked is None:
        return Wish(name)
    notes += [f"{name}.{key[:40]}: {UNKNOWN}" for key, value in (asked.model_extra or {}).items() if value is not None]
    display: Display | None = "omitted" if asked.exclude else None
    wish = of_effort(name, asked.effort)
    if asked.enabled is False:
        wish = Wish(name, "off")
    elif asked.max_tokens is not None:
        if wish.thinking is not None:
            notes.append(f"{name}.effort: left out, `{name}.max_tokens` counts")
        wish = Wish(name, asked.max_tokens)
    elif wish.thinking is None and (asked.enabled or asked.summary is not None):
        wish = Wish(name, "adaptive")
    return replace(wish, display=display)
