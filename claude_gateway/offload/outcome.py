"""The outcome of a parsing task, which the process that ran the task sends to the gateway."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """The result of a task, or the error that the task raised.

    Attributes:
        value: Return value of the task.
        error: Exception that the task raised and that the gateway reports to the client; None if there is none.
        traceback: Traceback of an unexpected exception; "" if the task raised no unexpected exception.
        is_out_of_memory: True if the task exceeded the memory limit of the process.
        cpu_seconds: CPU time of the task.
    """

    value: Any = None
    error: Exception | None = None
    traceback: str = ""
    is_out_of_memory: bool = False
    cpu_seconds: float = 0.0
