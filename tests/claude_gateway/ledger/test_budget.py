"""What a key may spend a day."""

import pytest

from claude_gateway.access.keys import Budget
from claude_gateway.errors import ApiError
from claude_gateway.ledger.budget import Reservations, Spending, Spent, expected, has_room, require
from claude_gateway.ledger.days import DAY, day_of, midnight, name_of, named

NOON = midnight(20_000) + DAY / 2


def test_days_have_the_names_of_the_calendar() -> None:
    assert (name_of(0), name_of(20_000), named("2024-10-04")) == ("1970-01-01", "2024-10-04", 20_000)
    assert day_of(midnight(20_000) - 0.001) == 19_999


@pytest.mark.parametrize("name", ["", "today", "2024-13-01", "20241004", "2024-W40-5", "2024-10-04T00:00:00"])
def test_anything_else_names_no_day(name: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        named(name)


@pytest.mark.parametrize(
    ("budget", "spent"),
    [
        (Budget(), Spent(10**12, 10.0**6)),
        (Budget(tokens=100), Spent(99, 5.0)),
        (Budget(usd=1.5), Spent(10**9, 1.49)),
    ],
)
def test_what_is_not_spent_may_be_spent(budget: Budget, spent: Spent) -> None:
    require(budget, spent, NOON)


@pytest.mark.parametrize(
    ("budget", "spent"),
    [
        (Budget(tokens=100), Spent(100, 0.0)),
        (Budget(usd=1.5), Spent(0, 1.5)),
        (Budget(tokens=0), Spent()),
        (Budget(tokens=10**9, usd=0.01), Spent(1, 2.0)),
    ],
)
def test_a_spent_budget_says_when_it_resets(budget: Budget, spent: Spent) -> None:
    with pytest.raises(ApiError) as caught:
        require(budget, spent, NOON)

    assert (caught.value.status, caught.value.code, caught.value.retry_after) == (429, "budget_spent", 43_200)
    assert "2024-10-05T00:00:00Z" in caught.value.message


def test_a_new_day_begins_with_nothing_and_takes_nothing_of_the_day_before() -> None:
    spending = Spending()
    spending.add("ann", NOON, 10, 0.5)
    spending.add("ann", NOON, 5, 0.25)
    assert spending.of("ann", NOON) == Spent(15, 0.75)
    assert spending.of("bob", NOON) == Spent()
    assert spending.of("ann", NOON + DAY) == Spent()

    spending.add("ann", NOON + DAY, 1, 0.0)
    spending.add("ann", NOON, 100, 9.0)  # begun yesterday, ended today

    assert spending.of("ann", NOON + DAY) == Spent(1, 0.0)


def test_there_is_room_while_less_than_each_part_of_the_budget_is_spent() -> None:
    assert has_room(Budget(tokens=10, usd=1.0), Spent(9, 0.9))
    assert not has_room(Budget(tokens=10, usd=1.0), Spent(10, 0.9))
    assert not has_room(Budget(tokens=10, usd=1.0), Spent(9, 1.0))


def test_a_job_is_expected_to_spend_its_prompt_and_an_answer_no_longer_than_its_limit() -> None:
    assert expected(100, 20, Spent()).tokens == 120
    assert expected(100, 64_000, Spent()).tokens == expected(100, None, Spent()).tokens == 1_100


def test_its_tokens_are_expected_to_cost_what_those_of_the_day_did() -> None:
    assert expected(100, 20, Spent(1_000, 0.5)).usd == 0.06
    assert expected(100, 20, Spent(1_000, 0.0)).usd > 0


def test_what_is_reserved_is_the_sum_of_a_keys_jobs_until_each_has_ended() -> None:
    reservations = Reservations()
    reservations.add("ann", Spent(3, 0.5))
    reservations.add("ann", Spent(4, 0.5))
    reservations.add("bob", Spent(1, 0.0))

    assert reservations.of("ann") == Spent(7, 1.0)
    reservations.remove("ann", Spent(3, 0.5))
    assert reservations.of("ann") == Spent(4, 0.5)
    reservations.remove("ann", Spent(4, 0.5))
    assert reservations.of("ann") == Spent()
