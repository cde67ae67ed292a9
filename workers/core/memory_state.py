"""The memory of the machine at one moment, as frozen data. No I/O."""

from dataclasses import dataclass

# The memory is scarce if less than this part is available, or if processes waited for memory in more than this
# percentage of the last ten seconds.
_MIN_AVAILABLE_SHARE = 0.08
_MAX_PRESSURE_PERCENT = 20.0


@dataclass(frozen=True, slots=True)
class MemoryState:
    """The memory of the machine, or of the control group if its limit is lower.

    Attributes:
        total_mib: The whole memory, in MiB.
        available_mib: The memory that is free or that the kernel can free, in MiB.
        pressure_percent: The percentage of the last ten seconds in which a process waited for memory.
        is_group_limit: Whether a control group determines `total_mib`.
    """

    total_mib: int
    available_mib: int
    pressure_percent: float = 0.0
    is_group_limit: bool = False

    @property
    def is_scarce(self) -> bool:
        """Whether processes that are not needed should end now."""
        return (
            self.available_mib < _MIN_AVAILABLE_SHARE * self.total_mib or self.pressure_percent > _MAX_PRESSURE_PERCENT
        )
