"""Tools that a caller's provider would run itself, for which Claude Code has its own: a search, a page, code. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from workers.job import Tool

Deed = Literal["search", "fetch", "code"]

# OpenAI's and Anthropic's types; each has had several, with a date behind them.
_TYPES: Mapping[Deed, re.Pattern[str]] = {
    "search": re.compile(r"web_search(_preview)?(_\d.*)?"),
    "fetch": re.compile(r"web_fetch(_\d.*)?"),
    "code": re.compile(r"code_interpreter|code_execution(_\d.*)?"),
}
# They name the tool and say nothing of what it may do; a container is made for each job anyway.
_MEAN_NOTHING = frozenset({"type", "name", "container", "cache_control"})


@dataclass(frozen=True, slots=True)
class Hosted:
    """`place` is where it stands in the request, `name` what the caller calls it. `unheard` are its settings, which
    Claude's own tool does not take."""

    place: str
    name: str
    deed: Deed
    unheard: tuple[str, ...] = ()


def deed_of(type_: Any) -> Deed | None:
    """What a tool of this type does, None for one that Claude has nothing for."""
    known = isinstance(type_, str)
    return next((deed for deed, pattern in _TYPES.items() if known and pattern.fullmatch(type_)), None)


def read_hosted(definition: Mapping[str, Any], place: str) -> Hosted | None:
    """A definition of OpenAI's or Anthropic's."""
    deed = deed_of(definition.get("type"))
    return None if deed is None else Hosted(place, definition["type"], deed, settings_of(definition))


def settings_of(definition: Any) -> tuple[str, ...]:
    """The names of what it asks for."""
    fields = definition if isinstance(definition, Mapping) else {}
    return tuple(name[:40] for name, value in fields.items() if value is not None and name not in _MEAN_NOTHING)


def left_out(place: str, type_: Any) -> str:
    return f"{place}: a tool of type {str(type_)[:40]!r} was left out"


def alone(hosted: Sequence[Hosted], functions: Sequence[Tool], notes: list[str]) -> tuple[Hosted, ...]:
    """Those that can be had: none beside functions of the caller's. A process has tools of one kind alone."""
    if functions:
        notes += [f"{left_out(one.place, one.name)}, the request brings functions of its own" for one in hosted]
        return ()
    return tuple(hosted)
