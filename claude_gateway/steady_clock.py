"""The time of day as it was at the start, and what has passed since.

What is remembered for an hour is not to be gone because somebody set the machine's clock, nor to stay for a year. Time
in which the machine slept counts.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


def since_boot() -> float:
    """Seconds; nothing but time changes it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True)
class SteadyClock:
    """Call it for the seconds of the epoch. What is written down with it is understood by the next gateway, whose own
    begins at the time of day that it finds."""

    wall: Callable[[], float] = time.time
    elapsed: Callable[[], float] = since_boot
    began: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "began", self.wall() - self.elapsed())

    def __call__(self) -> float:
        return self.began + self.elapsed()
