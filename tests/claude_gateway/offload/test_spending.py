"""What a key has spent is forgiven with time."""

from claude_gateway.offload.spending import Spending


def test_a_key_may_spend_until_it_has_spent_too_much() -> None:
    spending = Spending(10, 0.5)
    spending.spend("a", 9, 0)
    assert spending.wait("a", 0) == 0
    spending.spend("a", 2, 0)
    assert spending.wait("a", 0) == 2
    assert spending.wait("b", 0) == 0


def test_what_was_spent_is_forgiven_with_time() -> None:
    spending = Spending(10, 0.5)
    spending.spend("a", 15, 0)
    assert spending.wait("a", 4) == 6
    assert spending.wait("a", 11) == 0
    assert spending.spent("a", 100) == 0


def test_keys_that_owe_nothing_are_forgotten() -> None:
    spending = Spending(10, 1)
    for number in range(3_000):
        spending.spend(f"k{number}", 1, number * 10)
    assert len(spending._spent) <= 1_001
