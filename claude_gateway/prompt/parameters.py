"""What becomes of a request's parameters, and what the caller is told of it; each dialect has a table. Pure."""

from collections.abc import Mapping
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

LATER = "not supported by this version"
_UNKNOWN = "unknown parameter"


def warnings(sent: Mapping[str, Any], table: Table, neutral: Neutral) -> list[str]:
    """A line for each parameter that was sent, asks for something and is ignored."""
    lines = []
    for name, value in sent.items():
        treatment, reason = table.get(name, (Treatment.IGNORED, _UNKNOWN))
        if treatment is Treatment.IGNORED and not _asks_for_nothing(value, neutral.get(name, ())):
            lines.append(f"{name}: {reason}")
    return lines


def _asks_for_nothing(value: Any, neutral: tuple[Any, ...]) -> bool:
    # By identity: 0 equals False, and a temperature of 0 asks for something.
    return value is None or value is False or value in ([], {}) or value in neutral
