"""What becomes of a parameter: the words for it, and the warnings. Each dialect has a table of its own. Pure."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Treatment(StrEnum):
    HONOURED = "honoured"
    IGNORED = "ignored"


# Parameter: treatment and, where it is not simply honoured, the reason that a caller reads.
Table = Mapping[str, tuple[Treatment, str]]

LATER = "not supported by this version"
_UNKNOWN = "unknown parameter"


def warnings(sent: Mapping[str, Any], table: Table, neutral: Mapping[str, tuple[Any, ...]]) -> list[str]:
    """A line for each parameter that was sent, asks for something and is not honoured. `neutral` names values that
    ask for nothing: many clients send every field they know."""
    lines = []
    for name, value in sent.items():
        treatment, reason = table.get(name, (Treatment.IGNORED, _UNKNOWN))
        if treatment is Treatment.HONOURED or _asks_for_nothing(value, neutral.get(name, ())):
            continue
        lines.append(f"{name}: {reason}")
    return lines


def _asks_for_nothing(value: Any, neutral: tuple[Any, ...]) -> bool:
    # By identity: 0 equals False, and a temperature of 0 asks for something.
    return value is None or value is False or value in ([], {}) or value in neutral
