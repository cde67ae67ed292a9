"""What each key has spent today, and whether that is all it may. Pure."""

import math
from dataclasses import dataclass

from claude_gateway.access.keys import Budget
from claude_gateway.errors import ApiError
from claude_gateway.ledger.days import day_of, midnight, name_of


@dataclass(frozen=True, slots=True)
class Spent:
    tokens: int = 0
    usd: float = 0.0


NOTHING_SPENT = Spent()


class Spending:
    """The sums of one day (UTC), by key; those of the day before are forgotten as soon as there is a new one."""

    def __init__(self) -> None:
        self._day = 0
        self._sums: dict[str, Spent] = {}

    def add(self, owner: str, begun_at: float, tokens: int, usd: float) -> None:
        """A job counts for the day on which it was begun, as it does in the ledger."""
        day = day_of(begun_at)
        if day > self._day:
            self._day, self._sums = day, {}
        if day == self._day:
            spent = self.of(owner, begun_at)
            self._sums[owner] = Spent(spent.tokens + tokens, spent.usd + usd)

    def of(self, owner: str, now: float) -> Spent:
        return self._sums.get(owner, NOTHING_SPENT) if day_of(now) == self._day else NOTHING_SPENT


def require(budget: Budget, spent: Spent, now: float) -> None:
    """Raises `ApiError` 429 where it is spent."""
    if budget.tokens is not None and spent.tokens >= budget.tokens:
        raise _all_spent(f"{budget.tokens} tokens", now)
    if budget.usd is not None and spent.usd >= budget.usd:
        raise _all_spent(f"{budget.usd:g} US dollars", now)


def _all_spent(what: str, now: float) -> ApiError:
    tomorrow = day_of(now) + 1
    seconds = math.ceil(midnight(tomorrow) - now)
    return ApiError(
        429,
        "rate_limit_exceeded",
        f"This key has spent its budget of {what} a day. It may go on at {name_of(tomorrow)}T00:00:00Z.",
        code="budget_spent",
        retry_after=seconds,
        extra={"retry_after": seconds},
    )
