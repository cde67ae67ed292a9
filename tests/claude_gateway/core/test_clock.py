"""A clock that does not follow changes of the system clock."""

import time

import pytest

from claude_gateway.core.clock import MonotonicWallClock, seconds_since_boot


@pytest.mark.parametrize("jump", [-86_400.0, 0.0, 10 * 365 * 86_400.0])
def test_advances_by_elapsed_time_when_the_system_clock_jumps(jump: float) -> None:
    wall, elapsed = [1_700_000_000.0], [500.0]
    clock = MonotonicWallClock(lambda: wall[0], lambda: elapsed[0])

    wall[0] += jump
    elapsed[0] += 60

    assert clock() == 1_700_000_060.0


def test_starts_at_the_time_of_day() -> None:
    before = time.time()

    assert before - 1 <= MonotonicWallClock()() <= time.time() + 1
    assert seconds_since_boot() > 0
