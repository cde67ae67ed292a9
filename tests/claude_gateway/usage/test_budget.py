"""The daily budget of a key."""

import pytest

from claude_gateway.auth.models import Budget
from claude_gateway.core.errors import ApiError
from claude_gateway.usage.budget import (
    DailySpend,
    ReservedSpend,
    Spend,
    check_budget,
    estimate_spend,
    is_within_budget,
)
from claude_gateway.usage.days import DAY_SECONDS, day_number, day_start, format_day, parse_day

NOON = day_start(20_000) + DAY_SECONDS / 2


def test_formats_and_parses_calendar_days() -> None:
    assert (format_day(0), format_day(20_000), parse_day("2024-10-04")) == ("1970-01-01", "2024-10-04", 20_000)
    assert day_number(day_start(20_000) - 0.001) == 19_999


@pytest.mark.parametrize("text", ["", "today", "2024-13-01", "20241004", "2024-W40-5", "2024-10-04T00:00:00"])
def test_rejects_invalid_day(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - with any message
        parse_day(text)


@pytest.mark.parametrize(
    ("budget", "spent"),
    [
        (Budget(), Spend(10**12, 10.0**6)),
        (Budget(tokens_per_day=100), Spend(99, 5.0)),
        (Budget(usd_per_day=1.5), Spend(10**9, 1.49)),
    ],
)
def test_accepts_job_while_budget_remains(budget: Budget, spent: Spend) -> None:
    check_budget(budget, spent, NOON)


@pytest.mark.parametrize(
    ("budget", "spent"),
    [
        (Budget(tokens_per_day=100), Spend(100, 0.0)),
        (Budget(usd_per_day=1.5), Spend(0, 1.5)),
        (Budget(tokens_per_day=0), Spend()),
        (Budget(tokens_per_day=10**9, usd_per_day=0.01), Spend(1, 2.0)),
    ],
)
def test_rejects_job_of_a_spent_budget_with_the_reset_time(budget: Budget, spent: Spend) -> None:
    with pytest.raises(ApiError) as caught:
        check_budget(budget, spent, NOON)

    assert (caught.value.status, caught.value.code, caught.value.retry_after) == (429, "budget_exceeded", 43_200)
    assert "2024-10-05T00:00:00Z" in caught.value.message


def test_new_day_starts_at_zero() -> None:
    spending = DailySpend()
    spending.add("ann", NOON, 10, 0.5)
    spending.add("ann", NOON, 5, 0.25)
    assert spending.get("ann", NOON) == Spend(15, 0.75)
    assert spending.get("bob", NOON) == Spend()
    assert spending.get("ann", NOON + DAY_SECONDS) == Spend()

    spending.add("ann", NOON + DAY_SECONDS, 1, 0.0)
    spending.add("ann", NOON, 100, 9.0)  # started yesterday, ended today

    assert spending.get("ann", NOON + DAY_SECONDS) == Spend(1, 0.0)


def test_is_within_budget_only_if_tokens_and_cost_are_below_their_limits() -> None:
    assert is_within_budget(Budget(tokens_per_day=10, usd_per_day=1.0), Spend(9, 0.9))
    assert not is_within_budget(Budget(tokens_per_day=10, usd_per_day=1.0), Spend(10, 0.9))
    assert not is_within_budget(Budget(tokens_per_day=10, usd_per_day=1.0), Spend(9, 1.0))


def test_estimates_job_by_prompt_and_reply_within_its_limit() -> None:
    assert estimate_spend(100, 20, Spend()).tokens == 120
    assert estimate_spend(100, 64_000, Spend()).tokens == estimate_spend(100, None, Spend()).tokens == 1_100


def test_estimates_cost_from_the_tokens_of_the_day() -> None:
    assert estimate_spend(100, 20, Spend(1_000, 0.5)).usd == 0.06
    assert estimate_spend(100, 20, Spend(1_000, 0.0)).usd > 0


def test_reserved_spend_is_the_sum_of_running_jobs() -> None:
    reservations = ReservedSpend()
    reservations.add("ann", Spend(3, 0.5))
    reservations.add("ann", Spend(4, 0.5))
    reservations.add("bob", Spend(1, 0.0))

    assert reservations.total("ann") == Spend(7, 1.0)
    reservations.remove("ann", Spend(3, 0.5))
    assert reservations.total("ann") == Spend(4, 0.5)
    reservations.remove("ann", Spend(4, 0.5))
    assert reservations.total("ann") == Spend()
