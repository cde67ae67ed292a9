"""What a look at a set-up found: each thing in a line, with what to do about it. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any


class State(Enum):
    """`SKIPPED`: it was not looked at, and the line says why."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """`subject` is what was looked at, `seen` what was found, `remedy` what to do; "" where nothing is to be done."""

    state: State
    subject: str
    seen: str
    remedy: str = ""


def ok(subject: str, seen: str) -> Finding:
    return Finding(State.OK, subject, seen)


def warning(subject: str, seen: str, remedy: str) -> Finding:
    return Finding(State.WARNING, subject, seen, remedy)


def failed(subject: str, seen: str, remedy: str) -> Finding:
    return Finding(State.FAILED, subject, seen, remedy)


def skipped(subject: str, seen: str) -> Finding:
    return Finding(State.SKIPPED, subject, seen)


def as_json(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    return [
        {"subject": one.subject, "state": one.state.value, "seen": one.seen, "remedy": one.remedy} for one in findings
    ]


def exit_status(findings: Iterable[Finding]) -> int:
    """1 where something failed, else 0: what is only worth a warning works."""
    return int(any(finding.state is State.FAILED for finding in findings))
