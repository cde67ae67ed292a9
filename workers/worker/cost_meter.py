"""Cost of one job, computed from the total cost of its process. No I/O."""

from collections.abc import Callable

# A function whose parameter is a cost in US dollars.
CostCallback = Callable[[float], None]


def ignore_cost(_: float) -> None:
    """Do nothing with the cost."""


class CostMeter:
    """Reports the cost of one job once. If the process exits first, the cost is never reported.

    At the end of each turn, the CLI sends the total cost of its process, which only grows. If a reply is truncated, the
    turn ends after the client has received the reply.
    """

    def __init__(self, on_cost: CostCallback = ignore_cost, initial_cost_usd: float = 0.0) -> None:
        """Create a meter.

        Args:
            on_cost: A function that is called with the cost of the job in US dollars.
            initial_cost_usd: The total cost of the process at the start of the job.
        """
        self._on_cost: CostCallback | None = on_cost
        self._initial_cost_usd = initial_cost_usd

    def report(self, total_cost_usd: float) -> None:
        """Report the cost of the job, computed from the present total cost of its process. Further calls do nothing."""
        on_cost, self._on_cost = self._on_cost, None
        if on_cost is not None:
            on_cost(max(0.0, total_cost_usd - self._initial_cost_usd))
