"""What becomes of a request's parameters, and what the caller is told of it; each dialect has a table. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Treatment(StrEnum):
    HONOURED = "honoured"
    EMULATED = "emulated"
    IGNORED = "ignored"
    REFUSED = "refused"


# Parameter: treatment and how, or why not. Of an ignored one the caller reads it.
Table = Mapping[str, tuple[Treatment, str]]
# Parameter: the values that ask for nothing. Many clients send every field they know.
Neutral = Mapping[str, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Treated:
    """A parameter that was sent, and what becomes of it."""

    name: str
    treatment: Treatment
    reason: str


LATER = "not supported by this version"
UNKNOWN = "unknown parameter"
_AS_IT_IS = "asks for nothing that would not be so without it"


def warnings(sent: Mapping[str, Any], table: Table, neutral: Neutral) -> list[str]:
    """A line for each parameter that was sent, asks for something and is ignored."""
    return [f"{one.name}: {one.reason}" for one in treated(sent, table, neutral) if one.treatment is Treatment.IGNORED]


def treated(sent: Mapping[str, Any], table: Table, neutral: Neutral) -> Iterator[Treated]:
    """Every parameter that was sent. One that is not honoured and asks for nothing has what it asks for."""
    for name, value in sent.items():
        treatment, reason = table.get(name, (Treatment.IGNORED, UNKNOWN))
        if treatment is not Treatment.HONOURED and _asks_for_nothing(value, neutral.get(name, ())):
            yield Treated(name, Treatment.HONOURED, _AS_IT_IS)
        else:
            yield Treated(name, treatment, reason)


def _asks_for_nothing(value: Any, neutral: tuple[Any, ...]) -> bool:
    # By identity: 0 equals False, and a temperature of 0 asks for something.
    return value is None or value is False or value in ([], {}) or value in neutral
