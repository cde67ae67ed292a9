"""What one job costs, of all that its process has cost so far. Pure."""

from collections.abc import Callable

# Takes US dollars.
OnCost = Callable[[float], None]


def not_wanted(_: float) -> None:
    """Nobody asked what it costs."""


class Bill:
    """`before` is what the process had cost when the job was asked. The CLI tells a sum that only grows, at the end of
    each turn: for an answer that was cut off, that is after its reader has it. Told once, or never, where the process
    ends first."""

    def __init__(self, on_cost: OnCost = not_wanted, before: float = 0.0) -> None:
        self._on_cost: OnCost | None = on_cost
        self._before = before

    def settle(self, now: float) -> None:
        on_cost, self._on_cost = self._on_cost, None
        if on_cost is not None:
            on_cost(max(0.0, now - self._before))
