"""Outcome of a parsing task, in the form that a parsing process sends to the gateway."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """The result of a task, or the error that it raised.

    Attributes:
        value: Return value of the task.
        error: Exception of the task that the gateway reports to the client.
        traceback: Traceback of an unexpected exception, or "".
        is_out_of_memory: True if the task exceeded the memory limit of the process.
        cpu_seconds: CPU time of the task.
    """

    value: Any = None
    error: Exception | None = None
    traceback: str = ""
    is_out_of_memory: bool = False
    cpu_seconds: float = 0.0
