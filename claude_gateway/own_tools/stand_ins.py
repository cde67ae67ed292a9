"""Claude's own tools in the place of those that another provider would run itself. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from claude_gateway.own_tools.built_in import BY_NAME, USUAL, ToolChoices, allowed_by, barred_by
from claude_gateway.prompt.hosted_tools import Deed, Hosted, left_out

# The first must be had. Code runs beside the tools for files: they reach nothing that a command does not, and a process
# with the usual tools is the one that stands ready.
_DONE_BY: Mapping[Deed, tuple[str, ...]] = {
    "search": ("WebSearch",),
    "fetch": ("WebFetch",),
    "code": ("Bash", *(name for name in USUAL if name != "Bash")),
}


def stand_ins(
    hosted: Sequence[Hosted], choices: Sequence[ToolChoices], *, commands: str
) -> tuple[tuple[str, ...], list[str]]:
    """The tools that these need, as far as the `choices` allow them, and what becomes of each. `commands` is why none
    can be run, "" where they can."""
    names: list[str] = []
    notes: list[str] = []
    for one in hosted:
        first, *others = _DONE_BY[one.deed]
        reason = _why_not(first, choices, commands)
        if reason:
            notes.append(f"{left_out(one.place, one.name)}: {first}: {reason}")
            continue
        names += [first, *(name for name in others if not _why_not(name, choices, commands))]
        notes += _told(one, first)
    return tuple(dict.fromkeys(names)), notes


def _why_not(name: str, choices: Sequence[ToolChoices], commands: str) -> str:
    allowed = allowed_by(choices)
    if name in barred_by(choices) or (allowed is not None and name not in allowed):
        return "the configuration or a header leaves it out"
    return BY_NAME[name].missing or (commands if name == "Bash" else "")


def _told(one: Hosted, name: str) -> Iterator[str]:
    unheard = f", which does not take {', '.join(one.unheard)}" if one.unheard else ""
    yield f"{one.place}: {one.name[:40]!r} is done by Claude's own {name}{unheard}"
