"""What a process says of a task that it was given."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a task, or the error that it raised.

    Attributes:
        value: What the task returned.
        error: What it raised instead, where that is meant for the client.
        fault: The traceback of an error that nobody expected.
        is_out_of_memory: True where the memory of the process did not suffice.
        seconds: CPU time of the task.
    """

    value: Any = None
    error: Exception | None = None
    fault: str = ""
    is_out_of_memory: bool = False
    seconds: float = 0.0
