"""What is a flood, and that nothing of it is read."""

import pytest

from claude_gateway.mcp_servers.bounds import Bounds
from claude_gateway.mcp_servers.flood import Gauge, Overrun

BOUNDS = Bounds(flood_lines=10, flood_seconds=5, message_bytes=100)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("data", [b"\n" * 11, b"\r\n" * 6, b"x" * 801])
def test_too_many_lines_or_too_many_bytes_are_a_flood_from_then_on_and_told_once(data: bytes) -> None:
    told: list[bool] = []
    clock = Clock()
    gauge = Gauge(BOUNDS, clock, lambda: told.append(True))

    for _ in range(2):
        with pytest.raises(Overrun):
            gauge.take(data)
        clock.now += 5
    with pytest.raises(Overrun):
        gauge.take(b"")

    assert told == [True]


def test_what_comes_slowly_is_none() -> None:
    clock = Clock()
    gauge = Gauge(BOUNDS, clock, lambda: None)

    for _ in range(100):
        gauge.take(b"x" * 790 + b"\n" * 10)
        clock.now += 5
