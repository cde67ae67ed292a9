"""Sum up what each API key has spent today, reserve estimated spending for running jobs, and check budgets. No I/O."""

import math
from collections import defaultdict
from dataclasses import dataclass

from claude_gateway.auth.models import Budget
from claude_gateway.core.errors import ApiError
from claude_gateway.usage.days import day_number, day_start, format_day

# The gateway assumes that a reply has this many tokens, unless the client sets a lower limit.
_EXPECTED_OUTPUT_TOKENS = 1_000
# If a key has spent nothing today, the gateway assumes that one token costs this much. The list price of a large model
# is 25 US dollars for a million output tokens and 5 US dollars for a million input tokens.
_EXPECTED_USD_PER_TOKEN = 5e-6


@dataclass(frozen=True, slots=True)
class Spend:
    """A count of tokens and an amount of US dollars that jobs have spent or that are reserved for jobs."""

    tokens: int = 0
    usd: float = 0.0

    def __add__(self, other: "Spend") -> "Spend":
        return Spend(self.tokens + other.tokens, self.usd + other.usd)


NO_SPEND = Spend()


class DailySpend:
    """Sums of the tokens and US dollars that each API key has spent on the current day (UTC).

    When the calling code adds the first job of a new day, the object drops the sums of the previous day.
    """

    def __init__(self) -> None:
        self._day = 0
        self._spend_by_key: dict[str, Spend] = {}

    def add(self, key_id: str, created_at: float, tokens: int, usd: float) -> None:
        """Add the tokens and US dollars that a job has spent to the sum of its key.

        A job counts on the day on which it was created, as in usage reports. The method ignores a job that was created
        before the current day.
        """
        day = day_number(created_at)
        if day > self._day:
            self._day, self._spend_by_key = day, {}
        if day == self._day:
            self._spend_by_key[key_id] = self.get(key_id, created_at) + Spend(tokens, usd)

    def get(self, key_id: str, now: float) -> Spend:
        """Return the tokens and US dollars that a key has spent on the day that contains the time `now`."""
        return self._spend_by_key.get(key_id, NO_SPEND) if day_number(now) == self._day else NO_SPEND


class ReservedSpend:
    """Sums of the estimated tokens and US dollars that the gateway reserves for the running jobs of each API key."""

    def __init__(self) -> None:
        self._reserved: defaultdict[str, list[Spend]] = defaultdict(list)

    def add(self, key_id: str, spend: Spend) -> None:
        """Reserve the estimated spending of a job that starts. The amount stays reserved until `remove` is called."""
        self._reserved[key_id].append(spend)

    def remove(self, key_id: str, spend: Spend) -> None:
        """Release the amount `spend` that `add` has reserved for a job, after the job has ended."""
        reservations = self._reserved[key_id]
        reservations.remove(spend)
        if not reservations:
            del self._reserved[key_id]

    def total(self, key_id: str) -> Spend:
        """Return the sum of all amounts that the gateway has reserved for the running jobs of a key."""
        return sum(self._reserved.get(key_id, ()), NO_SPEND)


def estimate_spend(prompt_tokens: int, max_tokens: int | None, spent: Spend) -> Spend:
    """Estimate how many tokens and US dollars a job will spend.

    The estimated number of tokens is the number of tokens in the prompt plus the number in a typical reply. The
    estimated price of a token is the mean price of the tokens that the key has spent today.

    Args:
        prompt_tokens: Count of tokens in the prompt.
        max_tokens: Maximum length of the reply that the client sets, in tokens; None if the client sets no maximum.
        spent: Tokens and US dollars that the key has spent today.
    """
    reply_tokens = _EXPECTED_OUTPUT_TOKENS if max_tokens is None else min(max_tokens, _EXPECTED_OUTPUT_TOKENS)
    tokens = prompt_tokens + reply_tokens
    price = spent.usd / spent.tokens if spent.tokens and spent.usd else _EXPECTED_USD_PER_TOKEN
    return Spend(tokens, tokens * price)


def is_within_budget(budget: Budget, spent: Spend) -> bool:
    """Return whether the amount `spent` is less than the daily budget, both in tokens and in US dollars."""
    return (budget.tokens_per_day is None or spent.tokens < budget.tokens_per_day) and (
        budget.usd_per_day is None or spent.usd < budget.usd_per_day
    )


def check_budget(budget: Budget, spent: Spend, now: float) -> None:
    """Check that a key has not yet spent its daily budget.

    Raises:
        ApiError: The key has spent its budget of today (status 429). The error contains the time until the next day.
    """
    if budget.tokens_per_day is not None and spent.tokens >= budget.tokens_per_day:
        raise _budget_exceeded(f"{budget.tokens_per_day} tokens", now)
    if budget.usd_per_day is not None and spent.usd >= budget.usd_per_day:
        raise _budget_exceeded(f"{budget.usd_per_day:g} US dollars", now)


def _budget_exceeded(limit: str, now: float) -> ApiError:
    tomorrow = day_number(now) + 1
    seconds = math.ceil(day_start(tomorrow) - now)
    return ApiError(
        429,
        "rate_limit_exceeded",
        f"This key has spent its daily budget of {limit}. The budget is reset at {format_day(tomorrow)}T00:00:00Z.",
        code="budget_exceeded",
        retry_after=seconds,
        extra={"retry_after": seconds},
    )
