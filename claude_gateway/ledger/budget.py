"""What each key has spent today, what its jobs that run may still spend, and whether that is all it may. Pure."""

import math
from collections import defaultdict
from dataclasses import dataclass

from claude_gateway.access.keys import Budget
from claude_gateway.errors import ApiError
from claude_gateway.ledger.days import day_of, midnight, name_of

# What an answer is taken to be, where the client sets no lower limit.
_EXPECTED_OUTPUT_TOKENS = 1_000
# What a token is taken to cost for a key that had no job yet today: the list price of a large model's output is 25 US
# dollars a million, that of its input five.
_EXPECTED_USD_PER_TOKEN = 5e-6


@dataclass(frozen=True, slots=True)
class Spent:
    tokens: int = 0
    usd: float = 0.0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.tokens + other.tokens, self.usd + other.usd)


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
            self._sums[owner] = self.of(owner, begun_at) + Spent(tokens, usd)

    def of(self, owner: str, now: float) -> Spent:
        return self._sums.get(owner, NOTHING_SPENT) if day_of(now) == self._day else NOTHING_SPENT


class Reservations:
    """What the jobs of each key that were let in are expected to spend, until they have ended."""

    def __init__(self) -> None:
        self._held: defaultdict[str, list[Spent]] = defaultdict(list)

    def add(self, owner: str, expected: Spent) -> None:
        self._held[owner].append(expected)

    def remove(self, owner: str, expected: Spent) -> None:
        held = self._held[owner]
        held.remove(expected)
        if not held:
            del self._held[owner]

    def of(self, owner: str) -> Spent:
        return sum(self._held.get(owner, ()), NOTHING_SPENT)


def expected(prompt_tokens: int, max_tokens: int | None, spent: Spent) -> Spent:
    """What a job is expected to spend: its prompt and a usual answer, at the price that the key's tokens had today."""
    answer = _EXPECTED_OUTPUT_TOKENS if max_tokens is None else min(max_tokens, _EXPECTED_OUTPUT_TOKENS)
    tokens = prompt_tokens + answer
    price = spent.usd / spent.tokens if spent.tokens and spent.usd else _EXPECTED_USD_PER_TOKEN
    return Spent(tokens, tokens * price)


def has_room(budget: Budget, spent: Spent) -> bool:
    """Whether less than the budget is spent."""
    return (budget.tokens is None or spent.tokens < budget.tokens) and (budget.usd is None or spent.usd < budget.usd)


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
