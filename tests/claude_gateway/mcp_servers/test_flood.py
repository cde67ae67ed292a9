"""What is a flood, and that nothing of it is read."""

import pytest

from claude_gateway.mcp_servers.bounds import Bounds
from claude_gateway.mcp_servers.flood import Gauge, Overrun, Volume

BOUNDS = Bounds(flood_lines=10, flood_seconds=5, message_bytes=100)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("data", [b"\n" * 11, b"\r\n" * 6, b"x" * 801])
def test_too_many_lines_or_too_many_bytes_are_a_flood_from_then_on_and_told_once(data: bytes) -> None:
    told: list[str] = []
    clock = Clock()
    gauge = Gauge(BOUNDS, clock, told.append)

    for _ in range(2):
        with pytest.raises(Overrun):
            gauge.take(data)
        clock.now += 5
    with pytest.raises(Overrun):
        gauge.take(b"")

    assert [why.startswith("it sent more than 10 lines or 800 bytes within 5 seconds") for why in told] == [True]


def test_what_comes_slowly_is_none() -> None:
    clock = Clock()
    gauge = Gauge(BOUNDS, clock, lambda _: None)

    for _ in range(100):
        gauge.take(b"x" * 790 + b"\n" * 10)
        clock.now += 5


def test_many_messages_of_many_values_are_a_flood_together() -> None:
    clock = Clock()
    gauge = Gauge(Bounds(flood_values=10, flood_seconds=5), clock, lambda _: None)

    for _ in range(5):
        gauge.count_values(10)
        clock.now += 5
        gauge.take(b"")
    gauge.count_values(10)
    with pytest.raises(Overrun, match="more than 10 values within 5 seconds"):
        gauge.count_values(1)
    with pytest.raises(Overrun):
        gauge.take(b"")


@pytest.mark.parametrize("data", [b"\n" * 4, b"x" * 300])
def test_servers_of_a_key_that_are_loud_together_are_a_flood_and_a_quiet_one_is_not(data: bytes) -> None:
    clock, of_key = Clock(), Volume(0.0)
    bounds = Bounds(flood_lines=10, flood_seconds=5, message_bytes=100, servers=4)
    first, second, third, quiet = (Gauge(bounds, clock, lambda _: None, of_key) for _ in range(4))

    first.take(data)
    second.take(data)
    with pytest.raises(Overrun, match="other servers of its key"):
        third.take(data)
    quiet.take(b"x\n")
    with pytest.raises(Overrun):
        first.take(b"")

    clock.now += 5
    second.take(data)
    quiet.take(data)


def test_values_of_a_keys_servers_count_together() -> None:
    of_key = Volume(0.0)
    gauges = [Gauge(Bounds(flood_values=10, servers=4), Clock(), lambda _: None, of_key) for _ in range(3)]

    gauges[0].count_values(6)
    gauges[1].count_values(2)
    with pytest.raises(Overrun, match="more than 10 values"):
        gauges[2].count_values(3)
