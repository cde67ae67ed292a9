"""A clock that nobody can set while the gateway runs."""

import time

import pytest

from claude_gateway.steady_clock import SteadyClock, since_boot


@pytest.mark.parametrize("jump", [-86_400.0, 0.0, 10 * 365 * 86_400.0])
def test_it_goes_on_by_what_has_passed_wherever_the_time_of_day_jumps(jump: float) -> None:
    wall, elapsed = [1_700_000_000.0], [500.0]
    clock = SteadyClock(lambda: wall[0], lambda: elapsed[0])

    wall[0] += jump
    elapsed[0] += 60

    assert clock() == 1_700_000_060.0


def test_it_begins_at_the_time_of_day() -> None:
    before = time.time()

    assert before - 1 <= SteadyClock()() <= time.time() + 1
    assert since_boot() > 0
