"""Results of the checks of the `doctor` command, each with a remedy. No I/O."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any


class CheckStatus(Enum):
    """Status of a check. If the status is SKIPPED, the detail of the result states the reason."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Result of one check.

    Attributes:
        status: The status.
        subject: The name of the thing that the check examined.
        detail: The value or problem that the check found.
        remedy: The action for the operator; "" if none is needed.
    """

    status: CheckStatus
    subject: str
    detail: str
    remedy: str = ""


def ok_result(subject: str, detail: str) -> CheckResult:
    """Return the result of a check that passed."""
    return CheckResult(CheckStatus.OK, subject, detail)


def warning_result(subject: str, detail: str, remedy: str) -> CheckResult:
    """Return the result of a check that found a problem with which the gateway still works."""
    return CheckResult(CheckStatus.WARNING, subject, detail, remedy)


def failed_result(subject: str, detail: str, remedy: str) -> CheckResult:
    """Return the result of a check that failed."""
    return CheckResult(CheckStatus.FAILED, subject, detail, remedy)


def skipped_result(subject: str, detail: str) -> CheckResult:
    """Return the result of a check that did not run."""
    return CheckResult(CheckStatus.SKIPPED, subject, detail)


def results_to_json(results: Iterable[CheckResult]) -> list[dict[str, Any]]:
    """Return the results as JSON objects."""
    return [
        {"subject": result.subject, "state": result.status.value, "seen": result.detail, "remedy": result.remedy}
        for result in results
    ]


def exit_status(results: Iterable[CheckResult]) -> int:
    """Return the exit status of the command: 1 if a check failed, else 0."""
    return int(any(result.status is CheckStatus.FAILED for result in results))
