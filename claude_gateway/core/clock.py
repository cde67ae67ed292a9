"""Clock that returns epoch seconds, and ignores changes of the system clock after its creation.

If the operator sets the system clock, data that is stored for an hour must not expire immediately or stay for a year.
The clock also advances while the machine is suspended.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


def seconds_since_boot() -> float:
    """Return the seconds since the machine booted. Changes of the system clock do not affect this number."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True)
class MonotonicWallClock:
    """Clock that starts with the time of day and then advances with the time since boot.

    A later gateway process can compare its own times with the times that an earlier process stored, because the clocks
    of both processes start with the time of day.

    Attributes:
        wall_clock: Function that returns the time of day in epoch seconds.
        boot_clock: Function that returns the seconds since boot.
        booted_at: Epoch seconds at which the machine booted, calculated from both clocks when this object was created.
    """

    wall_clock: Callable[[], float] = time.time
    boot_clock: Callable[[], float] = seconds_since_boot
    booted_at: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "booted_at", self.wall_clock() - self.boot_clock())

    def __call__(self) -> float:
        """Return the time in epoch seconds."""
        return self.booted_at + self.boot_clock()
