"""Spending of a key, which decays with time."""

from claude_gateway.offload.spending_meter import SpendingMeter


def test_key_waits_once_its_spending_exceeds_the_burst() -> None:
    meter = SpendingMeter(10, 0.5)
    meter.spend("a", 9, 0)
    assert meter.wait_seconds("a", 0) == 0
    meter.spend("a", 2, 0)
    assert meter.wait_seconds("a", 0) == 2
    assert meter.wait_seconds("b", 0) == 0


def test_spending_decays_with_time() -> None:
    meter = SpendingMeter(10, 0.5)
    meter.spend("a", 15, 0)
    assert meter.wait_seconds("a", 4) == 6
    assert meter.wait_seconds("a", 11) == 0
    assert meter.spent("a", 100) == 0


def test_forgets_keys_without_spending() -> None:
    meter = SpendingMeter(10, 1)
    for number in range(3_000):
        meter.spend(f"k{number}", 1, number * 10)
    assert len(meter._spent_by_key) <= 1_001
